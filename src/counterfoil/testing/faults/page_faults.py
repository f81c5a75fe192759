"""Walks that go wrong: pages repeated, skipped, reordered, in a circle, or that end too soon.

A page says twice that there is more, and SDKs read one place or the other. Both are changed together, unless the
fault is that only one of them is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from counterfoil.testing.faults.fault import AskServer, Change, ClientOutcome, Instead, Route, ServerFault, Strike
from counterfoil.testing.faults.reply import Reply
from counterfoil.wire.tokens import CONTINUATION_HEADER
from counterfoil.wire.v1 import ETAG_HEADER

_TOKEN: Final = "continuationToken"  # noqa: S105 - a member's name
Members = dict[str, msgspec.Raw]


def members_of(reply: Reply) -> Members | None:
    """Return a page's members, each as its JSON text; None if this is not a page."""
    try:
        members = msgspec.json.decode(reply.plain_body(), type=Members) if reply.good else {}
    except msgspec.DecodeError:
        return None
    return members if "items" in members else None


def token_of(reply: Reply) -> str:
    """Return the token that leads to the page behind this one; empty on the last."""
    members = members_of(reply) or {}
    return str(msgspec.json.decode(members[_TOKEN])) if _TOKEN in members else ""


def with_members(reply: Reply, members: Members) -> Reply:
    """Return the page with other members."""
    return reply.with_body(msgspec.json.encode(members))


def with_items_of(reply: Reply, other: Reply) -> Reply:
    """Return the page with the items of another."""
    members, others = members_of(reply), members_of(other)
    if members is None or others is None:
        return reply
    return with_members(reply, members | {"items": others["items"], "totalCount": others["totalCount"]})


def _on_members(edit: Callable[[Strike, Members], Members | None], *, last: bool = True) -> Change:
    """Return the change that edits the members of a page, the last one's only if `last`."""

    def change(strike: Strike, reply: Reply) -> Reply | None:
        members = members_of(reply)
        if members is None or not (last or _TOKEN in members):
            return None
        edited = edit(strike, members)
        return with_members(reply, edited) if edited is not None else None

    return change


def _link_missing(_: Strike, members: Members) -> Members:
    links = msgspec.json.decode(members["links"], type=Members)
    links.pop("next", None)
    return members | {"links": msgspec.Raw(msgspec.json.encode(links))}


def _root_missing(_: Strike, members: Members) -> Members:
    return {name: raw for name, raw in members.items() if name != _TOKEN}


def _ends_early(strike: Strike, members: Members) -> Members:
    return _root_missing(strike, _link_missing(strike, members))


def _miscounted(strike: Strike, members: Members) -> Members | None:
    return members | {"totalCount": msgspec.Raw(b"1000000")}


def _looping(strike: Strike, members: Members) -> Members | None:
    """The page behind this one is this one."""
    if not strike.token:
        return None
    links: dict[str, Any] = msgspec.json.decode(members["links"])
    uri = links["self"]["uri"] + "&seekOperation=Next"
    header = {"key": CONTINUATION_HEADER, "value": strike.token}
    links["next"] = {"uri": uri, "method": "GET", "headers": [header]}
    raw = {_TOKEN: strike.token, "links": links}
    return members | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in raw.items()}


async def _repeated(strike: Strike, ask: AskServer) -> Reply:
    known = strike.memory.pages.get(strike.token)
    return await ask(token=known[1] if known is not None else strike.token)


async def _skipped(strike: Strike, ask: AskServer) -> Reply:
    reply = await ask()
    following = token_of(reply)
    return await ask(token=following) if following else reply


async def _reordered(strike: Strike, ask: AskServer) -> Reply:
    reply = await ask()
    following = token_of(reply)
    if following:
        strike.memory.exchanged |= {strike.token: following, following: strike.token}
        return await ask()
    return reply


def _etag_changed(strike: Strike, reply: Reply) -> Reply | None:
    etag = reply.header(ETAG_HEADER.lower())
    return reply.with_headers({ETAG_HEADER: etag[::-1]}) if etag else None


def _fault(name: str, about: str, change: Change, outcome: ClientOutcome, **more: Any) -> ServerFault:
    return ServerFault(name, "Pages", about, (Route.PAGE,), outcome, change=change, **more)


def _other(name: str, about: str, instead: Instead) -> ServerFault:
    return ServerFault(name, "Pages", about, (Route.PAGE,), ClientOutcome.DETECTS, instead, times=1, at=(2,))


_RECOVERS, _DETECTS, _FAILS = ClientOutcome.RECOVERS, ClientOutcome.DETECTS, ClientOutcome.FAILS
_LOOPING, _ENDS_EARLY = _on_members(_looping), _on_members(_ends_early, last=False)
_NO_LINK, _NO_TOKEN = _on_members(_link_missing, last=False), _on_members(_root_missing, last=False)
_TOKEN_ALONE: Final = "no `links.next`, only the `continuationToken` beside the items"  # noqa: S105 - a description
_LINK_ALONE: Final = "no `continuationToken` beside the items, only `links.next`"
_OTHER_DATA: Final = "the `Counterfoil-ETag` is not that of the pages before"

PAGE_FAULTS: Final = (
    _other("page-repeated", "the page before comes once more, whole", _repeated),
    _other("page-skipped", "the page behind comes in this one's place", _skipped),
    _other("page-reordered", "a page and the one behind it exchange their items", _reordered),
    _fault("page-looping", "a page leads to itself, again and again", _LOOPING, _FAILS, at=(2,)),
    _fault("page-ends-early", "a page looks like the last one, and is not", _ENDS_EARLY, _FAILS, at=(1,)),
    _fault("page-without-link", _TOKEN_ALONE, _NO_LINK, _RECOVERS),
    _fault("page-without-token", _LINK_ALONE, _NO_TOKEN, _RECOVERS),
    _fault("page-miscounted", "`totalCount` is nonsense", _on_members(_miscounted), _RECOVERS),
    _fault("page-of-other-data", _OTHER_DATA, _etag_changed, _DETECTS, times=1, at=(2,)),
)
