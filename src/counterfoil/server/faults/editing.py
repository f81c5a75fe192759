"""How JSON answers and the manifests in them are changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Change
from counterfoil.server.faults.turns import Turn

MARK: Final = "@counterfoil."
Json = dict[str, Any]


def manifest_in(document: object) -> Json | None:
    """Return the manifest that an operation or manifest answer holds, the very object in it."""
    if not isinstance(document, dict):
        return None
    inside = document.get("resourceLocation", document)
    return inside if isinstance(inside, dict) and "blobs" in inside else None


def with_json(reply: Reply, document: object) -> Reply:
    """Return an answer with another JSON body."""
    return reply.with_body(json.dumps(document, ensure_ascii=False).encode())


def on_document(applies: Callable[[Json], bool], edit: Callable[[Turn, Json], None]) -> Change:
    """Return the change that edits a JSON object, where it is one of those meant."""

    def change(turn: Turn, reply: Reply) -> Reply | None:
        document = reply.json() if reply.good else None
        if not isinstance(document, dict) or not applies(document):
            return None
        edit(turn, document)
        return with_json(reply, document)

    return change


def on_manifest(edit: Callable[[Turn, Json], None]) -> Change:
    """Return the change that edits the manifest in an answer."""

    def on_inside(turn: Turn, document: Json) -> None:
        inside = manifest_in(document)
        assert inside is not None
        edit(turn, inside)

    return on_document(lambda document: manifest_in(document) is not None, on_inside)


def path_of(url: str) -> str:
    """Return a URL without its scheme and host."""
    return "/" + url.split("/", 3)[3]
