"""Manifests that are elsewhere, incomplete or wrong, and those that prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from counterfoil.testing.faults.fault import (
    Change,
    ClientOutcome,
    Json,
    Parameter,
    Route,
    ServerFault,
    Strike,
    on_document,
    path_of,
)
from counterfoil.testing.faults.reply import Reply
from counterfoil.wire.graph import ANNOTATION_PREFIX

_MANIFEST: Final = (Route.OPERATION, Route.MANIFEST)


def manifest_in(document: object) -> Json | None:
    """Return the manifest that an operation or manifest answer holds, the very object in it."""
    if not isinstance(document, dict):
        return None
    inside = document.get("resourceLocation", document)
    return inside if isinstance(inside, dict) and "blobs" in inside else None


def _on_manifest(edit: Callable[[Strike, Json], None]) -> Change:
    def on_inside(strike: Strike, document: Json) -> None:
        inside = manifest_in(document)
        assert inside is not None
        edit(strike, inside)

    return on_document(lambda document: manifest_in(document) is not None, on_inside)


def _by_link(key: str, of: Callable[[str, str], object]) -> Change:
    def edit(strike: Strike, document: Json) -> None:
        inside = document.pop("resourceLocation")
        root = inside["@odata.context"].partition("/$metadata")[0]
        document[key] = of(f"{root}/reports/partners/billing/manifests/{inside['id']}", inside["id"])

    return on_document(lambda document: isinstance(document.get("resourceLocation"), dict), edit)


def _as_in_the_example(strike: Strike, manifest: Json) -> None:
    manifest |= {"dataFormat": "compressedJSON", "partitionType": "Default"}


def _with_punctuation(strike: Strike, manifest: Json) -> None:
    manifest["rootDirectory"] += "/"
    manifest["sasToken"] = "?" + manifest["sasToken"]


def _blob_left_out(strike: Strike, manifest: Json) -> None:
    del manifest["blobs"][strike.draw(len(manifest["blobs"]))]


def _short(strike: Strike, manifest: Json) -> None:
    _blob_left_out(strike, manifest)
    manifest["blobCount"] = len(manifest["blobs"])


def _doubled(strike: Strike, manifest: Json) -> None:
    manifest["blobs"].append(manifest["blobs"][strike.draw(len(manifest["blobs"]))])
    manifest["blobCount"] = len(manifest["blobs"])


def _empty(strike: Strike, manifest: Json) -> None:
    manifest |= {"blobs": [], "blobCount": 0}


def _to_private_host(strike: Strike, manifest: Json) -> None:
    manifest["rootDirectory"] = strike.given["url"] + path_of(manifest["rootDirectory"])


def _to_parent(strike: Strike, manifest: Json) -> None:
    manifest["blobs"][0]["name"] = "../../" + manifest["blobs"][0]["name"]


def _unannotated(strike: Strike, reply: Reply) -> Reply | None:
    """Take away all by which Counterfoil proves what it sends, and Microsoft does not."""
    marked = {name.decode(): None for name, _ in reply.headers if name.startswith(b"counterfoil-")}
    reply = reply.with_headers(marked)
    document = reply.json() if strike.route is not Route.PAGE and reply.good else None
    inside = manifest_in(document)
    if inside is None:
        return reply if marked else None
    for each in (inside, *inside["blobs"]):
        for name in [name for name in each if name.startswith(ANNOTATION_PREFIX)]:
            del each[name]
    return reply.with_json(document)


def _fault(name: str, about: str, change: Change, **more: Any) -> ServerFault:
    values = {"routes": _MANIFEST, "outcome": ClientOutcome.RECOVERS} | more
    return ServerFault(name, "Manifests", about, change=change, **values)


def _edited(name: str, about: str, edit: Callable[[Strike, Json], None], **more: Any) -> ServerFault:
    return _fault(name, about, _on_manifest(edit), **more)


def _linked(name: str, about: str, key: str, of: Callable[[str, str], object]) -> ServerFault:
    return _fault(name, about, _by_link(key, of), routes=(Route.OPERATION,))


_NAVIGATION, _LOCATION = "resourceLocation@odata.navigationLink", "resourceLocation"
_BY_LINK: Final = f"no manifest in the operation, but its address as `{_NAVIGATION}`"
_BY_ID: Final = "`resourceLocation` holds nothing but the manifest's id"
_BARE: Final = "nothing by which a download could be proven: no `@counterfoil.` members, no `Counterfoil-` headers"
_URL: Final = {"url": Parameter("http://169.254.169.254", "where they are said to be")}
_FAILS: Final[dict[str, Any]] = {"outcome": ClientOutcome.FAILS}
_INSIDE: Final = "the blobs are on another host, inside the caller's network"
_EXAMPLE: Final = "`compressedJSON` and `Default`, as the reference's example has it"

MANIFEST_FAULTS: Final = (
    _linked("manifest-by-link", _BY_LINK, _NAVIGATION, lambda url, _: url),
    _linked("manifest-by-address", "`resourceLocation` is the manifest's address", _LOCATION, lambda url, _: url),
    _linked("manifest-by-id", _BY_ID, _LOCATION, lambda _, id_: {"id": id_}),
    _edited("manifest-as-in-the-example", _EXAMPLE, _as_in_the_example),
    _edited("manifest-punctuated", "`/` behind the root directory, `?` before the token", _with_punctuation),
    _edited("manifest-miscounted", "one blob is not listed, but counted", _blob_left_out, **_FAILS),
    _edited("manifest-short", "one blob is neither listed nor counted", _short, **_FAILS),
    _edited("manifest-doubled", "one blob is listed and counted twice", _doubled, outcome=ClientOutcome.DETECTS),
    _edited("manifest-empty", "there are no blobs", _empty, **_FAILS),
    _edited("manifest-elsewhere", _INSIDE, _to_private_host, parameters=_URL, **_FAILS),
    _edited("manifest-climbing", "a blob's name leads out of its folder", _to_parent, **_FAILS),
    _fault("unannotated", _BARE, _unannotated, routes=(*_MANIFEST, Route.PAGE), steady=True),
)
