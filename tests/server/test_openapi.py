"""The OpenAPI document and the routes describe each other: neither has what the other lacks."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from counterfoil.server import health
from counterfoil.server.app import routed
from counterfoil.server.openapi import document
from counterfoil.testing import Server
from counterfoil.wire import v1
from counterfoil.wire.blob_storage import BlobPath
from counterfoil.wire.graph_paths import EXPORT_ACTIONS
from tests.server.serving import PARTNER, Place

# What is answered and not documented: the document and its page themselves, and what only says that it is not served.
UNDOCUMENTED = {"/openapi.json", "/docs"}
EXAMPLES = {"provider": "onetime", "invoicelineitemtype": "usagelineitems", "partner": PARTNER, "revision": "0" * 32}
EXAMPLES |= {"attributes": "full", "name": "part-00000.json.gz"}


def in_its_first_spelling(path: str) -> str:
    stem, _, last = path.rpartition("/")
    return f"{stem}/export" if last in EXPORT_ACTIONS else path


def test_every_route_is_documented_and_everything_documented_is_routed() -> None:
    with Server() as server:
        routes = routed(server.service).routes
    served: set[tuple[str, str]] = set()
    for route in routes:
        path, methods = getattr(route, "path", ""), getattr(route, "methods", set[str]())
        assert len(methods) == 1
        if path not in UNDOCUMENTED and "aggregatedUsage" not in path:
            served.add((path, *methods))
    documented = {
        (in_its_first_spelling(path), method.upper())
        for path, item in document()["paths"].items()
        for method in item
        if not path.startswith(("/v1/", "/blobs/"))
    }
    assert documented == served
    assert len(served) > 40


def test_documented_paths_of_plain_applications_are_such_that_they_read() -> None:
    paths = [path for path in document()["paths"] if path.startswith(("/v1/", "/blobs/"))]
    for path in paths:
        filled = path.format(**EXAMPLES)
        assert BlobPath.parse(filled.encode()).text if path.startswith("/blobs/") else v1.read_path(filled)
    assert len(paths) == 3


def test_every_reference_leads_somewhere_and_every_operation_has_one_id() -> None:
    described = document()

    def references(within: Any) -> set[str]:
        if isinstance(within, dict):
            own = {within["$ref"]} if "$ref" in within else set()
            return own.union(*map(references, within.values()))
        return set().union(*map(references, within)) if isinstance(within, list) else set()

    schemas = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described["paths"]) == schemas
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)


def test_document_and_page_are_made_once_however_often_they_are_asked_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    def counted() -> dict[str, Any]:
        made.append(document())
        return made[-1]

    monkeypatch.setattr(health, "document", counted)
    answers = {place.client.get(f"{place.url}{path}").text for path in ("/openapi.json", "/docs") for _ in range(5)}
    assert (len(answers), len(made)) == (2, 2)


def test_the_document_comes_packed_to_whoever_reads_gzip(place: Place) -> None:
    with place.client.stream("GET", f"{place.url}/openapi.json", headers={"Accept-Encoding": "gzip"}) as packed:
        body = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
    plain = place.client.get(f"{place.url}/openapi.json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert json.loads(gzip.decompress(body)) == json.loads(plain.content) == json.loads(json.dumps(document()))
    assert plain.headers["vary"] == "accept-encoding"
