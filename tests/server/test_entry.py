"""The door: limits, dialects of refusal, host names, what is logged and what never is, and the pages about us."""

from __future__ import annotations

import json
import logging
import re
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.errors import FullDiskError
from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.entry import HEADER_BYTES_MAX, URL_BYTES_MAX
from counterfoil.server.export_operations import Exports
from counterfoil.server.openapi import resolved
from counterfoil.server.pages import first_page
from tests.server.serving import BILLED, BILLING, PARTNER, Place, serving

V1 = "/v1/invoices/unbilled/lineitems"
BLOB = f"/blobs/{PARTNER}/{'0' * 32}/full/part-00000-{'0' * 32}.json.gz"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("front"), open_to=frozenset(["billing.test"])) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        yield place


def raw(place: Place, text: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    where = urlsplit(place.url)
    assert where.port is not None
    with socket.create_connection((where.hostname, where.port), timeout=10) as caller:
        try:
            caller.sendall(text)
            caller.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was cut off while we were still talking
        answer = b""
        try:
            while piece := caller.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
    return answer


def assert_refused(answer: httpx.Response, status: int) -> None:
    """Check that a refusal speaks the dialect of its path."""
    assert answer.status_code == status
    path = urlsplit(str(answer.request.url)).path.lower()
    if path.startswith(("/v1.0", "/beta")):
        assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]
    elif path.startswith("/v1"):
        assert {"code", "description", "source"} <= answer.json().keys()
        assert answer.headers["ms-requestid"]
    elif path.startswith("/blobs"):
        assert ET.fromstring(answer.content).findtext("Code") == answer.headers["x-ms-error-code"]
    else:
        assert answer.json()["error"]["requestId"] == answer.headers["request-id"]


PATHS = [f"{BILLING}/operations", "/beta/reports/partners", V1, BLOB, "/healthz", "/elsewhere"]


@pytest.mark.parametrize("path", PATHS)
def test_long_heads_are_refused_in_the_dialect_of_the_path(place: Place, path: str) -> None:
    assert_refused(place.client.get(place.url + path, headers={"X-Long": "x" * HEADER_BYTES_MAX}), 413)
    assert_refused(place.client.get(place.url + path, headers={f"X-{number}": "" for number in range(101)}), 413)
    assert_refused(place.client.get(f"{place.url}{path}?q={'x' * URL_BYTES_MAX}"), 413)


def test_an_endless_head_is_cut_off(place: Place) -> None:
    line, most = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", ConnectionBounds().head_bytes
    for endless in (b"X-Long: " + b"x" * most * 4, b"X: y\r\n" * most):
        assert raw(place, line + endless)[:12] in {b"HTTP/1.1 400", b""}
    assert raw(place, b"GET /" + b"x" * most * 4)[:12] in {b"HTTP/1.1 400", b""}


@pytest.mark.parametrize("path", PATHS)
def test_in_development_only_local_names_are_answered(place: Place, path: str) -> None:
    """A web page cannot reach the server through a browser by a name of its own."""
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:1:2", ""):
        answer = place.client.get(place.url + path, headers={"Host": host})
        assert_refused(answer, 400)
        assert "dev-open" in answer.text
    for host in ("localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:80", "billing.test:443"):
        assert "dev-open" not in place.client.get(place.url + path, headers={"Host": host}).text
    two = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b"dev-open" in raw(place, two.encode())
    assert b"dev-open" in raw(place, f"GET {path} HTTP/1.0\r\n\r\n".encode())


def test_in_development_links_bear_the_name_that_was_called(place: Place) -> None:
    headers = place.headers() | {"Host": "billing.test:99"}
    answer = place.client.post(f"{place.url}{BILLING}/usage/billed/export", json={"invoiceId": "G1"}, headers=headers)
    assert answer.headers["location"].startswith("http://billing.test:99/v1.0/")


def test_outside_development_links_never_bear_what_the_caller_says(tmp_path: Path) -> None:
    with serving(tmp_path, development=False) as place:
        headers = place.headers() | {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        url = f"{place.url}{BILLING}/usage/billed/export"
        answer = place.client.post(url, json={"invoiceId": "G1"}, headers=headers)
        assert answer.headers["location"].startswith(place.url)
    with serving(tmp_path, development=False, public_url="https://billing.test/base/") as place:
        place.publish(BILLED, [b"{}\n"])
        location = place.export().headers["location"]
        assert location.startswith(f"https://billing.test/base{BILLING}/operations/")
        body = place.get(location.replace("https://billing.test/base", place.url)).json()
        assert body["resourceLocation"]["rootDirectory"].startswith("https://billing.test/base/blobs/")


@pytest.mark.parametrize("path", ["//v1.0//reports///partners", f"/{BILLING}//operations/"])
def test_doubled_slashes_are_one(place: Place, path: str) -> None:
    assert place.get(path).status_code == 200


def test_a_failure_tells_its_id_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Exports, "submit", fail)
    answer = place.export()
    assert_refused(answer, 500)
    assert "secret" not in answer.text
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.headers["request-id"] in record.getMessage()
    assert record.exc_info is not None
    assert "/secret/path" in caplog.text


def test_a_full_disk_is_no_failure_of_the_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FullDiskError("There is no room left in /secret/path.")

    monkeypatch.setattr(Exports, "submit", full)
    answer = place.export()
    assert_refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text


def test_health_and_readiness(place: Place) -> None:
    assert place.client.get(f"{place.url}/healthz").json() == {"status": "ok"}
    assert place.client.get(f"{place.url}/readyz").json() == {"status": "ready"}


def test_a_server_whose_catalog_does_not_answer_is_not_ready(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, __: object) -> bool:
        raise FullDiskError("no room in /secret/path")

    monkeypatch.setattr(type(place.catalog), "has_partner", full)
    answer = place.client.get(f"{place.url}/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "secret" not in answer.text
    assert place.client.get(f"{place.url}/healthz").status_code == 200


def test_the_openapi_document_names_every_route_that_is_served(place: Place) -> None:
    document = place.client.get(f"{place.url}/openapi.json").json()
    paths = document["paths"]
    stem = "/beta/reports/partners/billing/usage/unbilled/"
    for path in (f"{stem}export", f"{stem}microsoft.graph.partners.billing.export", f"{stem}partners.billing.export"):
        documented = paths[path]["post"]["responses"].keys()
        assert {"202", "400", "401", "403", "404", "405", "413", "415", "503"} <= documented
    for path in (f"{BILLING}/operations/{{id}}", V1, "/blobs/{partner}/{revision}/{attributes}/{name}", "/healthz"):
        assert "get" in paths[path]
    assert not [path for path in paths if "aggregatedUsage" in path]
    assert "content" not in paths[f"{stem}export"]["post"]["responses"]["202"]
    of_graph = (each for path, item in paths.items() if BILLING in path for each in _parameters(item))
    taken = {resolved(document, each)["name"] for each in of_graph}
    assert taken == {"id", "$top", "$skip", "$count", "Idempotency-Key"}
    operation_ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(set(operation_ids)) == len(operation_ids)


def _parameters(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [parameter for operation in item.values() for parameter in operation.get("parameters", [])]


def test_the_page_about_the_routes_loads_nothing_from_elsewhere(place: Place) -> None:
    page = place.client.get(f"{place.url}/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "https:" not in page.headers["content-security-policy"]
    for foreign in ("<link", "<img", "@import", "url("):
        assert foreign not in page.text
    loaded = re.findall(r"""(?:src|href)=["']?([^"' >]+)""", page.text)
    assert set(loaded) == {"/openapi.json", "/", "/docs.js"}
    assert place.client.get(f"{place.url}/docs.js").headers["content-type"].startswith("text/javascript")
    paths = json.loads(place.client.get(f"{place.url}/openapi.json").text)["paths"]
    for path in paths:
        assert path in page.text
    entries = re.findall(r"<summary><b>(\w+)</b> <code>([^<]+)</code>", page.text)
    assert len(entries) == len(set(entries)) < len(paths)
    assert not [path for _, path in entries if path.startswith("/beta/") or "partners.billing.export" in path]


def test_the_first_page_says_what_this_is_and_names_no_partner_outside_development(place: Place) -> None:
    published = [(dataset, revision) for dataset, revision in place.store.catalog.datasets() if revision is not None]
    assert published
    for development in (True, False):
        page = first_page("http://localhost:1", published, development=development)
        assert "Counterfoil" in page
        assert "/oauth2/v2.0/token" in page
        assert (PARTNER in page) == development
    answer = place.client.get(f"{place.url}/")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/html")


def test_v1_under_any_spelling_of_its_prefix(place: Place) -> None:
    query = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=USD&period=current"
    spelled = (V1, f"//v1/{V1[4:]}", V1.replace("/v1", "/V1"), f"/v1/{V1[3:]}")
    bodies = [place.get(f"{path}?{query}").json() for path in spelled]
    assert bodies[0]["items"] == []
    assert bodies[1:] == bodies[:1] * 3
