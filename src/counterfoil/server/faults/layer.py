"""The layer around the server that makes it hostile: finds which rules a request meets, and has them strike.

Without rules it hands everything on untouched. With rules it takes whole answers into memory, so it is for
development; that is where it can be had. What a newcomer would get wrong: the first rule is the outermost. It may
answer without asking what is inside, and it sees the answer last.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.errors import BadRequestError
from counterfoil.server.faults.blobs import link_refused
from counterfoil.server.faults.editing import MARK, Json, manifest_in, with_json
from counterfoil.server.faults.paging import members_of, token_of, with_items_of, with_members
from counterfoil.server.faults.plans import Plan, Rule
from counterfoil.server.faults.replies import Reply, ask, deliver, no_body
from counterfoil.server.faults.shapes import LineItem
from counterfoil.server.faults.spelling import packed
from counterfoil.server.faults.turns import NUMBERED, Memory, Route, Turn, route_of
from counterfoil.server.refusals import Dialect, header, refusal
from counterfoil.wire import blob_storage

_PART: Final = re.compile(r"part-([0-9]{5})-")
_SEEK: Final = re.compile(rb"&?seekoperation=[^&]*", re.IGNORECASE)


@dataclass(slots=True)
class _Armed:
    """A rule, and how often it was met and struck."""

    rule: Rule
    seed: str
    met: int = 0
    struck: int = 0

    def meets(self, route: Route, number: int) -> bool:
        """Whether the rule is about such a request. Blobs and pages count by their own numbers."""
        return route in self.rule.on and (not self.rule.at or route not in NUMBERED or number in self.rule.at)

    def due(self) -> bool:
        """Note a request that the rule is about; tell whether it strikes."""
        self.met += 1
        return self.met > self.rule.skip and (self.rule.times is None or self.struck < self.rule.times)


class FaultyApp:
    """An application with faults around it. `add` and `reset` may be called from any thread, while it serves."""

    def __init__(self, app: ASGIApp, now: Callable[[], datetime], plan: Plan | None = None) -> None:
        self._app = app
        self._now = now
        self._seed = plan.seed if plan is not None else 0
        self._armed: tuple[_Armed, ...] = ()
        self._memory = Memory()
        self._remaking = asyncio.Lock()
        for rule in plan.rules if plan is not None else ():
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Have one more rule, behind those that are there."""
        self._armed = (*self._armed, _Armed(rule, f"{self._seed} {len(self._armed)}"))

    def strikes(self) -> list[tuple[Rule, int]]:
        """Return the rules, and how often each has struck."""
        return [(armed.rule, armed.struck) for armed in self._armed]

    def reset(self) -> None:
        """Forget all rules and what they have done."""
        self._armed, self._memory = (), Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, rightly or wrongly."""
        armed = self._armed
        route = route_of(scope) if armed and scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        call = _Call(self._app, armed, self._memory, self._now, self._remaking, route, scope, receive)
        await deliver(await call.reply(), scope, receive, send)


class _Call:
    """One request on its way through the rules to the server and back."""

    def __init__(
        self,
        app: ASGIApp,
        armed: tuple[_Armed, ...],
        memory: Memory,
        now: Callable[[], datetime],
        remaking: asyncio.Lock,
        route: Route,
        scope: Scope,
        receive: Receive,
    ) -> None:
        self._app = app
        self._memory = memory
        self._now = now
        self._remaking = remaking
        self._route = route
        self._scope = scope
        # Only a submit and a token have a body, and they are asked for once.
        self._receive = receive if scope["method"] == "POST" else no_body
        self._number = self._numbered()
        self._remaking_rules = [each.rule for each in armed if each.rule.fault.remakes]
        self._met = [each for each in armed if not each.rule.fault.remakes and each.meets(route, self._number)]

    async def reply(self) -> Reply:
        """Return what the caller gets."""
        return await self.ask(0, None, None)

    def _numbered(self) -> int:
        if self._route is Route.PAGE:
            return self._memory.page_number(header(self._scope, b"ms-continuationtoken").strip())
        part = _PART.match(self._scope["path"].rpartition("/")[2]) if self._route is Route.BLOB else None
        return int(part[1]) + 1 if part is not None else 1

    async def ask(self, index: int, path: str | None, token: str | None) -> Reply:
        """Return the answer of the rules from `index` on, and of the server behind them."""
        for at in range(index, len(self._met)):
            armed = self._met[at]
            fault = armed.rule.fault
            if fault.instead is not None:
                if armed.due():
                    armed.struck += 1
                    return await fault.instead(self._turn(armed, armed.struck), _Behind(self, at + 1, path, token))
                continue
            reply = await self.ask(at + 1, path, token)
            return self._changed(armed, reply)
        return await self._served(path, token)

    def _changed(self, armed: _Armed, reply: Reply) -> Reply:
        """Change an answer, if the rule is due and finds something in it to change."""
        change = armed.rule.fault.change
        assert change is not None
        changed = change(self._turn(armed, armed.struck + 1), reply)
        if changed is None or not armed.due():
            return reply
        armed.struck += 1
        return changed

    def _turn(self, armed: _Armed, strike: int) -> Turn:
        given = armed.rule.given
        return Turn(self._route, self._scope, self._number, strike, given, armed.seed, self._memory, self._now())

    # --- the server, with what must be so whatever rules strike ---------------------------------------------------

    async def _served(self, path: str | None, token: str | None) -> Reply:
        if self._route is Route.PAGE:
            asked = header(self._scope, b"ms-continuationtoken").strip() if token is None else token
            return await self._page(asked)
        if self._route is Route.BLOB:
            return await self._blob(path or self._scope["path"])
        reply = await ask(self._app, dict(self._scope), self._receive)
        if self._route in (Route.OPERATION, Route.MANIFEST):
            return await self._manifest(reply)
        return reply

    async def _page(self, token: str) -> Reply:
        reply = await ask(self._app, _at_page(self._scope, token), no_body)
        following = token_of(reply)
        number = self._memory.page_number(token)
        if following and number:
            self._memory.pages.put(following, (number + 1, token))
        other = self._memory.exchanged.get(token)
        if other is not None:
            reply = with_items_of(reply, await ask(self._app, _at_page(self._scope, other), no_body))
        rules = [r for r in self._remaking_rules if Route.PAGE in r.on and r.fault.respell and _is_at(r, number)]
        members = members_of(reply) if rules else None
        if members is None:
            return reply
        items = [_respelled(item, rules) for item in msgspec.json.decode(members["items"], type=list[LineItem])]
        return with_members(reply, members | {"items": msgspec.Raw(msgspec.json.encode(items))})

    async def _manifest(self, reply: Reply) -> Reply:
        document = reply.json() if reply.good else None
        manifest = manifest_in(document)
        if manifest is None:
            return reply
        if self._memory.refused_links:
            self._memory.refused_links = False
            self._memory.links_renewed += 1
        root = urlsplit(manifest["rootDirectory"]).path
        self._memory.blobs[root] = [blob["name"] for blob in manifest["blobs"]]
        if not any(Route.BLOB in rule.on for rule in self._remaking_rules):
            return reply
        async with self._remaking:
            for number, blob in enumerate(manifest["blobs"], 1):
                rules = [rule for rule in self._remaking_rules if Route.BLOB in rule.on and _is_at(rule, number)]
                if rules:
                    await self._remake(f"{root}/{blob['name']}", manifest["sasToken"], blob, rules)
        return with_json(reply, document)

    async def _remake(self, path: str, sas: str, blob: Json, rules: list[Rule]) -> None:
        """Spell a blob otherwise, and have its manifest agree."""
        if path not in self._memory.remade:
            scope = {**_at_path(self._scope, path), "query_string": sas.encode(), "method": "GET"}
            scope["headers"] = [pair for pair in self._scope["headers"] if pair[0] == b"host"]
            served = await ask(self._app, scope, no_body)
            assert served.good, "a blob that was just listed is there"
            self._memory.remade[path] = await asyncio.to_thread(_remade, served.body, rules)
        body = self._memory.remade[path]
        blob |= {f"{MARK}sizeBytes": len(body), f"{MARK}sha256": hashlib.sha256(body).hexdigest()}

    async def _blob(self, path: str) -> Reply:
        scope = _at_path(self._scope, path)
        if self._memory.refused_links:
            return link_refused(Turn(self._route, scope, 1, 1, {}, "", self._memory, self._now()))
        body = self._memory.remade.get(path)
        if body is None:
            return await ask(self._app, scope, no_body)
        skipped = (b"range", b"x-ms-range", b"if-match", b"if-range", b"if-none-match")
        whole = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in skipped]}
        served = await ask(self._app, whole, no_body)
        return _part_of(served, body, scope, self._now()) if served.good else served


@dataclass(frozen=True, slots=True)
class _Behind:
    """What a rule asks: the rules behind it, and the server."""

    call: _Call
    index: int
    path: str | None = None
    token: str | None = None

    async def __call__(self, *, path: str | None = None, token: str | None = None) -> Reply:
        return await self.call.ask(
            self.index, self.path if path is None else path, self.token if token is None else token
        )


def _is_at(rule: Rule, number: int) -> bool:
    return not rule.at or number in rule.at


def _respelled(item: LineItem, rules: list[Rule]) -> LineItem:
    for rule in rules:
        if rule.fault.respell is not None:
            item = rule.fault.respell(item)
    return item


def _remade(body: bytes, rules: list[Rule]) -> bytes:
    items = (msgspec.json.decode(line, type=LineItem) for line in gzip.decompress(body).splitlines())
    lines = [msgspec.json.encode(_respelled(item, rules)) for item in items]
    repack = next((rule.fault.repack for rule in rules if rule.fault.repack is not None), packed)
    return repack(lines)


def _at_path(scope: Scope, path: str) -> Scope:
    return dict(scope) | {"path": path, "raw_path": quote(path).encode()}


def _at_page(scope: Scope, token: str) -> Scope:
    headers = [pair for pair in scope["headers"] if pair[0] != b"ms-continuationtoken"]
    if token:
        return dict(scope) | {"headers": [*headers, (b"ms-continuationtoken", token.encode("latin-1"))]}
    return dict(scope) | {"headers": headers, "query_string": _SEEK.sub(b"", scope["query_string"])}


def _part_of(served: Reply, body: bytes, scope: Scope, now: datetime) -> Reply:
    """Answer with what is asked for of other bytes, under conditions and ranges as the server would."""
    asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    etag = blob_storage.etag(hashlib.sha256(body).hexdigest())
    reply = replace(served, body=body).with_headers({"etag": etag, "content-length": str(len(body))})
    try:
        modified_at = parsedate_to_datetime(served.header("last-modified")).astimezone(UTC)
        if blob_storage.is_unmodified(asked, etag, modified_at):
            return replace(reply, status=304, body=b"").with_headers({"content-length": None})
        wanted = blob_storage.byte_range(asked, len(body), etag) if scope["method"] == "GET" else None
    except BadRequestError as error:
        told = refusal(Dialect.STORAGE, error, scope, now)
        return Reply(told.status, tuple(told.headers), told.body)
    if scope["method"] == "HEAD":
        return replace(reply, body=b"")
    if wanted is None:
        return reply
    part = body[wanted.start : wanted.end + 1]
    return replace(reply, status=206, body=part).with_headers({"content-range": wanted.content_range})
