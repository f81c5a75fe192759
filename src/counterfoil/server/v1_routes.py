"""Partner Center REST v1: everything under /v1, as plain ASGI.

A page is a lookup: who asks, what for, where in the walk; then a stored block is sent as it is on disk, wrapped in an
envelope. Nothing is rendered, and from page 2 on no database is asked: the token names the revision, whose files are
known from the last time. That is why this is not written with a framework: a framework would take longer than the
answer.

Every page carries `Counterfoil-ETag` and `Counterfoil-Line-Item-Count`, and unless it is filtered `Counterfoil-Totals`,
of the whole walk: a client that compares them with what it got has proven the walk. With a filter the count is that of
the line items which pass it, and there are no totals. Where nothing was published there is only a count of 0.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from starlette.types import Receive, Scope, Send

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import DamagedError, NotAcceptableError
from counterfoil.model import Dataset
from counterfoil.model import Scope as DatasetScope
from counterfoil.periods import BillingPeriod
from counterfoil.server.error_responses import v1_headers
from counterfoil.server.http_exchange import JOINED_BYTES_MAX
from counterfoil.server.lru_cache import LruCache
from counterfoil.server.request_record import note_caller
from counterfoil.server.server_parts import Service
from counterfoil.server.v1_pages import BEGINNING, Listing, Page, Pages
from counterfoil.storage import v1_blocks
from counterfoil.storage.activity import Action
from counterfoil.storage.told import facts_of
from counterfoil.wire import v1
from counterfoil.wire.tokens import Continuation, Position, decode_continuation, encode_continuation

# A token's end is moved to the next full minute: walks begun in the same minute share their tokens and envelopes.
_EXPIRY_STEP_S: Final = 60
_REMEMBERED: Final = 1_024  # distinct queries, paths and Accept headers whose parsed form is kept
_PREPARED: Final = 2_048  # envelopes, about 3 KB each
_GZIP: Final = (b"content-encoding", b"gzip")
_VARY: Final = (b"vary", b"Accept-Encoding")  # of every page, whichever form this caller took

Headers = tuple[tuple[bytes, bytes], ...]
Pieces = tuple[bytes | memoryview, ...]
Key = tuple[str, bytes, v1.Path, bytes, bool]  # partner, token, path, query, whether gzip is wanted


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A page but for its line items: what it says around them, and where they are."""

    expires_at: int
    headers: Headers
    page: Page
    before: bytes
    behind: bytes
    gzip: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that was not refused. `key` is all that its answer depends on, but for the time."""

    partner: str
    client: str
    query: v1.Query
    key: Key


class V1App:
    """Answers requests under /v1."""

    def __init__(self, service: Service) -> None:
        self._authenticate = service.authenticator.authenticate
        self._limits = service.limits
        self._catalog = service.catalog
        self._keyring = service.keyring
        self._clocks = service.clocks
        self._activity = service.activity
        self._pages = Pages(service.catalog, service.files)
        self._prepared: LruCache[tuple[object, ...], _Prepared] = LruCache(_PREPARED)
        self._read_path = lru_cache(_REMEMBERED)(v1.read_path)
        self._read_query = lru_cache(_REMEMBERED)(v1.read_query)
        self._accepts_json = lru_cache(_REMEMBERED)(v1.accepts_json)
        self._accepts_gzip = lru_cache(_REMEMBERED)(v1.accepts_gzip)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever is refused is raised."""
        asked = await self._asked(scope, _headers(scope))
        self._limits.requests.spend(asked.partner)
        # The turn is given back when the caller has read the page: until then it is in memory.
        async with self._limits.pages.turn(asked.partner):
            own, pieces = await self._line_items(asked)
            size = sum(map(len, pieces))
            if size <= JOINED_BYTES_MAX:
                pieces = (b"".join(pieces),)
            length = (b"content-length", b"%d" % size)
            answer_headers = [length, _VARY, *own, *v1_headers(scope)]
            await send({"type": "http.response.start", "status": 200, "headers": answer_headers})
            for piece in pieces[:-1]:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": pieces[-1]})

    async def _asked(self, scope: Scope, headers: dict[bytes, bytes]) -> _Asked:
        """Return what is asked for, and by whom; whatever is refused is raised."""
        path = self._read_path(scope["path"])
        v1.check_method(scope["method"])
        authorization = headers.get(b"authorization")
        caller = await self._authenticate(
            authorization.decode("latin-1") if authorization else None, api="partner-center"
        )
        note_caller(scope, caller.partner, caller.client_id)
        if not caller.registered_client:
            self._activity.note_outside_token(caller.partner, caller.client_id)
        if not self._accepts_json(headers.get(b"accept", b"")):
            raise NotAcceptableError("Line items are served as application/json only.", code="3000")
        v1.check_contract_version(headers.get(b"ms-contract-version", b""))
        query = self._read_query(path, scope["query_string"])
        gzip = self._accepts_gzip(headers.get(b"accept-encoding", b""))
        token = headers.get(b"ms-continuationtoken", b"").strip()
        if query.seek and not token:
            raise v1.token_missing()
        # The partner is part of the key: nobody gets what was prepared for somebody else.
        return _Asked(
            caller.partner, caller.client_id, query, (caller.partner, token, path, scope["query_string"], gzip)
        )

    async def _line_items(self, asked: _Asked) -> tuple[Headers, Pieces]:
        query, key = asked.query, asked.key
        token = key[1]
        now = self._clocks.wall()
        prepared = self._prepared.get(key) if token else None
        if prepared is not None and now.timestamp() < prepared.expires_at:
            with suppress(DamagedError):  # checked again below, and raised if it persists
                return prepared.headers, self._pieces(prepared)
        at = await self._where(asked.partner, token, query, now)
        if at is None:
            return v1.proof_headers("", 0, None), (v1.page_head(0, "") + v1.page_tail(query, ""),)
        listing = self._pages.kept(at.revision_id)
        if listing is None:
            listing = await asyncio.to_thread(self._pages.load, at.revision_id)
        if not token:
            self._note_walk(asked, listing)
        try:
            return self._answer(query, listing, at, key)
        except DamagedError:
            # Renderings that were dropped and made again have other paths. If none changed, the damage is real.
            self._pages.forget(listing)
            anew = await asyncio.to_thread(self._pages.load, at.revision_id)
            if anew.paths == listing.paths:
                raise
            return self._answer(query, anew, at, key)

    def _note_walk(self, asked: _Asked, listing: Listing) -> None:
        """Note that a walk began; its other pages are part of it."""
        details = facts_of(listing.revision.dataset)
        self._activity.note(
            Action.WALK, partner=asked.partner, actor=asked.client, subject=listing.revision.id, details=details
        )

    async def _where(self, partner: str, token: bytes, query: v1.Query, now: datetime) -> Continuation | None:
        """Return where the page begins, or None where there is no dataset."""
        if token:
            text = token.decode("latin-1")
            return decode_continuation(self._keyring, text, partner=partner, query=query.digest, now=now)
        period = BillingPeriod.containing(self._clocks.business())
        scope = DatasetScope.unbilled(period.last if query.is_previous else period, query.currency)
        revision = await asyncio.to_thread(self._catalog.in_force, Dataset(query.kind, partner, scope))
        if revision is None:
            return None
        expires_at = (
            int((now + lifetimes_and_sizes.WALK).timestamp()) // _EXPIRY_STEP_S * _EXPIRY_STEP_S + _EXPIRY_STEP_S
        )
        return Continuation(partner, query.digest, revision.id, BEGINNING, expires_at)

    def _answer(self, query: v1.Query, listing: Listing, at: Continuation, key: Key) -> tuple[Headers, Pieces]:
        proof = self._pages.proof(listing, query.credit)
        position: Position | None = at.position
        if position == BEGINNING:  # which no token holds
            position = self._pages.seek(listing, BEGINNING, query.credit)
        if position is None:
            return proof, (v1.page_head(0, "") + v1.page_tail(query, ""),)
        page = self._pages.cut(listing, position, query.size_items, query.credit)
        token = ""
        if page.next is not None:
            onwards = Continuation(at.partner, at.query, at.revision_id, page.next, at.expires_at)
            token = encode_continuation(self._keyring, onwards)
        gzip = key[-1]
        head, tail = v1.page_head(len(page.items), token), v1.page_tail(query, token)
        if gzip and page.whole:
            head, tail = v1_blocks.around_in_gzip(head, page.block.json_length, page.block.crc32, tail)
        prepared = _Prepared(at.expires_at, (_GZIP, *proof) if gzip else proof, page, head, tail, gzip)
        pieces = self._pieces(prepared)
        if key[1]:
            self._prepared.put(key, prepared)
        return prepared.headers, pieces

    def _pieces(self, prepared: _Prepared) -> Pieces:
        page = prepared.page
        if not prepared.gzip:
            return prepared.before, self._pages.json(page), prepared.behind
        if page.whole:
            return prepared.before, self._pages.deflated(page), prepared.behind
        return v1_blocks.to_gzip(prepared.before, self._pages.json(page), prepared.behind)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the request's headers by name; the values of a repeated one joined by commas, as HTTP has it."""
    sent: list[tuple[bytes, bytes]] = scope["headers"]
    headers = dict(sent)
    if len(headers) < len(sent):
        headers = {name: b", ".join(value for key, value in sent if key == name) for name in headers}
    return headers
