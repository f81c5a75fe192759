"""Graph exports, pulled over a real socket from a source that does as it should."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from counterfoil.client import Client, Format, Proof, ask_billed
from counterfoil.errors import (
    OperationFailedError,
    OperationTimeoutError,
)
from counterfoil.line_items.lake import lake_schema
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import BILLING, Canned, HostileSource, number, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
TOTAL = "0.9999840002559959040655"


def test_an_annotated_export_is_proven_and_every_byte_is_kept(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    receipt = client.pull(ASK, tmp_path)
    assert receipt.proof is Proof.PROVEN
    assert receipt.unchecked == ()
    assert (receipt.line_items, receipt.totals) == (5, {"EUR": {"BillingPreTaxTotal": TOTAL}})
    for name, body in (source.blob(0), source.blob(1)):
        assert (tmp_path / name).read_bytes() == body
    on_disk = json.loads((tmp_path / "receipt.json").read_text())
    assert on_disk["proof"] == "proven"
    assert on_disk["eTag"] == source.etag
    assert on_disk["operation"] == "the-operation"
    assert on_disk["partnerTenantId"] == source.manifest()["partnerTenantId"]
    assert [blob["sha256"] for blob in on_disk["blobs"]] == [
        hashlib.sha256(source.blob(index)[1]).hexdigest() for index in (0, 1)
    ]
    assert left_in(tmp_path) == sorted([source.blob(0)[0], source.blob(1)[0], "receipt.json"])


def test_a_submit_says_what_is_wanted_and_is_repeated_with_the_same_key(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.canned["export"].append(Canned(503))
    client.pull(ASK, tmp_path)
    first, second = source.calls_of("export")
    assert first.path == f"{BILLING}/usage/billed/export"
    assert json.loads(first.body) == {"attributeSet": "full", "invoiceId": "G016907411"}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["client-request-id"] == second.headers["client-request-id"]


@pytest.mark.parametrize("form", ["inline", "text", "annotation", "id"])
def test_the_manifest_is_found_in_each_of_its_four_ways(
    source: HostileSource, client: Client, tmp_path: Path, form: str
) -> None:
    source.manifest_form = form
    assert client.pull(ASK, tmp_path).line_items == 5
    assert len(source.calls_of("manifest")) == (0 if form == "inline" else 1)


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("7", 7.0), ("2.128", 2.128), ("", 10.0), ("soon", 10.0), ("0", 0.2), ("0.0001", 0.2), ("9999", 100.0)],
)
def test_polling_waits_as_long_as_the_source_asks_within_the_bound(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float], retry_after: str, wait_s: float
) -> None:
    source.statuses = ["notStarted", "completed"]
    source.retry_after = retry_after
    client.pull(ASK, tmp_path)
    assert waits == [wait_s]


def test_an_export_that_never_ends_is_given_up_at_the_bound(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    source.statuses = ["running"]
    source.retry_after = "30"
    with pytest.raises(OperationTimeoutError) as caught:
        client.pull(ASK, tmp_path)
    assert waits == [30, 30, 30, 10]
    assert caught.value.exit_code == 4
    assert left_in(tmp_path) == []


def test_a_failed_export_names_code_and_ids(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.statuses = ["running", "failed"]
    with pytest.raises(OperationFailedError, match=r"5000: No data available.*the-operation.*request-7") as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.code == "5000"


def test_without_annotations_the_receipt_lists_what_could_not_be_checked(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    receipt = client.pull(ASK, tmp_path)
    assert receipt.proof is Proof.TRANSPORT_CHECKED
    assert "the number of blobs" in receipt.checked
    assert set(receipt.unchecked) == {
        "the size of every blob",
        "the SHA-256 of every blob",
        "the line items of every blob",
        "the number of line items",
        "the exact totals",
    }
    assert receipt.line_items == 5


def test_parquet_holds_every_digit_with_the_lakes_columns(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    odd = [
        written(usage_line(7, Quantity="24.0", BillingPreTaxTotal="1E-7", NewAttribute={"a": [1.50]})),
        written({name.upper(): value for name, value in usage_line(8, Quantity=None, Tags='{"é":1}').items()}),
        written(usage_line(9, MpnId=number("4390934"), Quantity=number("0E-20"))) + b"\r",
    ]
    source.parts = [odd, source.parts[0]]
    receipt = client.pull(ASK, tmp_path, format=Format.PARQUET)
    assert receipt.proof is Proof.PROVEN
    assert receipt.inexact == {"BillingPreTaxTotal": 5}
    assert [file.name for file in receipt.files] == [
        source.blob(index)[0].removesuffix(".json.gz") + ".parquet" for index in (0, 1)
    ]
    assert left_in(tmp_path) == sorted([*(file.name for file in receipt.files), "receipt.json"])
    table = pq.read_table(tmp_path / receipt.files[0].name)
    assert table.schema.equals(lake_schema(Kind.USAGE, digests=False))
    assert table["CustomerId"].to_pylist() == ["customer-7", "customer-8", "customer-9"]
    assert table["QuantityText"].to_pylist() == ["24.0", None, "0E-20"]
    assert table["BillingPreTaxTotalText"].to_pylist()[0] == "1E-7"
    assert table["BillingPreTaxTotal"].to_pylist()[0] == Decimal("1E-7")
    assert table["Extra"].to_pylist() == ['{"NewAttribute":{"a":[1.5]}}', None, None]
    assert table["MpnId"].to_pylist() == [None, None, "4390934"]
    body = (tmp_path / receipt.files[0].name).read_bytes()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (receipt.files[0].size_bytes, receipt.files[0].sha256)
