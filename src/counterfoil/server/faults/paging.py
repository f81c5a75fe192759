"""Walks that go wrong: pages repeated, skipped, reordered, in a circle, or that end too soon.

What a newcomer would get wrong: a page says twice that there is more, and SDKs read one or the other place. Both are
changed together, unless the fault is that only one of them is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Change, Fault, Instead, Outcome
from counterfoil.server.faults.turns import Ask, Route, Turn
from counterfoil.wire.tokens import CONTINUATION_HEADER

_GROUP: Final = "Pages"
_PAGE: Final = (Route.PAGE,)
_TOKEN: Final = "continuationToken"  # noqa: S105 - a member's name
Members = dict[str, msgspec.Raw]


def members_of(reply: Reply) -> Members | None:
    """Return a page's members, each as its JSON stands; None if this is no page."""
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


def _on_members(edit: Callable[[Turn, Members], Members | None]) -> Change:
    def change(turn: Turn, reply: Reply) -> Reply | None:
        members = members_of(reply)
        edited = edit(turn, members) if members is not None else None
        return with_members(reply, edited) if edited is not None else None

    return change


def _without_next(members: Members) -> Members:
    links = msgspec.json.decode(members["links"], type=Members)
    links.pop("next", None)
    return members | {"links": msgspec.Raw(msgspec.json.encode(links))}


def _link_missing(turn: Turn, members: Members) -> Members | None:
    return _without_next(members) if _TOKEN in members else None


def _root_missing(turn: Turn, members: Members) -> Members | None:
    return {name: raw for name, raw in members.items() if name != _TOKEN} if _TOKEN in members else None


def _ends_early(turn: Turn, members: Members) -> Members | None:
    return _root_missing(turn, _without_next(members)) if _TOKEN in members else None


def _miscounted(turn: Turn, members: Members) -> Members | None:
    return members | {"totalCount": msgspec.Raw(b"1000000")}


def _looping(turn: Turn, members: Members) -> Members | None:
    """The page behind this one is this one."""
    if not turn.token:
        return None
    links: dict[str, Any] = msgspec.json.decode(members["links"])
    uri = links["self"]["uri"] + "&seekOperation=Next"
    header = {"key": CONTINUATION_HEADER, "value": turn.token}
    links["next"] = {"uri": uri, "method": "GET", "headers": [header]}
    raw = {_TOKEN: turn.token, "links": links}
    return members | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in raw.items()}


async def _repeated(turn: Turn, ask: Ask) -> Reply:
    known = turn.memory.pages.get(turn.token)
    return await ask(token=known[1] if known is not None else turn.token)


async def _skipped(turn: Turn, ask: Ask) -> Reply:
    reply = await ask()
    following = token_of(reply)
    return await ask(token=following) if following else reply


async def _reordered(turn: Turn, ask: Ask) -> Reply:
    reply = await ask()
    following = token_of(reply)
    if following:
        turn.memory.exchanged |= {turn.token: following, following: turn.token}
        return await ask()
    return reply


def _etag_changed(turn: Turn, reply: Reply) -> Reply | None:
    etag = reply.header("counterfoil-etag")
    return reply.with_headers({"counterfoil-etag": etag[::-1]}) if etag else None


def _changed(name: str, about: str, change: Change, outcome: Outcome, times: int | None = None, **more: Any) -> Fault:
    return Fault(name, _GROUP, about, _PAGE, outcome, change=change, times=times, **more)


def _in_place_of(name: str, about: str, instead: Instead, **more: Any) -> Fault:
    return Fault(name, _GROUP, about, _PAGE, Outcome.DETECTS, instead=instead, times=1, at=(2,), **more)


PAGES: Final = (
    _in_place_of("page-repeated", "the page before comes once more, whole", _repeated),
    _in_place_of("page-skipped", "the page behind comes in this one's place", _skipped),
    _in_place_of("page-reordered", "a page and the one behind it exchange their items", _reordered),
    _changed("page-looping", "a page leads to itself, again and again", _on_members(_looping), Outcome.FAILS, at=(2,)),
    _changed(
        "page-ends-early",
        "a page looks like the last one, and is not",
        _on_members(_ends_early),
        Outcome.FAILS,
        at=(1,),
    ),
    _changed(
        "page-without-link",
        "no `links.next`, only the `continuationToken` beside the items",
        _on_members(_link_missing),
        Outcome.RECOVERS,
    ),
    _changed(
        "page-without-token",
        "no `continuationToken` beside the items, only `links.next`",
        _on_members(_root_missing),
        Outcome.RECOVERS,
    ),
    _changed("page-miscounted", "`totalCount` is nonsense", _on_members(_miscounted), Outcome.RECOVERS),
    _changed(
        "page-of-other-data",
        "the `Counterfoil-ETag` is not that of the pages before",
        _etag_changed,
        Outcome.DETECTS,
        times=1,
        at=(2,),
    ),
)
