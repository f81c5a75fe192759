"""Partner Center REST v1: everything under /v1, as plain ASGI.

A page is a lookup: who asks, what for, where in the walk; then a stored block goes out as it lies on disk, wrapped
in an envelope. Nothing is rendered, and from page 2 on no database is asked: the token names the revision, whose
files are known from the last time. That is why this is not written with a framework: a framework would take longer
than the answer.

Every page carries `Counterfoil-ETag` and `Counterfoil-Line-Item-Count`, and unless it is filtered
`Counterfoil-Totals`, of the whole walk: a client that compares them with what it got has proven it. With a filter
the count is that of the line items which pass it, and there are no totals. Where nothing was published there is
only a count of 0.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final

from counterfoil.errors import BadRequestError, DamagedError, NotAcceptableError
from counterfoil.model import Dataset
from counterfoil.model import Scope as DatasetScope
from counterfoil.periods import BillingPeriod
from counterfoil.server.refusals import LOG, RequestIds, as_refusal
from counterfoil.server.service import Receive, Scope, Send, Service
from counterfoil.server.v1_pages import BEGINNING, Listing, Pages
from counterfoil.wire import v1, v1_blocks
from counterfoil.wire.tokens import CONTINUATION_HEADER, Continuation, decode_continuation, encode_continuation

TOKEN_LIFETIME: Final = timedelta(hours=24)
_REMEMBERED: Final = 1_024  # distinct queries, paths and Accept headers that are not read anew each time
_DEFAULT_LOCALE: Final = "en-US"
_GZIP: Final = (b"content-encoding", b"gzip")

Answer = tuple[int, Sequence[tuple[bytes, bytes]], Sequence[bytes | memoryview]]


class V1App:
    """Answers requests under /v1."""

    def __init__(self, service: Service) -> None:
        self._authenticate = service.authenticator.authenticate
        self._catalog = service.catalog
        self._keyring = service.keyring
        self._clocks = service.clocks
        self._pages = Pages(service.catalog, service.files)
        self._read_path = lru_cache(_REMEMBERED)(v1.read_path)
        self._read_query = lru_cache(_REMEMBERED)(v1.read_query)
        self._accepts_json = lru_cache(_REMEMBERED)(v1.accepts_json)
        self._accepts_gzip = lru_cache(_REMEMBERED)(v1.accepts_gzip)
        self._server_id = b"%09d" % secrets.randbelow(10**9)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = _headers(scope)
        try:
            status, own, pieces = await self._line_items(scope, headers)
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an error it can read
            status, own, pieces = _refusal(error, scope)
        length = (b"content-length", b"%d" % sum(map(len, pieces)))
        answer_headers = [*self._common_headers(scope, headers), length, *own]
        await send({"type": "http.response.start", "status": status, "headers": answer_headers})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})

    async def _line_items(self, scope: Scope, headers: dict[bytes, bytes]) -> Answer:
        path = self._read_path(scope["path"])
        v1.check_method(scope["method"])
        caller = await self._authenticate(_text(headers, b"authorization") or None, api="partner-center")
        if not self._accepts_json(_text(headers, b"accept")):
            raise NotAcceptableError("Line items are served as application/json only.", code="3000")
        v1.check_contract_version(_text(headers, b"ms-contract-version"))
        query = self._read_query(path, scope["query_string"])
        token = _text(headers, b"ms-continuationtoken").strip()
        if query.seek and not token:
            raise BadRequestError(
                f"seekOperation=Next needs the header {CONTINUATION_HEADER} with the token of the page before.",
                code="3000",
                parameter=CONTINUATION_HEADER,
            )
        gzip = self._accepts_gzip(_text(headers, b"accept-encoding"))
        if token:
            at = decode_continuation(
                self._keyring, token, partner=caller.partner, query=query.digest, now=self._clocks.wall()
            )
        else:
            revision_id = self._in_force(caller.partner, query)
            if revision_id is None:
                return _empty_page(query, ((b"counterfoil-line-item-count", b"0"),))
            expires_at = int((self._clocks.wall() + TOKEN_LIFETIME).timestamp())
            at = Continuation(caller.partner, query.digest, revision_id, BEGINNING, expires_at)
        listing = self._pages.kept(at.revision_id) or await self._load(at.revision_id)
        try:
            return self._page(query, listing, at, gzip=gzip)
        except DamagedError:
            # Renderings that were dropped and made again lie elsewhere. If nothing has moved, it is what it is.
            self._pages.forget(listing)
            anew = await self._load(at.revision_id)
            if anew.paths == listing.paths:
                raise
            return self._page(query, anew, at, gzip=gzip)

    def _in_force(self, partner: str, query: v1.Query) -> str | None:
        period = BillingPeriod.containing(self._clocks.business())
        scope = DatasetScope.unbilled(period.last if query.is_previous else period, query.currency)
        revision = self._catalog.in_force(Dataset(query.kind, partner, scope))
        return None if revision is None else revision.id

    async def _load(self, revision_id: str) -> Listing:
        listing = await asyncio.to_thread(self._pages.load, revision_id)
        self._pages.keep(listing)
        return listing

    def _page(self, query: v1.Query, listing: Listing, at: Continuation, *, gzip: bool) -> Answer:
        proof = self._pages.proof(listing, query.credit)
        position = at.position
        if position == BEGINNING:  # which no token holds
            first = self._pages.seek(listing, position, query.credit)
            if first is None:
                return _empty_page(query, proof)
            position = first
        page = self._pages.cut(listing, position, query.size_items, query.credit)
        token = ""
        if page.next is not None:
            onwards = Continuation(at.partner, at.query, at.revision_id, page.next, at.expires_at)
            token = encode_continuation(self._keyring, onwards)
        head, tail = v1.page_head(len(page.items), token), v1.page_tail(query, token)
        if not gzip:
            return 200, proof, (head, self._pages.json(page), tail)
        if page.whole:
            block = page.block
            pieces = v1_blocks.in_gzip(head, page.file.deflated(block), block.json_length, block.crc32, tail)
        else:
            pieces = v1_blocks.to_gzip(head, self._pages.json(page), tail)
        return 200, (_GZIP, *proof), pieces

    def _common_headers(self, scope: Scope, headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        request_id = v1.echo(_text(headers, b"ms-requestid")) or RequestIds.of(scope).request_id
        correlation_id = v1.echo(_text(headers, b"ms-correlationid")) or request_id
        locale = v1.echo(_text(headers, b"x-locale")) or _DEFAULT_LOCALE
        return [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-encoding"),
            (b"ms-requestid", request_id.encode("ascii")),
            (b"ms-correlationid", correlation_id.encode("ascii")),
            (b"ms-cv", b64encode(secrets.token_bytes(12)) + b".0"),
            (b"ms-serverid", self._server_id),
            (b"x-locale", locale.encode("ascii")),
        ]


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the request's headers by name; the values of a repeated one joined by commas, as HTTP has it."""
    sent: list[tuple[bytes, bytes]] = scope["headers"]
    headers = dict(sent)
    if len(headers) < len(sent):
        headers = {name: b", ".join(value for key, value in sent if key == name) for name in headers}
    return headers


def _text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _empty_page(query: v1.Query, proof: Sequence[tuple[bytes, bytes]]) -> Answer:
    return 200, proof, (v1.page_head(0, "") + v1.page_tail(query, ""),)


def _refusal(error: Exception, scope: Scope) -> Answer:
    told = as_refusal(error)
    if told.status == 500:
        LOG.error(
            "request %s: %s %s failed",
            RequestIds.of(scope).request_id,
            scope["method"],
            scope["path"],
            exc_info=error,
        )
    status, headers, body = v1.error_answer(told)
    return status, headers, (body,)
