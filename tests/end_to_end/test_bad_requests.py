"""Every bad request to Graph, the authority and no API at all, one line each, and what exactly it gets."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.testing import PARTNER
from tests.end_to_end.asking import Place, prepared
from tests.end_to_end.fetching import BILLING
from tests.end_to_end.refusals import assert_graph, assert_plain

BILLED = f"{BILLING}/usage/billed/export"
UNBILLED = f"{BILLING}/usage/unbilled/export"
JSON = {"Content-Type": "application/json"}
BOMB = gzip.compress(b'{"invoiceId":"' + b"x" * 50_000_000 + b'"}')


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with prepared() as made:
        yield made


GRAPH_ADDRESSES = [
    ("GET", f"{BILLING}/operations/{uuid.UUID(int=7)}", 404, "NotFound"),
    ("GET", f"{BILLING}/manifests/{uuid.UUID(int=7)}", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/no-guid", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/%00", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/..%2F..%2Fmanifests", 404, "NotFound"),
    ("GET", f"{BILLING}/operations('')", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/%ff%fe", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/{'x' * 4_000}", 404, "NotFound"),
    ("GET", f"{BILLING}/operations/{uuid.UUID(int=7)}/resourceLocation", 404, "BadRequest"),
    ("GET", f"{BILLING}/nothing", 404, "BadRequest"),
    ("GET", "/v1.0/me", 404, "BadRequest"),
    ("GET", "/v1.0", 404, "NotFound"),
    ("GET", "/beta/$metadata", 404, "BadRequest"),
    ("POST", f"{BILLING}/usage/billed/exports", 404, "BadRequest"),
    ("GET", BILLED, 405, "MethodNotAllowed"),
    ("PUT", BILLED, 405, "MethodNotAllowed"),
    ("DELETE", f"{BILLING}/operations/{uuid.UUID(int=7)}", 405, "MethodNotAllowed"),
    ("POST", f"{BILLING}/operations", 405, "MethodNotAllowed"),
    ("PATCH", "/v1.0/reports/partners", 405, "MethodNotAllowed"),
    ("OPTIONS", f"{BILLING}/manifests", 405, "MethodNotAllowed"),
    ("POST", "/beta/reports/partners/billing/aggregatedUsage/billed/export", 501, "NotImplemented"),
    ("GET", f"{BILLING}/operations?$top=-1", 400, "BadRequest"),
    ("GET", f"{BILLING}/operations?$skip=many", 400, "BadRequest"),
    ("GET", f"{BILLING}/manifests?$top=1.5", 400, "BadRequest"),
    ("GET", f"{BILLING}/manifests?$top=%D9%A3", 400, "BadRequest"),
    ("GET", f"{BILLING}/operations?q={'x' * 9_000}", 413, "RequestEntityTooLarge"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), GRAPH_ADDRESSES)
def test_an_address_that_leads_nowhere_in_graph(place: Place, method: str, path: str, status: int, code: str) -> None:
    assert_graph(place.graph(method, path), status, code)


GRAPH_BODIES: list[tuple[str, bytes, str]] = [
    (BILLED, b"", "not JSON"),
    (BILLED, b"{", "not JSON"),
    (BILLED, b"\xff\xfe", "not utf-8"),
    (BILLED, b"null", "not a JSON object"),
    (BILLED, b"[]", "not a JSON object"),
    (BILLED, b'"G1"', "not a JSON object"),
    (BILLED, b'{"invoiceId": NaN}', "not JSON"),
    (BILLED, b'{"invoiceId": "G1"} {}', "not JSON"),
    (BILLED, b"[" * 60_000, "not JSON"),
    (BILLED, b'{"invoiceId": "G1", "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not JSON"),
    (BILLED, b'{"invoiceId": "G1", "x": ' + b"9" * 5_000 + b"}", "not JSON"),
    (BILLED, b'{"invoiceId": "G1", "InvoiceID": "G2"}', "twice"),
    (BILLED, b"{}", "'invoiceId' is required"),
    (BILLED, b'{"invoiceId": null}', "'invoiceId' is required"),
    (BILLED, b'{"invoiceId": ""}', "'invoiceId' is required"),
    (BILLED, b'{"invoiceId": 16907411}', "'invoiceId' must be a string"),
    (BILLED, b'{"invoiceId": true}', "'invoiceId' must be a string"),
    (BILLED, b'{"invoiceId": ["G1"]}', "'invoiceId' must be a string"),
    (BILLED, b'{"invoiceId": {"id": "G1"}}', "'invoiceId' must be a string"),
    (BILLED, b'{"invoiceId": "G 1"}', "'invoiceId' is not valid"),
    (BILLED, b'{"invoiceId": "G1\\u0000"}', "'invoiceId' is not valid"),
    (BILLED, b'{"invoiceId": "\\ud800"}', "'invoiceId' is not valid"),
    (BILLED, '{"invoiceId": "Ümlaut"}'.encode(), "'invoiceId' is not valid"),
    (BILLED, b'{"invoiceId": "' + b"G" * 65 + b'"}', "'invoiceId' is not valid"),
    (BILLED, b'{"invoiceId": "G1", "attributeSet": "unknownFutureValue"}', "'attributeSet' must be"),
    (BILLED, b'{"invoiceId": "G1", "attributeSet": "everything"}', "'attributeSet' must be"),
    (BILLED, b'{"invoiceId": "G1", "attributeSet": 1}', "'attributeSet' must be a string"),
    (UNBILLED, b'{"currencyCode": "EUR"}', "'billingPeriod' is required"),
    (UNBILLED, b'{"billingPeriod": "current"}', "'currencyCode' is required"),
    (UNBILLED, b'{"currencyCode": "EUR", "billingPeriod": "unknownFutureValue"}', "'billingPeriod' must be"),
    (UNBILLED, b'{"currencyCode": "EUR", "billingPeriod": "previous"}', "'billingPeriod' must be"),
    (UNBILLED, b'{"currencyCode": "EUR", "billingPeriod": "2026-11"}', "'billingPeriod' must be"),
    (UNBILLED, b'{"currencyCode": "EUR", "billingPeriod": 2}', "'billingPeriod' must be a string"),
    (UNBILLED, b'{"currencyCode": "EU", "billingPeriod": "current"}', "'currencyCode' is not valid"),
    (UNBILLED, b'{"currencyCode": "EURO", "billingPeriod": "current"}', "'currencyCode' is not valid"),
    (UNBILLED, '{"currencyCode": "€€€", "billingPeriod": "current"}'.encode(), "'currencyCode' is not valid"),
    (UNBILLED, b'{"currencyCode": 978, "billingPeriod": "current"}', "'currencyCode' must be a string"),
]


@pytest.mark.parametrize(("path", "body", "said"), GRAPH_BODIES, ids=range(len(GRAPH_BODIES)))
def test_a_body_that_cannot_be_right(place: Place, path: str, body: bytes, said: str) -> None:
    for spelled in (path, path.replace("export", "microsoft.graph.partners.billing.export").replace("v1.0", "beta")):
        answer = place.graph("POST", spelled, content=body, headers=JSON)
        assert said in assert_graph(answer, 400, "BadRequest")


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 4_096


GRAPH_SENDINGS: list[tuple[dict[str, str], Any, int, str]] = [
    ({"Content-Type": "text/plain"}, b"{}", 415, "UnsupportedMediaType"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, b"invoiceId=G1", 415, "UnsupportedMediaType"),
    ({"Content-Type": ""}, b'{"invoiceId": "G1"}', 415, "UnsupportedMediaType"),
    (JSON | {"Content-Encoding": "br"}, b"{}", 415, "UnsupportedMediaType"),
    (JSON | {"Content-Encoding": "gzip, gzip"}, b"{}", 415, "UnsupportedMediaType"),
    ({"Content-Type": "application/json; charset=utf-7"}, b"{}", 415, "UnsupportedMediaType"),
    (JSON | {"Content-Encoding": "gzip"}, b'{"invoiceId": "G1"}', 400, "BadRequest"),
    (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b'{"invoiceId": "G1"}')[:-4], 400, "BadRequest"),
    (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}") * 2, 400, "BadRequest"),
    (JSON | {"Content-Encoding": "gzip"}, BOMB, 413, "RequestEntityTooLarge"),
    (JSON, b" " * 70_000, 413, "RequestEntityTooLarge"),
    (JSON, chunks(20), 413, "RequestEntityTooLarge"),
    (JSON | {"Idempotency-Key": ""}, b'{"invoiceId": "G1"}', 400, "BadRequest"),
    (JSON | {"Idempotency-Key": "k" * 256}, b'{"invoiceId": "G1"}', 400, "BadRequest"),
    (JSON | {"Idempotency-Key": "a\tb"}, b'{"invoiceId": "G1"}', 400, "BadRequest"),
    (JSON | {"X-Long": "x" * 33_000}, b"{}", 413, "RequestEntityTooLarge"),
]


@pytest.mark.parametrize(("headers", "content", "status", "code"), GRAPH_SENDINGS, ids=range(len(GRAPH_SENDINGS)))
def test_a_body_that_is_sent_wrongly(
    place: Place, headers: dict[str, str], content: Any, status: int, code: str
) -> None:
    assert_graph(place.graph("POST", BILLED, content=content, headers=headers), status, code)


def test_an_idempotency_key_names_one_request(place: Place) -> None:
    key = {"Idempotency-Key": "named once"}
    first = place.graph("POST", BILLED, json={"invoiceId": "G1"}, headers=key)
    again = place.graph("POST", BILLED, json={"InvoiceId": "g1", "attributeSet": "full"}, headers=key)
    assert first.headers["location"] == again.headers["location"]
    assert_graph(place.graph("POST", BILLED, json={"invoiceId": "G2"}, headers=key), 400, "BadRequest")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y", "scope": "a"}, "invalid_scope"),
        (
            {
                "grant_type": "client_credentials",
                "client_id": "x",
                "client_secret": "y",
                "scope": "https://vault.azure.net/.default",
            },
            "invalid_scope",
        ),
    ],
)
def test_a_form_that_gets_no_token(place: Place, form: dict[str, str], code: str) -> None:
    answer = place.client.post(f"/{PARTNER}/oauth2/v2.0/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert answer.json()["error_description"].startswith("AADSTS")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/v2/invoices", 404),
        ("GET", "/healthz/", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/openapi.json", 405),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", f"/{'x' * 9_000}", 413),
    ],
)
def test_what_belongs_to_no_api(place: Place, method: str, path: str, status: int) -> None:
    assert_plain(place.client.request(method, path), status)


def test_nothing_of_this_was_taken_for_an_export(place: Place) -> None:
    """Refused means: nothing was recorded."""
    shown = place.graph("GET", f"{BILLING}/operations?$top=100").json()["value"]
    assert len(shown) == 2  # the fixture's, and that of the idempotency key
    assert json.dumps(shown).count("succeeded") == 1
