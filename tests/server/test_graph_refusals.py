"""What the Graph routes refuse, and in which words: parameters, bodies, methods, addresses, tokens, other partners."""

from __future__ import annotations

import gzip

import pytest

from tests.server.graph_answers import error_of
from tests.server.serving import BILLING, INVOICE, OTHER, PARTNER, Place


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("reconciliation/billed", {}, "invoiceId"),
        ("usage/billed", {"invoiceId": 7}, "invoiceId"),
        ("usage/billed", {"invoiceId": "a b"}, "invoiceId"),
        ("usage/billed", {"invoiceId": "x" * 65}, "invoiceId"),
        ("usage/billed", {"invoiceId": "G1", "attributeSet": "unknownFutureValue"}, "attributeSet"),
        ("usage/billed", {"invoiceId": "G1", "attributeSet": ["full"]}, "attributeSet"),
        ("usage/unbilled", {"billingPeriod": "last"}, "currencyCode"),
        ("usage/unbilled", {"billingPeriod": "last", "currencyCode": "EURO"}, "currencyCode"),
        ("usage/unbilled", {"billingPeriod": "last", "currencyCode": None}, "currencyCode"),
        ("usage/unbilled", {"currencyCode": "EUR"}, "billingPeriod"),
        ("usage/unbilled", {"currencyCode": "EUR", "billingPeriod": "previous"}, "billingPeriod"),
        ("usage/unbilled", [], "object"),
    ],
)
def test_a_wrong_parameter_is_named(graph: Place, path: str, body: object, message: str) -> None:
    error = error_of(graph.post(f"{BILLING}/{path}/export", body), 400)
    assert error["code"] == "BadRequest"
    assert message in error["message"]


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (400, b"", {}),
        (400, b'{"invoiceId":', {}),
        (400, b"[" * 60_000, {}),
        (400, b'{"invoiceId":"\xff"}', {}),
        (400, b'{"invoiceId":"G1","INVOICEID":"G2"}', {}),
        (400, b"plain", {"Content-Encoding": "gzip"}),
        (400, gzip.compress(b'{"invoiceId":"G1"}', mtime=0)[:-1], {"Content-Encoding": "gzip"}),
        (413, gzip.compress(b" " * 65_537, mtime=0), {"Content-Encoding": "gzip"}),
        (413, b'{"invoiceId":"G1"}' + b" " * 65_536, {}),
        (415, b'{"invoiceId":"G1"}', {"Content-Encoding": "br"}),
        (415, b'{"invoiceId":"G1"}', {"Content-Type": "text/plain"}),
        (415, b'{"invoiceId":"G1"}', {"Content-Type": ""}),
        (415, b'{"invoiceId":"G1"}', {"Content-Type": "application/json; charset=ebcdic"}),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    graph: Place, status: int, content: bytes, headers: dict[str, str]
) -> None:
    sent = graph.headers() | {"Content-Type": "application/json"} | headers
    url = f"{graph.url}{BILLING}/usage/billed/export"
    error_of(graph.client.post(url, content=content, headers=sent), status)
    pieces = (content[at : at + 8192] for at in range(0, len(content), 8192))
    error_of(graph.client.post(url, content=pieces, headers=sent), status)  # chunked: no length told beforehand


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/usage/billed/export", "POST"),
        ("POST", "/operations", "GET"),
        ("PATCH", "", "GET"),
        ("DELETE", f"/operations/{PARTNER}", "GET"),
        ("PUT", "/manifests/$count", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(graph: Place, method: str, path: str, allow: str) -> None:
    answer = graph.client.request(method, f"{graph.url}{BILLING}{path}", headers=graph.headers())
    assert error_of(answer, 405)["code"] == "MethodNotAllowed"
    assert answer.headers["allow"] == allow


def test_an_unknown_segment_is_named(graph: Place) -> None:
    error = error_of(graph.get(f"{BILLING}/invoices/1"), 404)
    assert error == {"code": "BadRequest", "message": "Resource not found for the segment 'invoices'."}
    error_of(graph.get("/v1.0"), 404)
    error_of(graph.get("/v1.0%2Freports"), 404)
    error_of(graph.get(f"{BILLING}/aggregatedUsage"), 404)


def test_the_aggregated_usage_of_beta_is_not_served(graph: Place) -> None:
    path = "/beta/reports/partners/billing/aggregatedUsage/billed"
    error_of(graph.post(f"{path}/microsoft.graph.partners.billing.export", {"invoiceId": INVOICE}), 501)
    error_of(graph.get(path), 501)


def test_without_a_good_token_nothing_is_told(graph: Place) -> None:
    for method, path in (
        ("GET", f"{BILLING}/operations/{PARTNER}"),
        ("GET", f"{BILLING}/operations/$count"),
        ("GET", "/v1.0/reports/partners"),
        ("POST", f"{BILLING}/usage/billed/export"),
        ("POST", "/beta/reports/partners/billing/aggregatedUsage/billed/export"),
    ):
        answer = graph.client.request(method, graph.url + path)
        assert error_of(answer, 401)["code"] == "InvalidAuthenticationToken"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert error_of(graph.get(f"{BILLING}/operations", "no-permission"), 403)["code"] == "Authorization_RequestDenied"


def test_another_partners_ids_answer_as_unknown_ones(graph: Place) -> None:
    location = graph.export().headers["location"]
    operation = graph.get(location).json()
    unknown = "00000000-0000-4000-8000-000000000000"
    for collection, real in (("operations", operation["id"]), ("manifests", operation["resourceLocation"]["id"])):
        answers = [graph.get(f"{BILLING}/{collection}/{each}", OTHER) for each in (real, unknown, "a%20b%2Fc'%C3%A9")]
        told = [(answer.status_code, error_of(answer, 404), set(answer.headers)) for answer in answers]
        assert told[0] == told[1] == told[2]
