"""Partner Center v1 walks over a real socket, from a source that may misbehave."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from counterfoil.client import Api, Client, Format, Proof, Receipt, ask_billed, ask_unbilled
from counterfoil.errors import ProofError, RefusedError, UsageError
from counterfoil.model import AttributeSet, Kind
from counterfoil.wire.graph import ExportRequest
from tests.client.hostile_source import TOKEN, Canned, HostileSource, number, written

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ASK = ask_unbilled(Kind.USAGE, "last", "EUR", now=NOW)


def v1_line(line: int, **more: object) -> bytes:
    return written(
        {
            "partnerId": "0e195b37-4574-4539-bc42-0e539b9684c0",
            "customerId": f"customer-{line}",
            "usageDate": "2026-10-05T00:00:00Z",
            "billingPreTaxTotal": number("0.10"),
            "billingCurrency": "EUR",
            "invoiceLineItemType": "usage_line_items",
            "billingProvider": "marketplace",
            "attributes": {"objectType": "DailyRatedUsageLineItem"},
            **more,
        }
    )


class V1Source(HostileSource):
    """Its lines are spelled as v1 does."""

    def totals(self) -> dict[str, str]:
        return {"currency": "EUR", "BillingPreTaxTotal": "0.50"}


@pytest.fixture
def source() -> Any:
    from tests.client.hostile_source import serving  # noqa: PLC0415 - beside the class it serves

    v1_source = V1Source()
    v1_source.parts = [[v1_line(each) for each in range(5)]]
    with serving(v1_source) as running:
        yield running


def walk(client: Client, to: Path, form: Format = Format.BLOBS, ask: ExportRequest = ASK) -> Receipt:
    return client.pull(ask, to, api=Api.V1, format=form)


def test_a_walk_is_proven_by_the_headers_and_keeps_every_item_as_it_came(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    receipt = walk(client, tmp_path)
    assert receipt.proof is Proof.PROVEN
    assert (receipt.line_items, receipt.etag, receipt.totals) == (
        5,
        source.etag,
        {"EUR": {"BillingPreTaxTotal": "0.50"}},
    )
    assert gzip.decompress((tmp_path / "part-00000.json.gz").read_bytes()).split(b"\n")[:-1] == source.lines


def test_each_page_is_asked_for_as_the_link_says(source: HostileSource, client: Client, tmp_path: Path) -> None:
    receipt = walk(client, tmp_path)
    first, second, third = source.calls_of("page")
    assert first.path == "/v1/invoices/unbilled/lineitems"
    assert first.query == (
        "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=eur&period=previous&size=2000"
    )
    assert "ms-continuationtoken" not in first.headers
    assert [call.headers["ms-continuationtoken"] for call in (second, third)] == ["token-1", "token-2"]
    assert second.query == f"{first.query}&seekOperation=Next"
    walked = {call.headers["ms-correlationid"] for call in source.calls}
    asked = {call.headers["ms-requestid"] for call in source.calls}
    assert (len(walked), len(asked)) == (1, 3)
    assert walked | asked == set(receipt.request_ids)
    assert {call.headers["authorization"] for call in source.calls} == {f"Bearer {TOKEN}"}


def test_a_throttled_page_is_asked_for_again_with_the_same_request_id(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    body = b'{"statusCode":429,"message":"Rate limit is exceeded. Try again in 57 seconds."}'
    source.canned["page"].append(Canned(429, {"Retry-After": "57"}, body))
    assert walk(client, tmp_path).proof is Proof.PROVEN
    first, again, *_ = source.calls_of("page")
    assert first.headers["ms-requestid"] == again.headers["ms-requestid"]
    assert waits[0] >= 57


def test_the_root_token_is_followed_where_there_is_no_link(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.page_changes[0] = {"links": None}
    source.page_changes[1] = {"links": {}}
    assert walk(client, tmp_path).proof is Proof.PROVEN
    assert [call.query.endswith("size=2000&seekOperation=Next") for call in source.calls] == [False, True, True]


def test_a_link_without_headers_takes_the_root_token(source: HostileSource, client: Client, tmp_path: Path) -> None:
    uri = "/invoices/unbilled/lineitems?provider=onetime"
    source.page_changes[0] = {"links": {"next": {"uri": uri, "method": "GET", "headers": []}}}
    assert walk(client, tmp_path).line_items == 5


@pytest.mark.parametrize(
    "uri", ["invoices/unbilled/lineitems?x", "//v1/invoices/unbilled/lineitems?x", "/v1/invoices/unbilled/lineitems?x"]
)
def test_links_are_joined_below_v1_without_a_doubled_slash(
    source: HostileSource, client: Client, tmp_path: Path, uri: str
) -> None:
    if uri.startswith("//"):
        with pytest.raises(ProofError):  # a host named `v1`
            walk_with_link(source, client, tmp_path, uri)
        return
    walk_with_link(source, client, tmp_path, uri)
    assert source.calls[1].path == "/v1/invoices/unbilled/lineitems"


def walk_with_link(source: HostileSource, client: Client, to: Path, uri: str) -> Receipt:
    headers = [{"key": "MS-ContinuationToken", "value": "token-1"}]
    source.page_changes[0] = {"links": {"next": {"uri": uri, "method": "GET", "headers": headers}}}
    return walk(client, to)


def test_a_link_to_another_host_is_refused_and_nothing_arrives_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(ProofError, match=stranger.url):
        walk_with_link(source, client, tmp_path, f"{stranger.url}/v1/invoices/unbilled/lineitems")
    assert stranger.calls == []


def test_a_link_cannot_set_the_headers_that_carry_secrets(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    headers = [
        {"key": "Authorization", "value": "Bearer other"},
        {"key": "Host", "value": "elsewhere"},
        {"key": "MS-ContinuationToken", "value": "token-1"},
    ]
    source.page_changes[0] = {"links": {"next": {"uri": "/invoices/unbilled/lineitems", "headers": headers}}}
    walk(client, tmp_path)
    assert source.calls[1].headers["authorization"] == f"Bearer {TOKEN}"
    assert source.calls[1].headers["host"] == source.url.removeprefix("http://")


@pytest.mark.parametrize("loops_to", ["token-1", "token-2"])
def test_a_walk_in_a_circle_is_ended(source: HostileSource, client: Client, tmp_path: Path, loops_to: str) -> None:
    source.page_changes[2] = {"continuationToken": loops_to}
    source.annotated = False
    with pytest.raises(ProofError, match="leads back"):
        walk(client, tmp_path)
    assert len(source.calls) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [0, 1, 99, None])
def test_total_count_is_never_believed(
    source: HostileSource, client: Client, tmp_path: Path, value: int | None
) -> None:
    source.page_changes[0] = source.page_changes[2] = {"totalCount": value}
    assert walk(client, tmp_path).line_items == 5


def test_an_empty_page_with_a_link_is_not_the_end(source: HostileSource, client: Client, tmp_path: Path) -> None:
    body = {"totalCount": 0, "items": [], "continuationToken": "token-0"}
    headers = {"Counterfoil-ETag": source.etag, "Counterfoil-Line-Item-Count": "5"}
    headers["Counterfoil-Totals"] = json.dumps(source.totals())
    source.canned["page"].append(Canned(200, headers, json.dumps(body).encode()))
    assert walk(client, tmp_path).line_items == 5


def test_an_empty_dataset_is_an_empty_pull(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.annotated = False
    source.parts = []
    receipt = walk(client, tmp_path)
    assert (receipt.line_items, receipt.files, receipt.totals) == (0, (), {})


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Counterfoil-ETag": "another"}, "other data"),
        ({"Counterfoil-Line-Item-Count": "6"}, "other data"),
        ({"Counterfoil-Totals": "{"}, "not JSON"),
        ({"Counterfoil-Totals": "[" * 20_000}, "not JSON"),
        ({"Counterfoil-Totals": '{"currency":"\\ud800"}'}, "not a text"),
        ({"Counterfoil-Totals": '{"\\ud800":"1"}'}, "half a surrogate pair"),
        ({"Counterfoil-Line-Item-Count": "many"}, "not a count"),
    ],
)
def test_headers_that_change_or_make_no_sense_are_refused(
    source: HostileSource, client: Client, tmp_path: Path, headers: dict[str, str], said: str
) -> None:
    source.page_headers[1] = headers
    with pytest.raises(ProofError, match=said):
        walk(client, tmp_path)


@pytest.mark.parametrize(("uri", "said"), [("http://[x", "not an http address"), ("/x\ud800", "surrogate pair")])
def test_a_link_that_is_no_address_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, uri: str, said: str
) -> None:
    source.page_changes[0] = {"links": {"next": {"uri": uri}}}
    with pytest.raises(ProofError, match=said):
        walk(client, tmp_path)


def test_a_page_that_is_left_out_is_found_by_the_count(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.page_changes[0] = {"links": {}, "continuationToken": "token-2"}
    with pytest.raises(ProofError, match="3 line items arrived, and 5 were promised"):
        walk(client, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_headers_a_walk_is_transport_checked(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.annotated = False
    receipt = walk(client, tmp_path)
    assert receipt.proof is Proof.TRANSPORT_CHECKED
    assert receipt.unchecked == ("one eTag over the whole walk", "the number of line items", "the exact totals")


def test_parquet_of_a_walk_is_decoded_to_the_lakes_values(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    source.parts = [
        [
            v1_line(0, rateOfPartnerEarnedCredit=number("0.15"), resellerMpnId="0", unitOfMeasure="1 Hour"),
            v1_line(1, rateOfPartnerEarnedCredit="0.10", hasPartnerEarnedCredit=True, mpnId=number("4390934")),
            v1_line(2, quantity="24.0", tags="", pcToBCExchangeRateDate=""),
        ]
    ]
    receipt = walk(client, tmp_path, Format.PARQUET)
    table = pq.read_table(tmp_path / receipt.files[0].name).to_pylist()
    assert [each["PartnerEarnedCreditPercentageText"] for each in table] == ["15", "0.10E2", None]
    assert [each["HasPartnerEarnedCredit"] for each in table] == [None, "true", None]
    assert [each["MpnId"] for each in table] == [None, "4390934", None]
    assert [each["Tier2MpnId"] for each in table] == ["0", None, None]  # '' <-> '0' is for billing rows only
    assert table[0]["Unit"] == "1 Hour"
    assert table[2]["QuantityText"] == "24.0"
    assert (table[2]["Tags"], table[2]["PCToBCExchangeRateDate"], table[2]["Extra"]) == ("", None, None)


def test_billing_lines_decode_resellers_and_lists(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.annotated = False
    common = {"subtotal": number("1"), "taxTotal": number("0"), "totalForCustomer": number("1"), "currency": "EUR"}
    source.parts = [
        [
            written({**common, "resellerMpnId": "0", "productQualifiers": ["AddOn", "é"]}),
            written({**common, "resellerMpnId": number("0"), "productQualifiers": []}),
            written({**common, "resellerMpnId": number("4390934"), "productQualifiers": None}),
        ]
    ]
    ask = ask_unbilled(Kind.RECONCILIATION, "2026-11", "EUR", now=NOW)
    receipt = walk(client, tmp_path, Format.PARQUET, ask)
    assert "invoicelineitemtype=billinglineitems" in source.calls[0].query
    assert "period=current" in source.calls[0].query
    table = pq.read_table(tmp_path / receipt.files[0].name).to_pylist()
    assert [each["Tier2MpnId"] for each in table] == ["", "", "4390934"]
    assert [each["ProductQualifiers"] for each in table] == ['["AddOn","\\u00e9"]', "", None]
    assert receipt.totals == {"EUR": {"Subtotal": "3", "TaxTotal": "0", "Total": "3"}}


def test_the_same_items_make_the_same_file(source: HostileSource, client: Client, tmp_path: Path) -> None:
    first = walk(client, tmp_path / "a")
    second = walk(client, tmp_path / "b")
    assert first.files == second.files


def test_items_laid_out_over_lines_become_one_line_each(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.annotated = False
    source.parts = [[json.dumps(json.loads(v1_line(1)), indent=2).encode()]]
    walk(client, tmp_path)
    written_lines = gzip.decompress((tmp_path / "part-00000.json.gz").read_bytes()).splitlines()
    assert [json.loads(line)["customerId"] for line in written_lines] == ["customer-1"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items":1}', b'{"items":[]} x'])
def test_an_answer_that_is_no_page_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, body: bytes
) -> None:
    source.canned["page"] += [Canned(200, {}, body)] * 3
    with pytest.raises(ProofError, match="should be a page"):
        walk(client, tmp_path)


def test_the_missing_second_factor_is_explained(source: HostileSource, client: Client, tmp_path: Path) -> None:
    body = b'{"code":"900421","description":"MFA required","data":[],"source":"x"}'
    source.canned["page"].append(Canned(401, {"MS-RequestId": "r-9"}, body))
    with pytest.raises(RefusedError, match=r"900421: MFA required.*r-9.*multi-factor"):
        walk(client, tmp_path)


def test_what_v1_does_not_offer_is_refused_before_a_call(source: HostileSource, client: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unbilled"):
        walk(client, tmp_path, ask=ask_billed(Kind.USAGE, "G1"))
    with pytest.raises(UsageError, match="attribute sets"):
        walk(client, tmp_path, ask=ask_unbilled(Kind.USAGE, "last", "EUR", AttributeSet.BASIC, now=NOW))
    assert source.calls == []
