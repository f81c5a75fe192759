"""The application around the server that makes it hostile: finds the rules that match a request, and applies them.

Without rules it passes everything on unchanged. With rules it reads whole answers into memory, so it is for development
only. The first rule is the outermost: it may answer without asking what is inside, and sees answers last.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.errors import BadRequestError
from counterfoil.server.blob_routes import blob_head
from counterfoil.server.error_responses import ApiDialect
from counterfoil.testing.faults.blob_faults import link_refused
from counterfoil.testing.faults.fault import Json, LineItem, Memory, Route, Strike, route_of
from counterfoil.testing.faults.fault_plan import FaultPlan, Rule
from counterfoil.testing.faults.manifest_faults import manifest_in
from counterfoil.testing.faults.page_faults import members_of, token_of, with_items_of, with_members
from counterfoil.testing.faults.reply import Reply, ask, deliver, no_body, reply_to
from counterfoil.testing.faults.spelling_faults import packed
from counterfoil.testing.request_journal import STRUCK
from counterfoil.wire import graph

_SEEK: Final = re.compile(rb"&?seekoperation=[^&]*", re.IGNORECASE)


@dataclass(slots=True)
class _RuleState:
    """A rule, how often a request matched it, and how often it struck."""

    rule: Rule
    seed: str
    met: int = 0
    struck: int = 0

    def due(self) -> bool:
        """Note a request that the rule is about; return whether it strikes."""
        self.met += 1
        return self.met > self.rule.skip and (self.rule.times is None or self.struck < self.rule.times)


class FaultyApp:
    """An application with faults around it. `add` and `reset` may be called from any thread, while it serves."""

    def __init__(self, app: ASGIApp, now: Callable[[], datetime], plan: FaultPlan | None = None) -> None:
        self._app = app
        self._now = now
        self._seed = plan.seed if plan is not None else 0
        self._armed: tuple[_RuleState, ...] = ()
        self._memory = Memory()
        for rule in plan.rules if plan is not None else ():
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Have one more rule, behind those that are there."""
        self._armed = (*self._armed, _RuleState(rule, f"{self._seed} {len(self._armed)}"))

    def strikes(self) -> list[tuple[Rule, int]]:
        """Return the rules, and how often each has struck."""
        return [(armed.rule, armed.struck) for armed in self._armed]

    def reset(self) -> None:
        """Forget all rules and what they have done."""
        self._armed, self._memory = (), Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, rightly or wrongly."""
        armed = self._armed
        route = route_of(scope) if armed else None
        if route is None:
            await self._app(scope, receive, send)
            return
        strike = Strike(route, scope, self._memory, self._now())
        # A submit and a token have a body, and are asked for only once.
        call = _Call(self._app, strike, receive if scope["method"] == "POST" else no_body, armed)
        await deliver(await call.reply(), scope, receive, send)


@dataclass(slots=True)
class _Call:
    """One request on its way through the rules to the server and back."""

    _app: ASGIApp
    _request: Strike  # as long as no rule strikes
    _receive: Receive
    _armed: tuple[_RuleState, ...]

    def _remaking_rules(self, route: Route, number: int) -> list[Rule]:
        return [each.rule for each in self._armed if each.rule.fault.remakes and each.rule.meets(route, number)]

    async def reply(self) -> Reply:
        """Return what the caller gets."""
        met = (each for each in self._armed if each.rule.meets(self._request.route, self._request.number))
        return await self._ask([each for each in met if not each.rule.fault.remakes], None, None)

    async def _ask(self, met: Sequence[_RuleState], path: str | None, token: str | None) -> Reply:
        """Return the answer of these rules, and of the server behind them."""
        if not met:
            return await self._served(path, token)
        armed, *behind = met
        instead = armed.rule.fault.instead
        if instead is None:
            return self._changed(armed, await self._ask(behind, path, token))
        if not armed.due():
            return await self._ask(behind, path, token)
        self._note_strike(armed)
        given_path, given_token = path, token

        async def ask_behind(*, path: str | None = None, token: str | None = None) -> Reply:
            own = given_path if path is None else path, given_token if token is None else token
            return await self._ask(behind, *own)

        return await instead(self._strike(armed, armed.struck), ask_behind)

    def _changed(self, armed: _RuleState, reply: Reply) -> Reply:
        """Change an answer, if the rule is due and finds something in it to change."""
        change = armed.rule.fault.change
        assert change is not None
        changed = change(self._strike(armed, armed.struck + 1), reply)
        if changed is None or not armed.due():
            return reply
        self._note_strike(armed)
        return changed

    def _note_strike(self, armed: _RuleState) -> None:
        armed.struck += 1
        self._request.scope.get(STRUCK, []).append(armed.rule.fault.name)

    def _strike(self, armed: _RuleState, count: int) -> Strike:
        return replace(self._request, count=count, given=armed.rule.given, seed=armed.seed)

    # --- the server, with what must be so whatever rules strike ---------------------------------------------------

    async def _served(self, path: str | None, token: str | None) -> Reply:
        request = self._request
        if request.route is Route.PAGE:
            return await self._page(request.token if token is None else token)
        if request.route is Route.BLOB:
            return await self._blob(path or request.scope["path"])
        reply = await ask(self._app, dict(request.scope), self._receive)
        if request.route in (Route.OPERATION, Route.MANIFEST):
            return await self._manifest(reply)
        return reply

    async def _page(self, token: str) -> Reply:
        reply = await ask(self._app, _at_page(self._request.scope, token), no_body)
        following = token_of(reply)
        number = self._request.memory.page_number(token)
        if following and number:
            self._request.memory.pages.put(following, (number + 1, token))
        other = self._request.memory.exchanged.get(token)
        if other is not None:
            reply = with_items_of(reply, await ask(self._app, _at_page(self._request.scope, other), no_body))
        rules = self._remaking_rules(Route.PAGE, number)
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
        if self._request.memory.refused_links:
            self._request.memory.refused_links = False
            self._request.memory.links_renewed += 1
        root = urlsplit(manifest["rootDirectory"]).path
        self._request.memory.blobs[root] = [blob["name"] for blob in manifest["blobs"]]
        remade = False
        async with self._request.memory.remaking:
            for number, blob in enumerate(manifest["blobs"], 1):
                if rules := self._remaking_rules(Route.BLOB, number):
                    await self._remake(f"{root}/{blob['name']}", manifest["sasToken"], blob, rules)
                    remade = True
        return reply.with_json(document) if remade else reply

    async def _remake(self, path: str, sas: str, blob: Json, rules: list[Rule]) -> None:
        """Spell a blob otherwise, and have its manifest agree."""
        if path not in self._request.memory.remade:
            scope = {**_at_path(self._request.scope, path), "query_string": sas.encode(), "method": "GET"}
            scope["headers"] = [pair for pair in self._request.scope["headers"] if pair[0] == b"host"]
            served = await ask(self._app, scope, no_body)
            assert served.good, "a blob that was just listed is there"
            self._request.memory.remade[path] = await asyncio.to_thread(_remade, served.body, rules)
        body = self._request.memory.remade[path]
        blob |= {graph.SIZE_BYTES: len(body), graph.SHA256: hashlib.sha256(body).hexdigest()}

    async def _blob(self, path: str) -> Reply:
        scope = _at_path(self._request.scope, path)
        if self._request.memory.refused_links:
            return link_refused(self._request)
        body = self._request.memory.remade.get(path)
        if body is None:
            return await ask(self._app, scope, no_body)
        skipped = (b"range", b"x-ms-range", b"if-match", b"if-range", b"if-none-match")
        whole = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in skipped]}
        served = await ask(self._app, whole, no_body)
        return _part_of(served, body, scope, self._request.now) if served.good else served


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
    modified_at = parsedate_to_datetime(served.header("last-modified"))
    try:
        head = blob_head(scope, hashlib.sha256(body).hexdigest(), len(body), modified_at)
    except BadRequestError as error:
        return reply_to(error, ApiDialect.STORAGE, scope, now)
    part = body[head.start : head.start + head.length] if scope["method"] == "GET" else b""
    return Reply(head.status, tuple(head.headers), part)
