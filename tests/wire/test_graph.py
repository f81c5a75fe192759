"""Graph's spelling: bodies read in every form that clients send, and answers as the documentation shows them."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import BadRequestError, NotFoundError, RequestError, TooLargeError, UnsupportedMediaError
from counterfoil.model import AttributeSet, Kind
from counterfoil.wire import graph
from counterfoil.wire.graph import ExportRequest, OperationStatus, Period
from counterfoil.wire.graph_paths import canonical_path

NOW = datetime(2026, 11, 21, 12, 0, 0, 987654, tzinfo=UTC)
ROOT = "https://host/v1.0"


def read(body: object, *, billed: bool = True) -> ExportRequest:
    return graph.read_export_request(Kind.USAGE, json.dumps(body), billed=billed)


def test_the_documented_bodies() -> None:
    body = {"invoiceId": "G016907411", "attributeSet": "full"}
    assert read(body) == ExportRequest(Kind.USAGE, AttributeSet.FULL, invoice="G016907411")
    body = {"attributeSet": "basic", "billingPeriod": "last", "currencyCode": "usd"}
    expected = ExportRequest(Kind.USAGE, AttributeSet.BASIC, period=Period.LAST, currency="USD")
    assert read(body, billed=False) == expected


def test_names_and_enum_values_are_read_in_any_case() -> None:
    """Microsoft's own sample writes both in PascalCase."""
    assert read({"InvoiceId": "G016907411", "AttributeSet": "Full"}).invoice == "G016907411"
    asked = read({"BILLINGPERIOD": "Current", "CurrencyCode": "Eur"}, billed=False)
    assert (asked.period, asked.currency) == (Period.CURRENT, "EUR")


def test_the_attribute_set_may_be_absent_or_null() -> None:
    assert read({"invoiceId": "a"}).attributes is AttributeSet.FULL
    assert read({"invoiceId": "a", "attributeSet": None}).attributes is AttributeSet.FULL


def test_unknown_properties_are_ignored_whatever_they_hold() -> None:
    assert read({"invoiceId": "a", "currencyCode": 7, "@odata.type": {}, "more": [None]}).invoice == "A"


@pytest.mark.parametrize("invoice", ["x", "!", "~" * 64, "G/1\\2", "D070002ISK"])
def test_any_printable_invoice_id_is_taken(invoice: str) -> None:
    assert read({"invoiceId": invoice}).invoice == invoice.upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        '"x"',
        "[]",
        "{",
        '{"a":1}}',
        '{"invoiceId":NaN}',
        '{"invoiceId":"a","invoiceid":"a"}',
    ],
)
def test_what_is_not_one_json_object_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        graph.read_export_request(Kind.USAGE, text, billed=True)


def decode(raw: bytes, content_type: str = "application/json", content_encoding: str = "") -> str:
    return graph.decode_body(raw, content_type=content_type, content_encoding=content_encoding)


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("application/json", b'"\xc3\xa9"'),
        ("Application/JSON ; Charset=UTF-8", b'"\xc3\xa9"'),
        ('application/json;odata.metadata=minimal;charset="utf-8"', b'\xef\xbb\xbf"\xc3\xa9"'),
        ("application/json; charset=iso-8859-1", b'"\xe9"'),
        ("application/json; charset=utf-16", '"é"'.encode("utf-16")),
    ],
)
def test_character_sets(content_type: str, raw: bytes) -> None:
    assert decode(raw, content_type) == '"é"'


def test_a_gzip_body_is_inflated_no_further_than_a_body_may_go() -> None:
    assert decode(gzip.compress(b"{}"), content_encoding="GZIP") == "{}"
    most = b" " * graph.BODY_BYTES_MAX
    assert decode(gzip.compress(most), content_encoding="gzip") == most.decode()
    for more in (1, 10_000_000):
        with pytest.raises(TooLargeError):
            decode(gzip.compress(most + b" " * more), content_encoding="gzip")
    for bad in (b"", b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") * 2, gzip.compress(b"{}") + b"x"):
        with pytest.raises(BadRequestError):
            decode(bad, content_encoding="gzip")


@pytest.mark.parametrize(
    ("content_type", "content_encoding"),
    [
        ("", ""),
        ("text/json", ""),
        ("application/xml", ""),
        ("application/json", "deflate"),
        ("application/json", "gzip,gzip"),
    ],
)
def test_other_types_and_encodings_are_refused(content_type: str, content_encoding: str) -> None:
    with pytest.raises(UnsupportedMediaError):
        decode(b"{}", content_type, content_encoding)


@given(st.binary(max_size=200), st.booleans())
def test_no_body_does_worse_than_be_refused(raw: bytes, billed: bool) -> None:
    with suppress(RequestError):
        graph.read_export_request(Kind.USAGE, decode(raw), billed=billed)


@given(st.text(max_size=60))
def test_no_path_does_worse_than_be_refused(text: str) -> None:
    stem = "/v1.0/reports/partners/billing/operations"
    with suppress(NotFoundError):
        assert canonical_path(f"{stem}/{quote(text)}").startswith(stem)


def test_one_path_for_all_spellings() -> None:
    stem = "/beta/reports/partners/billing"
    for spelled, path in {
        "/beta//reports/Partners/BILLING/": stem,
        f"{stem}/usage/billed/Microsoft.Graph.Partners.Billing.Export": f"{stem}/usage/billed/export",
        f"{stem}/reconciliation/unbilled/partners.billing.export/": f"{stem}/reconciliation/unbilled/export",
        f"{stem}/aggregatedusage/billed/export": f"{stem}/aggregatedUsage/billed/export",
        f"{stem}/operations/%24COUNT": f"{stem}/operations/$count",
        f"{stem}/Manifests('AB')": f"{stem}/manifests/ab",
        f"{stem}/operations(AB)": f"{stem}/operations/ab",
        f"{stem}/operations/a%20b%2Fc'%C3%A9": f"{stem}/operations/a%20b%2Fc%27%C3%A9",
    }.items():
        assert canonical_path(spelled) == path
    with pytest.raises(NotFoundError, match="segment 'export'"):
        canonical_path("/v1.0/reports/partners/billing/export")


def test_a_key_of_the_caller_is_printable_and_not_too_long() -> None:
    for good in ("x", " ", "~" * 255):
        assert graph.check_idempotency_key(good) == good
    for bad in ("", "x" * 256, "\t", "é", "\x7f"):
        with pytest.raises(BadRequestError, match="Idempotency-Key"):
            graph.check_idempotency_key(bad)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (OperationStatus.RUNNING, "#microsoft.graph.partners.billing.runningOperation"),
        (OperationStatus.SUCCEEDED, "#microsoft.graph.partners.billing.exportSuccessOperation"),
        (OperationStatus.FAILED, "#microsoft.graph.partners.billing.failedOperation"),
    ],
)
def test_operations_are_typed_and_their_times_bear_a_zone(status: OperationStatus, name: str) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    failed = status is graph.OperationStatus.FAILED
    error = graph.OperationError("5000", "No data available") if failed else None
    body = graph.operation_body(ROOT, "id", status=status, created_at=tokyo, last_action_at=NOW, error=error)
    assert body["@odata.type"] == name
    assert body["createdDateTime"] == body["lastActionDateTime"] == "2026-11-21T12:00:00Z"
    assert ("error" in body) == (status is OperationStatus.FAILED)


def test_an_error_names_the_request_and_its_date_has_no_zone() -> None:
    assert graph.error_body("Gone", "Over.", now=NOW, request_id="a", client_request_id="b") == {
        "error": {
            "code": "Gone",
            "message": "Over.",
            "innerError": {"date": "2026-11-21T12:00:00", "request-id": "a", "client-request-id": "b"},
        }
    }
