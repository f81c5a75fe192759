"""Graph exports, pulled over a real socket from a source that may misbehave."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from counterfoil.client import Client, Form, Proof, ask_billed
from counterfoil.client.folder import STAGING
from counterfoil.errors import (
    LinkExpiredError,
    NoAnswerError,
    OperationFailedError,
    OperationTimeoutError,
    ProofError,
    RefusedError,
    UsageError,
)
from counterfoil.lake import lake_schema
from counterfoil.model import Kind
from tests.client.hostile_source import BILLING, TOKEN, Canned, HostileSource, number, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
TOTAL = "0.9999840002559959040655"


def left_in(folder: Path) -> list[str]:
    """What a person sees in a folder; what a next pull goes on from is out of sight."""
    return sorted(path.name for path in folder.iterdir() if path.name != STAGING)


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
    assert [blob["sha256"] for blob in on_disk["blobs"]] == [
        hashlib.sha256(source.blob(index)[1]).hexdigest() for index in (0, 1)
    ]
    assert left_in(tmp_path) == sorted([source.blob(0)[0], source.blob(1)[0], "receipt.json"])


def test_the_token_goes_to_the_api_and_never_to_blobs(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["operation"].append(
        Canned(200, {"Set-Cookie": "session=1"}, json.dumps({"status": "running"}).encode())
    )
    client.pull(ASK, tmp_path)
    for call in source.calls:
        if call.what == "blob":
            assert not {"authorization", "cookie"} & set(call.headers)
            assert not any(TOKEN in value for value in call.headers.values())
        else:
            assert call.headers["authorization"] == f"Bearer {TOKEN}"
            assert "cookie" not in call.headers
    assert len(source.calls_of("blob")) == 2


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
    ("retry_after", "wait_s"), [("7", 7.0), ("2.128", 2.128), ("", 10.0), ("soon", 10.0), ("0", 0.2), ("9999", 100.0)]
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


@pytest.mark.parametrize(
    ("annotation", "wrong", "said"),
    [
        ("@counterfoil.sizeBytes", 5, "arrived more than 5 bytes"),
        ("@counterfoil.sizeBytes", 5000, "of 5,000 bytes"),
        ("@counterfoil.sha256", "0" * 64, "SHA-256"),
    ],
)
def test_a_blob_that_is_not_as_annotated_is_fetched_again_and_then_refused(
    source: HostileSource, client: Client, tmp_path: Path, annotation: str, wrong: Any, said: str
) -> None:
    source.blob_changes[1] = {annotation: wrong}
    with pytest.raises(ProofError, match=said):
        client.pull(ASK, tmp_path)
    assert [call.path for call in source.calls_of("blob")].count(f"/blobs/root/{source.blob(1)[0]}") == 3
    assert left_in(tmp_path) == []


def test_a_bit_that_flipped_on_the_way_is_mended_by_fetching_again(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    name, body = source.blob(0)
    source.parts = source.parts[:1]
    source.canned["blob"].append(Canned(200, {}, body[:-1] + bytes([body[-1] ^ 1])))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert (tmp_path / name).read_bytes() == body


@pytest.mark.parametrize("form", [Form.BLOBS, Form.PARQUET])
@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip"])
def test_a_damaged_blob_is_found_without_any_annotation(
    source: HostileSource, client: Client, tmp_path: Path, damage: str, form: Form
) -> None:
    source.annotated = False
    name, body = source.blob(0)
    flipped = body[:-6] + bytes([body[-6] ^ 1]) + body[-5:]
    source.bodies[name] = {"cut": body[:-9], "flipped": flipped, "no gzip": b"<html>"}[damage]
    with pytest.raises(ProofError, match="cut or corrupt"):
        client.pull(ASK, tmp_path, form=form)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blobCount": 3}, "lists 2 blobs and says that there are 3"),
        ({"@counterfoil.lineItemCount": 6}, "says 6 line items, and 5"),
        ({"@counterfoil.totals": {"currency": "EUR", "BillingPreTaxTotal": "1"}}, "exact sum of BillingPreTaxTotal"),
        ({"@counterfoil.totals": {"currency": "USD", "BillingPreTaxTotal": TOTAL}}, "arrived in EUR"),
        ({"@counterfoil.totals": {"BillingPreTaxTotal": "NaN"}}, "not a number"),
        ({"rootDirectory": "ftp://x/y"}, "no http address"),
        ({"rootDirectory": "http://198.51.100.7/x"}, "plain http"),
        ({"blobs": "none"}, "no list of blobs"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    source.manifest_changes = changes
    with pytest.raises(ProofError, match=said):
        client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == []


def test_a_count_that_differs_from_the_blob_is_refused(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.blob_changes[0] = {"@counterfoil.lineItemCount": 2}
    source.blob_changes[1] = {"@counterfoil.lineItemCount": 3}
    with pytest.raises(ProofError, match="line items, and"):
        client.pull(ASK, tmp_path)


@pytest.mark.parametrize("case", [str, str.upper])
def test_a_blob_listed_twice_is_refused(source: HostileSource, client: Client, tmp_path: Path, case: Any) -> None:
    source.blob_changes[1] = {"name": case(source.blob(0)[0]).replace(".JSON.GZ", ".json.gz")}
    with pytest.raises(ProofError, match="twice"):
        client.pull(ASK, tmp_path)


@pytest.mark.parametrize(
    "name", ["../x.gz", "a/b.gz", "a\\b.gz", ".hidden.gz", "x.json", "x.gz\n", "", "C:x.gz", "x%2f.gz", "..gz", None]
)
def test_a_blob_name_that_is_no_plain_file_name_never_reaches_the_disk(
    source: HostileSource, client: Client, tmp_path: Path, name: Any
) -> None:
    source.blob_changes[0] = {"name": name}
    with pytest.raises(ProofError, match="safe file name"):
        client.pull(ASK, tmp_path / "inside")
    assert source.calls_of("blob") == []
    assert left_in(tmp_path) == []


def test_expired_links_are_renewed_for_the_same_data(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.expired = {source.blob(0)[0], source.blob(1)[0]}
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("operation")) == 2


def test_links_renewed_for_other_data_are_said_and_the_pull_starts_over(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.expired = {source.blob(0)[0]}
    first = json.dumps({"id": "the-operation", "status": "succeeded", "resourceLocation": source.manifest()})
    source.canned["operation"].append(Canned(200, {}, first.encode()))
    source.etag = "another"
    receipt = client.pull(ASK, tmp_path)
    assert (receipt.etag, receipt.proof) == ("another", Proof.PROVEN)
    assert "eTag was 0123456789abcdef0123456789abcdef and is another" in receipt.notes[0]


def test_links_that_cannot_be_renewed_say_so(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.expired = {source.blob(0)[0]}
    source.manifest_form = "inline"
    first = json.dumps({"id": "the-operation", "status": "succeeded", "resourceLocation": source.manifest()})
    source.canned["operation"] += [Canned(200, {}, first.encode()), Canned(410)]
    with pytest.raises(LinkExpiredError, match="410"):
        client.pull(ASK, tmp_path)


def test_a_link_refused_again_after_renewal_is_a_refusal_without_its_signature(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    body = b"<Error><Code>AuthenticationFailed</Code><Message>http://x/y?sig=secret1 Bearer abc</Message></Error>"
    source.canned["blob"] += [Canned(403, {}, body)] * 9
    with pytest.raises(RefusedError, match="403, AuthenticationFailed") as caught:
        client.pull(ASK, tmp_path)
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(("retry_after", "first_wait_s"), [("11", 11.25), ("", 0.375)])
@pytest.mark.parametrize("what", ["export", "operation", "blob"])
def test_throttling_is_waited_out(
    source: HostileSource,
    client: Client,
    tmp_path: Path,
    waits: list[float],
    what: str,
    retry_after: str,
    first_wait_s: float,
) -> None:
    source.parts = source.parts[:1]
    source.canned[what].append(Canned(429, {"Retry-After": retry_after} if retry_after else {}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert sum(waits) == pytest.approx(first_wait_s)


def test_throttling_without_end_is_bounded_and_may_be_tried_later(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    source.canned["operation"] += [Canned(503, {"request-id": "r-1"})] * 50
    with pytest.raises(RefusedError, match=r"503.*r-1.*after 4 attempts") as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.exit_code == 4
    assert len(source.calls_of("operation")) == 4
    assert waits == [0.375, 0.75, 1.5]


def test_a_wait_longer_than_our_patience_is_not_cut_short_but_passed_on(
    source: HostileSource, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    source.canned["export"].append(Canned(429, {"Retry-After": "3600"}))
    with pytest.raises(RefusedError, match="asks to wait 3600 s"):
        client.pull(ASK, tmp_path)
    assert waits == []
    assert len(source.calls_of("export")) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_repeated_and_tells_what_to_do(
    source: HostileSource, client: Client, tmp_path: Path, status: int
) -> None:
    body = b'{"error":{"code":"TheCode","message":"The message."}}'
    source.canned["export"].append(Canned(status, {"request-id": "r-2"}, body))
    with pytest.raises(RefusedError, match=f"{status}, TheCode: The message.*r-2.*client-request-id") as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.remedy
    assert TOKEN not in str(caught.value)
    assert len(source.calls_of("export")) == 1


@pytest.mark.parametrize("what", ["export", "operation", "manifest"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_to_another_host_is_refused_and_nothing_arrives_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path, what: str, status: int
) -> None:
    source.manifest_form = "text"
    source.canned[what].append(Canned(status, {"Location": f"{stranger.url}/v1.0/x?token=1"}))
    with pytest.raises(RefusedError, match=stranger.url):
        client.pull(ASK, tmp_path)
    assert stranger.calls == []


@pytest.mark.parametrize("place", ["location", "text", "annotation"])
def test_an_address_at_another_host_is_refused_and_nothing_arrives_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path, place: str
) -> None:
    link = f"{stranger.url}{BILLING}/operations/the-operation"
    if place == "location":
        source.location = link
    else:
        name = "resourceLocation" if place == "text" else "resourceLocation@odata.navigationLink"
        source.canned["operation"].append(Canned(200, {}, json.dumps({"status": "succeeded", name: link}).encode()))
    with pytest.raises(ProofError, match=stranger.url):
        client.pull(ASK, tmp_path)
    assert stranger.calls == []


def test_a_redirect_within_the_source_is_followed(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.canned["operation"].append(Canned(302, {"Location": f"{BILLING}/operations/the-operation"}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


def test_a_blob_may_lie_at_another_host_which_gets_no_token(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.manifest_changes = {"rootDirectory": f"{stranger.url}/blobs/elsewhere/"}
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(stranger.calls) == 2
    assert all("authorization" not in call.headers for call in stranger.calls)


def test_a_blob_redirected_to_its_storage_is_fetched_there(
    source: HostileSource, stranger: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.parts = source.parts[:1]
    stranger.parts = stranger.parts[:1]
    location = f"{stranger.url}/blobs/bucket/{source.blob(0)[0]}?X-Signature=1"
    source.canned["blob"].append(Canned(307, {"Location": location}))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


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
    receipt = client.pull(ASK, tmp_path, form=Form.PARQUET)
    assert receipt.proof is Proof.PROVEN
    assert receipt.inexact == {"BillingPreTaxTotal": 5}
    assert [file.name for file in receipt.files] == [
        source.blob(index)[0].removesuffix(".json.gz") + ".parquet" for index in (0, 1)
    ]
    assert left_in(tmp_path) == sorted([*(file.name for file in receipt.files), "receipt.json"])
    table = pq.read_table(tmp_path / receipt.files[0].name)
    assert table.schema.equals(lake_schema(Kind.USAGE))
    assert table["CustomerId"].to_pylist() == ["customer-7", "customer-8", "customer-9"]
    assert table["QuantityText"].to_pylist() == ["24.0", None, "0E-20"]
    assert table["BillingPreTaxTotalText"].to_pylist()[0] == "1E-7"
    assert table["BillingPreTaxTotal"].to_pylist()[0] == Decimal("1E-7")
    assert table["Extra"].to_pylist() == ['{"NewAttribute":{"a":[1.5]}}', None, None]
    assert table["MpnId"].to_pylist() == [None, None, "4390934"]
    body = (tmp_path / receipt.files[0].name).read_bytes()
    assert (len(body), hashlib.sha256(body).hexdigest()) == (receipt.files[0].size_bytes, receipt.files[0].sha256)


@pytest.mark.parametrize("form", [Form.BLOBS, Form.PARQUET])
@pytest.mark.parametrize("bad", [b"[1]", b'{"BillingPreTaxTotal":"1_0"}', b'{"BillingPreTaxTotal":NaN}', b"\xff", b"{"])
def test_a_line_that_cannot_be_read_exactly_is_refused(
    source: HostileSource, client: Client, tmp_path: Path, bad: bytes, form: Form
) -> None:
    source.annotated = False
    source.parts = [[*source.parts[0], bad]]
    with pytest.raises(ProofError, match=f"The blob {source.blob(0)[0]}"):
        client.pull(ASK, tmp_path, form=form)
    assert left_in(tmp_path) == []


def test_a_blob_of_several_members_with_a_mark_and_blank_lines_is_read(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.annotated = False
    name, _ = source.blob(0)
    lines = source.parts[0]
    source.bodies[name] = gzip.compress(b"\xef\xbb\xbf" + lines[0] + b"\r\n\r\n") + gzip.compress(lines[1])
    assert client.pull(ASK, tmp_path).line_items == 4


def test_a_pull_of_the_same_replaces_the_former_and_another_is_refused(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    source.parts, source.etag = [[written(usage_line(1))]], "new"
    client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == sorted([source.blob(0)[0], "receipt.json"])
    with pytest.raises(UsageError, match="holds another pull"):
        client.pull(ask_billed(Kind.USAGE, "G000000001"), tmp_path)
    assert len(left_in(tmp_path)) == 2


def test_a_pull_that_fails_leaves_the_former_one_untouched(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source.parts, source.etag = [[written(usage_line(1))]], "new"
    source.manifest_changes = {"@counterfoil.lineItemCount": 9}
    with pytest.raises(ProofError):
        client.pull(ASK, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_with_other_data_is_refused_before_anything_is_asked(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"mine\.parquet"):
        client.pull(ASK, tmp_path)
    assert source.calls == []


def test_an_interrupted_switch_is_cleaned_up_by_the_next_pull(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.pull(ASK, tmp_path)
    old = source.blob(0)[0]
    source.parts, source.etag = [[written(usage_line(1))], [written(usage_line(2))]], "new"
    moved: list[str] = []
    replace = Path.replace

    def stop_at_second_blob(self: Path, target: Path) -> Path:
        if self.name.startswith("part-") and target.parent == tmp_path:
            moved.append(self.name)
            if len(moved) == 2:
                raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop_at_second_blob)
        with pytest.raises(KeyboardInterrupt):
            client.pull(ASK, tmp_path)
    assert json.loads((tmp_path / "receipt.json").read_text())["proof"] == "unfinished"
    assert not (tmp_path / old).exists()
    fetched = len(source.calls_of("blob"))
    client.pull(ASK, tmp_path)
    assert len(source.calls_of("blob")) == fetched, "a verified blob was fetched again"
    assert left_in(tmp_path) == sorted([source.blob(0)[0], source.blob(1)[0], "receipt.json"])


def test_no_signature_and_no_token_is_logged(
    source: HostileSource, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.pull(ASK, tmp_path)
    logged = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("uvicorn"))
    assert "/blobs/root/" in logged
    assert "secret1" not in logged
    assert TOKEN not in logged


def test_no_answer_names_the_call_and_that_trying_again_is_safe(tmp_path: Path, patience: Any) -> None:
    with Client("http://127.0.0.1:1", TOKEN, patience=patience) as client, pytest.raises(NoAnswerError) as caught:
        client.pull(ASK, tmp_path)
    assert "POST http://127.0.0.1:1/v1.0/" in str(caught.value)
    assert "client-request-id" in str(caught.value)
    assert "safe" in str(caught.value)
    assert caught.value.exit_code == 4
