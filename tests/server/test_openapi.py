"""The OpenAPI document and the routes describe each other: neither has what the other lacks."""

from __future__ import annotations

import gzip
import json
import re
from datetime import timedelta
from importlib import metadata
from itertools import product
from typing import Any

import pytest

from counterfoil import lifetimes_and_sizes
from counterfoil.model import GUID_PATTERN, AttributeSet, Kind
from counterfoil.server import health
from counterfoil.server.app import routed
from counterfoil.server.openapi import document, resolved
from counterfoil.testing import Server
from counterfoil.wire import blob_links, blob_storage, graph, oauth, tokens, v1
from counterfoil.wire.blob_listing import BlobDirectory
from counterfoil.wire.blob_storage import BlobPath
from counterfoil.wire.graph_paths import EXPORT_ACTIONS
from tests.server.serving import PARTNER, Place

# What is answered and not documented: the document and its page themselves, and what only says that it is not served.
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs.js", "/"}
JSON = "application/json"
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
        if path.startswith("/v1/"):
            assert v1.read_path(filled)
        else:
            reads = BlobPath.parse if path.endswith("/{name}") else BlobDirectory.may_be
            assert reads(filled.encode())
    assert len(paths) == 4


def test_every_reference_leads_somewhere_and_every_operation_has_one_id() -> None:
    described = document()

    def references(within: Any) -> set[str]:
        if isinstance(within, dict):
            own = {within["$ref"]} if "$ref" in within else set()
            return own.union(*map(references, within.values()))
        return set().union(*map(references, within)) if isinstance(within, list) else set()

    shared = {section: named for section, named in described["components"].items() if section != "securitySchemes"}
    components = {f"#/components/{section}/{name}" for section, named in shared.items() for name in named}
    assert references(described) == components
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)


def test_every_export_is_there_under_each_name_of_its_action() -> None:
    paths = document()["paths"]
    for version, kind, scope in product(graph.VERSIONS, Kind, ("billed", "unbilled")):
        stem = f"/{version}/{graph.BILLING}/{kind}/{scope}"
        assert all(f"{stem}/{action}" in paths for action in EXPORT_ACTIONS)


def test_what_the_document_says_of_limits_and_words_is_what_the_code_enforces() -> None:
    described = document()
    components = described["components"]
    parameters = {name: each["schema"] for name, each in components["parameters"].items()}
    page = components["schemas"]["V1Page"]["properties"]
    assert described["info"]["version"] == metadata.version("counterfoil")
    assert page["items"]["maxItems"] == parameters["V1Size"]["default"] == lifetimes_and_sizes.PAGE_LINE_ITEMS_MAX
    assert set(re.findall(r"\d+", components["parameters"]["V1Size"]["description"])) == {
        str(lifetimes_and_sizes.PAGE_LINE_ITEMS_MAX)
    }
    assert parameters["IdempotencyKey"]["maxLength"] == graph.IDEMPOTENCY_KEY_LENGTH_MAX
    assert parameters["MSContinuationToken"]["maxLength"] == tokens.CONTINUATION_LENGTH_MAX
    assert components["parameters"]["MSContinuationToken"]["name"] == tokens.CONTINUATION_HEADER
    assert parameters["BlobPartner"]["pattern"] == f"^{GUID_PATTERN}$"
    assert parameters["BlobAttributes"]["enum"] == [*AttributeSet]
    bodies = {name: body["content"][JSON]["schema"] for name, body in components["requestBodies"].items()}
    assert all(body["properties"]["attributeSet"]["enum"] == [*AttributeSet] for body in bodies.values())
    assert bodies["UnbilledExport"]["properties"]["billingPeriod"]["enum"] == [*graph.Period]
    for path, item in described["paths"].items():
        if path.startswith("/v1/"):
            headers = set(item["get"]["responses"]["200"]["headers"])
            assert headers == {v1.ETAG_HEADER, v1.LINE_ITEM_COUNT_HEADER, v1.TOTALS_HEADER, "Vary"}
        if path.startswith("/blobs/"):
            taken = {resolved(described, each)["name"] for each in item["get"]["parameters"]}
            assert taken.issuperset(blob_links.LINK_PARAMETERS)
            assert {name for name in taken if name.islower()} - {"x-ms-range"} <= {
                *EXAMPLES,
                *blob_links.LINK_PARAMETERS,
                *blob_links.OWN_PARAMETERS,
            }
        if path.endswith("/token"):
            assert [*item["post"]["requestBody"]["content"]] == [oauth.FORM_TYPE]
    for name, media_type in {
        "BlobOk": blob_storage.CONTENT_TYPE,
        "BlobForbidden": blob_storage.XML_CONTENT_TYPE,
    }.items():
        assert [*components["responses"][name]["content"]] == [media_type]


def test_every_number_of_hours_is_the_lifetime_of_an_operation() -> None:
    hours = re.findall(r"(\d+) hours", json.dumps(document()))
    assert {timedelta(hours=int(each)) for each in hours} == {lifetimes_and_sizes.OPERATION}
    assert len(hours) > 4


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
