"""Blobs that are missing, swapped or replaced, and links that expire."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from counterfoil.testing.faults.error_faults import refused
from counterfoil.testing.faults.fault import AskServer, ClientOutcome, Instead, Route, ServerFault, Strike
from counterfoil.testing.faults.manifest_faults import manifest_in
from counterfoil.testing.faults.reply import Reply


def link_refused(strike: Strike) -> Reply:
    """Say that a link is no longer good."""
    return refused(strike, 403, "AuthenticationFailed", "Signature not valid in the specified time frame")


async def _missing(strike: Strike, ask: AskServer) -> Reply:
    return refused(strike, 404, "BlobNotFound", "The specified blob does not exist.")


async def _swapped(strike: Strike, ask: AskServer) -> Reply:
    folder, _, name = strike.scope["path"].rpartition("/")
    names = strike.memory.blobs.get(folder) or [name]
    return await ask(path=f"{folder}/{names[strike.number % len(names)]}")


async def _expired(strike: Strike, ask: AskServer) -> Reply:
    strike.memory.refused_links = True
    return link_refused(strike)


async def _range_ignored(strike: Strike, ask: AskServer) -> Reply:
    for name in (b"range", b"x-ms-range", b"if-match"):
        strike.scope["headers"] = [pair for pair in strike.scope["headers"] if pair[0] != name]
    return await ask()


async def _replaced(strike: Strike, ask: AskServer) -> Reply:
    if not any(name == b"if-match" for name, _ in strike.scope["headers"]):
        return await ask()
    return refused(strike, 412, "ConditionNotMet", "The condition specified is not met.")


async def _etag_changed(strike: Strike, ask: AskServer) -> Reply:
    """The first manifest is valid until a blob is fetched by it; then its links end, and the next has another eTag."""
    if strike.route is Route.BLOB:
        if strike.memory.links_renewed:
            return await ask()
        strike.memory.refused_links = True
        return link_refused(strike)
    reply = await ask()
    document = reply.json() if reply.good else None
    inside = manifest_in(document)
    if inside is None or not strike.memory.links_renewed:
        return reply
    inside["eTag"] = hashlib.sha256(inside["eTag"].encode()).hexdigest()[:32]
    return reply.with_json(document)


def _fault(name: str, about: str, instead: Instead, times: int | None = None, **more: Any) -> ServerFault:
    values = {"routes": (Route.BLOB,), "outcome": ClientOutcome.RECOVERS, "times": times} | more
    return ServerFault(name, "Blobs", about, instead=instead, **values)


_FIRST: Final[dict[str, Any]] = {"at": (1,), "outcome": ClientOutcome.FAILS}
_STEADY: Final[dict[str, Any]] = {"routes": (Route.OPERATION, Route.MANIFEST, Route.BLOB), "steady": True}
_UNTIL_ASKED: Final = "403: the links are no longer good, until the operation or manifest is asked for again"
_OTHER_ETAG: Final = "the links expire at the first blob, and the manifest that renews them is of another eTag"

BLOB_FAULTS: Final = (
    _fault("blob-missing", "404: the manifest lists it, and it is not there", _missing, **_FIRST),
    _fault("blob-swapped", "another blob of the same manifest comes", _swapped, **_FIRST),
    _fault("blob-swapped-once", "another blob comes, the first time", _swapped, 1, uses_retry=True),
    _fault("link-expired", _UNTIL_ASKED, _expired, 1, uses_retry=True, survived=1),
    _fault("etag-changed", _OTHER_ETAG, _etag_changed, **_STEADY),
    _fault("range-ignored", "200 and the whole blob, although a range was asked for", _range_ignored),
    _fault("blob-replaced", "412 for `If-Match`: another blob is there now", _replaced, 1),
)
