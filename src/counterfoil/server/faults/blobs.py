"""Blobs that are missing, exchanged or replaced, and links that end."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from counterfoil.server.faults.editing import manifest_in, with_json
from counterfoil.server.faults.refusing import storage_reply
from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Fault, Instead, Outcome
from counterfoil.server.faults.turns import Ask, Route, Turn

_GROUP: Final = "Blobs"
_BLOB: Final = (Route.BLOB,)


def link_refused(turn: Turn) -> Reply:
    """Say that a link is no longer good."""
    return storage_reply(turn, 403, "AuthenticationFailed", "Signature not valid in the specified time frame")


async def _missing(turn: Turn, ask: Ask) -> Reply:
    return storage_reply(turn, 404, "BlobNotFound", "The specified blob does not exist.")


async def _swapped(turn: Turn, ask: Ask) -> Reply:
    folder, _, name = turn.scope["path"].rpartition("/")
    names = turn.memory.blobs.get(folder) or [name]
    return await ask(path=f"{folder}/{names[turn.number % len(names)]}")


async def _expired(turn: Turn, ask: Ask) -> Reply:
    turn.memory.refused_links = True
    return link_refused(turn)


async def _range_ignored(turn: Turn, ask: Ask) -> Reply:
    for name in (b"range", b"x-ms-range", b"if-match"):
        turn.scope["headers"] = [pair for pair in turn.scope["headers"] if pair[0] != name]
    return await ask()


async def _replaced(turn: Turn, ask: Ask) -> Reply:
    if not any(name == b"if-match" for name, _ in turn.scope["headers"]):
        return await ask()
    return storage_reply(turn, 412, "ConditionNotMet", "The condition specified is not met.")


async def _etag_changed(turn: Turn, ask: Ask) -> Reply:
    """The first manifest stands until a blob is fetched by it; then its links end, and the next is of another eTag."""
    if turn.route is Route.BLOB:
        if turn.memory.links_renewed:
            return await ask()
        turn.memory.refused_links = True
        return link_refused(turn)
    reply = await ask()
    document = reply.json() if reply.good else None
    inside = manifest_in(document)
    if inside is None or not turn.memory.links_renewed:
        return reply
    inside["eTag"] = hashlib.sha256(inside["eTag"].encode()).hexdigest()[:32]
    return with_json(reply, document)


def _blob(name: str, about: str, instead: Instead, outcome: Outcome, times: int | None, **more: Any) -> Fault:
    return Fault(name, _GROUP, about, _BLOB, outcome, instead=instead, times=times, **more)


BLOBS: Final = (
    _blob("blob-missing", "404: the manifest lists it, and it is not there", _missing, Outcome.FAILS, None, at=(1,)),
    _blob("blob-swapped", "another blob of the same manifest comes", _swapped, Outcome.FAILS, None, at=(1,)),
    _blob("blob-swapped-once", "another blob comes, the first time", _swapped, Outcome.RECOVERS, 1, patience=True),
    _blob(
        "link-expired",
        "403: the links are no longer good, until the operation or manifest is asked for again",
        _expired,
        Outcome.RECOVERS,
        1,
        patience=True,
        borne=1,
    ),
    Fault(
        "etag-changed",
        _GROUP,
        "the links expire at the first blob, and the manifest that renews them is of another eTag",
        (Route.OPERATION, Route.MANIFEST, Route.BLOB),
        Outcome.RECOVERS,
        instead=_etag_changed,
        steady=True,
    ),
    _blob(
        "range-ignored",
        "200 and the whole blob, although a range was asked for",
        _range_ignored,
        Outcome.RECOVERS,
        None,
    ),
    _blob("blob-replaced", "412 for `If-Match`: another blob is there now", _replaced, Outcome.RECOVERS, 1),
)
