"""Manifests that are elsewhere, incomplete or wrong, and those that prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from counterfoil.server.faults.editing import MARK, Json, manifest_in, on_document, on_manifest, path_of, with_json
from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Change, Fault, Outcome, Parameter, Value
from counterfoil.server.faults.turns import Route, Turn

_GROUP: Final = "Manifests"
_OPERATION: Final = (Route.OPERATION,)
_MANIFEST: Final = (Route.OPERATION, Route.MANIFEST)


def _by_link(key: str, of: Callable[[str, str], object]) -> Change:
    def edit(turn: Turn, document: Json) -> None:
        inside = document.pop("resourceLocation")
        root = inside["@odata.context"].partition("/$metadata")[0]
        document[key] = of(f"{root}/reports/partners/billing/manifests/{inside['id']}", inside["id"])

    return on_document(lambda document: isinstance(document.get("resourceLocation"), dict), edit)


def _as_in_the_example(turn: Turn, manifest: Json) -> None:
    manifest |= {"dataFormat": "compressedJSON", "partitionType": "Default"}


def _with_punctuation(turn: Turn, manifest: Json) -> None:
    manifest["rootDirectory"] += "/"
    manifest["sasToken"] = "?" + manifest["sasToken"]


def _blob_left_out(turn: Turn, manifest: Json) -> None:
    del manifest["blobs"][turn.draw(len(manifest["blobs"]))]


def _short(turn: Turn, manifest: Json) -> None:
    _blob_left_out(turn, manifest)
    manifest["blobCount"] = len(manifest["blobs"])


def _doubled(turn: Turn, manifest: Json) -> None:
    manifest["blobs"].append(manifest["blobs"][turn.draw(len(manifest["blobs"]))])
    manifest["blobCount"] = len(manifest["blobs"])


def _empty(turn: Turn, manifest: Json) -> None:
    manifest |= {"blobs": [], "blobCount": 0}


def _to_private_host(turn: Turn, manifest: Json) -> None:
    manifest["rootDirectory"] = turn.given["url"] + path_of(manifest["rootDirectory"])


def _to_parent(turn: Turn, manifest: Json) -> None:
    manifest["blobs"][0]["name"] = "../../" + manifest["blobs"][0]["name"]


def unannotated(turn: Turn, reply: Reply) -> Reply | None:
    """Take away all by which Counterfoil proves what it sends, and Microsoft does not."""
    marked = {name.decode(): None for name, _ in reply.headers if name.startswith(b"counterfoil-")}
    reply = reply.with_headers(marked)
    document = reply.json() if turn.route is not Route.PAGE and reply.good else None
    inside = manifest_in(document)
    if inside is None:
        return reply if marked else None
    for each in (inside, *inside["blobs"]):
        for name in [name for name in each if name.startswith(MARK)]:
            del each[name]
    return with_json(reply, document)


def _manifest(
    name: str, about: str, change: Change, outcome: Outcome = Outcome.RECOVERS, routes: tuple[Route, ...] = _MANIFEST
) -> Fault:
    return Fault(name, _GROUP, about, routes, outcome, change=change)


_NAVIGATION: Final = "resourceLocation@odata.navigationLink"

MANIFESTS: Final = (
    _manifest(
        "manifest-by-link",
        "no manifest in the operation, but its address as `resourceLocation@odata.navigationLink`",
        _by_link(_NAVIGATION, lambda url, _: url),
        routes=_OPERATION,
    ),
    _manifest(
        "manifest-by-address",
        "`resourceLocation` is the manifest's address",
        _by_link("resourceLocation", lambda url, _: url),
        routes=_OPERATION,
    ),
    _manifest(
        "manifest-by-id",
        "`resourceLocation` holds nothing but the manifest's id",
        _by_link("resourceLocation", lambda _, id_: {"id": id_}),
        routes=_OPERATION,
    ),
    _manifest(
        "manifest-as-in-the-example",
        "`compressedJSON` and `Default`, as the reference's example has it",
        on_manifest(_as_in_the_example),
    ),
    _manifest(
        "manifest-punctuated", "`/` behind the root directory, `?` before the token", on_manifest(_with_punctuation)
    ),
    _manifest("manifest-miscounted", "one blob is not listed, but counted", on_manifest(_blob_left_out), Outcome.FAILS),
    _manifest("manifest-short", "one blob is neither listed nor counted", on_manifest(_short), Outcome.FAILS),
    _manifest("manifest-doubled", "one blob is listed and counted twice", on_manifest(_doubled), Outcome.DETECTS),
    _manifest("manifest-empty", "there are no blobs", on_manifest(_empty), Outcome.FAILS),
    Fault(
        "manifest-elsewhere",
        _GROUP,
        "the blobs are on another host, inside the caller's network",
        _MANIFEST,
        Outcome.FAILS,
        change=on_manifest(_to_private_host),
        parameters={"url": Parameter("http://169.254.169.254", Value.TEXT, "where they are said to be")},
    ),
    _manifest("manifest-climbing", "a blob's name leads out of its folder", on_manifest(_to_parent), Outcome.FAILS),
    Fault(
        "unannotated",
        _GROUP,
        "nothing by which a download could be proven: no `@counterfoil.` members, no `Counterfoil-` headers",
        (*_MANIFEST, Route.PAGE),
        Outcome.RECOVERS,
        change=unannotated,
        steady=True,
    ),
)
