"""What a pull that was interrupted leaves, and how the next one goes on from it."""

from __future__ import annotations

import errno
import json
import shutil
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Client, Format, Progress, Proof, ask_billed, ask_unbilled
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.disk.file_lock import FileLock
from counterfoil.errors import (
    FullDiskError,
    LockedError,
    NoAnswerError,
    OperationTimeoutError,
    ProofError,
    RefusedError,
    UsageError,
)
from counterfoil.model import Kind
from tests.client.folders import seal
from tests.client.hostile_source import TOKEN, Canned, HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
NOVEMBER = datetime(2026, 11, 21, tzinfo=UTC)


class Told:
    """Notes what a pull says."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.line_items = 0
        self.last = Progress()

    def remark(self, message: str) -> None:
        self.remarks.append(message)

    def advance(self, line_items: int) -> None:
        self.line_items += line_items

    def progress(self, progress: Progress) -> None:
        self.last = progress


def asked_for(source: HostileSource, index: int) -> list[str]:
    """The ranges in which a blob was asked for."""
    name = source.blob(index)[0]
    return [call.headers.get("range", "") for call in source.calls_of("blob") if call.path.endswith(name)]


@pytest.fixture
def one_blob(source: HostileSource) -> HostileSource:
    source.parts = source.parts[:1]
    source.blob_etag = '"first"'
    return source


def test_a_blob_that_was_cut_goes_on_where_it_ended_under_its_etag(
    one_blob: HostileSource, client: Client, tmp_path: Path
) -> None:
    name, body = one_blob.blob(0)
    one_blob.cut_at[name] = 40
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert asked_for(one_blob, 0) == ["", "bytes=40-"]
    assert one_blob.calls_of("blob")[1].headers["if-match"] == '"first"'
    assert (tmp_path / name).read_bytes() == body


def test_a_source_that_sends_the_same_beginning_again_and_again_is_given_up(
    one_blob: HostileSource, client: Client, tmp_path: Path
) -> None:
    beginning = {"ETag": '"first"', "Content-Length": "200000"}
    one_blob.blob_changes[0] = {"@counterfoil.sizeBytes": 200_000}
    one_blob.canned["blob"].extend([Canned(200, beginning, b"x" * 100_000)] * 20)
    with pytest.raises(NoAnswerError, match="after 4 attempts"):
        client.pull(ASK, tmp_path)
    assert len(one_blob.calls_of("blob")) == 4


def test_a_later_run_goes_on_inside_a_blob(one_blob: HostileSource, tmp_path: Path) -> None:
    name, body = one_blob.blob(0)
    one_blob.cut_at[name] = 40
    hasty = Patience(attempts_max=1)
    with Client(one_blob.url, TOKEN, patience=hasty) as first, pytest.raises(NoAnswerError) as caught:
        first.pull(ASK, tmp_path)
    assert f"the same pull into {tmp_path} goes on from there" in str(caught.value)
    told = Told()
    with Client(one_blob.url, TOKEN, patience=hasty) as second:
        receipt = second.pull(ASK, tmp_path, watcher=told)
    assert asked_for(one_blob, 0) == ["", "bytes=40-"]
    assert len(one_blob.calls_of("export")) == 1, "the operation of the first run was asked again"
    assert "Going on with the pull that began" in told.remarks[0]
    assert (tmp_path / name).read_bytes() == body
    assert not (tmp_path / STAGING).exists()
    ids = {call.headers["client-request-id"] for call in one_blob.calls if "client-request-id" in call.headers}
    ids |= {call.headers["x-ms-client-request-id"] for call in one_blob.calls_of("blob")[1:]}
    assert ids <= set(receipt.request_ids), "the receipt names the calls of both runs"


def test_a_blob_that_is_another_one_now_begins_anew(one_blob: HostileSource, tmp_path: Path) -> None:
    one_blob.cut_at[one_blob.blob(0)[0]] = 40
    hasty = Patience(attempts_max=1)
    with Client(one_blob.url, TOKEN, patience=hasty) as first, pytest.raises(NoAnswerError):
        first.pull(ASK, tmp_path)
    one_blob.blob_etag = '"second"'
    with Client(one_blob.url, TOKEN) as second:
        assert second.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert asked_for(one_blob, 0) == ["", "bytes=40-", ""]


def test_without_an_etag_and_a_sha256_a_rest_is_not_trusted(
    one_blob: HostileSource, client: Client, tmp_path: Path
) -> None:
    one_blob.annotated, one_blob.blob_etag = False, ""
    one_blob.cut_at[one_blob.blob(0)[0]] = 40
    assert client.pull(ASK, tmp_path).line_items == 3
    assert asked_for(one_blob, 0) == ["", ""]


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
def test_a_verified_blob_is_never_fetched_again(source: HostileSource, tmp_path: Path, form: Format) -> None:
    source.bodies[source.blob(1)[0]] = b"spoilt"
    waits = Patience(sleep=lambda _: None)
    with Client(source.url, TOKEN, patience=waits, parallel=1) as client:
        with pytest.raises(ProofError, match=source.blob(1)[0]):
            client.pull(ASK, tmp_path, format=form)
        source.bodies.clear()
        assert client.pull(ASK, tmp_path, format=form).proof is Proof.PROVEN
    assert len(asked_for(source, 0)) == 1


def test_an_unfinished_pull_of_other_data_starts_over_and_says_so(source: HostileSource, tmp_path: Path) -> None:
    source.bodies[source.blob(1)[0]] = b"spoilt"
    told = Told()
    with Client(source.url, TOKEN, patience=Patience(sleep=lambda _: None), parallel=1) as client:
        with pytest.raises(ProofError):
            client.pull(ASK, tmp_path)
        source.etag, source.parts = "new", [[written(usage_line(7))]]
        receipt = client.pull(ASK, tmp_path, watcher=told)
    assert (receipt.etag, receipt.line_items, receipt.proof) == ("new", 1, Proof.PROVEN)
    assert any("eTag new" in remark and "Starting over" in remark for remark in told.remarks)


def test_an_operation_that_was_forgotten_is_made_again(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.statuses, source.retry_after = ["running"], "60"
    with pytest.raises(OperationTimeoutError):
        client.pull(ASK, tmp_path)
    source.statuses = ["succeeded"]
    source.canned["operation"].append(Canned(410))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("export")) == 2


def test_another_ask_does_not_go_on_from_an_unfinished_pull(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.statuses, source.retry_after = ["running"], "60"
    with pytest.raises(OperationTimeoutError):
        client.pull(ASK, tmp_path)
    with pytest.raises(UsageError, match="unfinished pull of something else"):
        client.pull(ask_billed(Kind.USAGE, "G000000001"), tmp_path)
    assert (tmp_path / STAGING / "pull.json").exists()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_pull_leaves_no_folder(source: HostileSource, client: Client, tmp_path: Path, status: int) -> None:
    source.canned["export"].append(Canned(status))
    with pytest.raises(RefusedError):
        client.pull(ASK, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_the_same_etag_held_and_verified_is_not_pulled_again(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    first = client.pull(ASK, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = Told()
    second = client.pull(ASK, tmp_path, watcher=told)
    assert (second, second.already_held, first.already_held) == (first, True, False)
    assert "held already" in told.remarks[-1]
    assert len(source.calls_of("blob")) == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_held_file_that_was_damaged_since_is_pulled_again(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    name, body = source.blob(0)
    (tmp_path / name).write_bytes(body[:-1] + b"x")
    assert not client.pull(ASK, tmp_path).already_held
    assert (tmp_path / name).read_bytes() == body


@pytest.mark.parametrize("edited", [{"lineItems": 4}, {"totals": {"EUR": {"BillingPreTaxTotal": "1.00"}}}])
def test_a_receipt_that_says_other_than_the_source_is_not_held(
    source: HostileSource, client: Client, tmp_path: Path, edited: dict[str, Any]
) -> None:
    right = client.pull(ASK, tmp_path)
    receipt = tmp_path / "receipt.json"
    seal(tmp_path, json.loads(receipt.read_text()) | edited)
    again = client.pull(ASK, tmp_path)
    assert (again.already_held, again.line_items, again.totals) == (False, right.line_items, right.totals)


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refusal_while_waiting_does_not_give_the_export_up(
    source: HostileSource, client: Client, tmp_path: Path, status: int
) -> None:
    source.statuses = ["running", "running", "succeeded"]
    running = json.dumps({"id": "the-operation", "status": "running"}).encode()
    source.canned["operation"].extend([Canned(200, {}, running), *[Canned(status)] * 4])
    with pytest.raises(RefusedError, match="goes on from there"):
        client.pull(ASK, tmp_path)
    source.canned["operation"].clear()
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("export")) == 1


def test_two_pulls_into_one_folder_do_not_collide(source: HostileSource, client: Client, tmp_path: Path) -> None:
    (tmp_path / STAGING).mkdir()
    with FileLock.take(tmp_path / STAGING / "lock"), pytest.raises(LockedError) as caught:
        client.pull(ASK, tmp_path)
    assert caught.value.exit_code == 4
    assert source.calls == []
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


@pytest.mark.parametrize("name", ["notes.txt", "part-00000.json.gz"])
def test_a_folder_of_somebody_else_is_refused(source: HostileSource, client: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=name):
        client.pull(ASK, tmp_path)
    assert (source.calls, [path.name for path in tmp_path.iterdir()]) == ([], [name])


def test_last_of_two_months_is_not_the_same(source: HostileSource, client: Client, tmp_path: Path) -> None:
    october = ask_unbilled(Kind.USAGE, "last", "EUR", now=NOVEMBER)
    receipt = client.pull(october, tmp_path)
    assert (receipt.request["billingPeriod"], receipt.request["month"]) == ("last", "2026-10")
    with pytest.raises(UsageError, match="holds another pull"):
        client.pull(ask_unbilled(Kind.USAGE, "last", "EUR", now=datetime(2026, 12, 9, tzinfo=UTC)), tmp_path)
    current_then = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 10, 9, tzinfo=UTC))
    assert client.pull(current_then, tmp_path).already_held, "the month is the same, whatever word names it"


def test_the_disk_is_looked_at_before_anything_is_fetched(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    with pytest.raises(FullDiskError, match="room for 0 MB"):
        client.pull(ASK, tmp_path)
    assert source.calls_of("blob") == []


def test_a_disk_that_fills_up_is_told_and_the_pull_can_go_on(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("counterfoil.client.pull_folder.verified_blobs.sync_file", full)
        with pytest.raises(FullDiskError, match="no room left") as caught:
            client.pull(ASK, tmp_path)
    assert "goes on from there" in str(caught.value)
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN


def test_ctrl_c_leaves_what_the_next_pull_goes_on_from(source: HostileSource, client: Client, tmp_path: Path) -> None:
    class Interrupting(Told):
        def advance(self, line_items: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.pull(ASK, tmp_path, watcher=Interrupting())
    assert json.loads((tmp_path / STAGING / "pull.json").read_text())["operation_url"]
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("export")) == 1


def test_progress_is_told_to_the_last_byte(source: HostileSource, client: Client, tmp_path: Path) -> None:
    told = Told()
    client.pull(ASK, tmp_path, watcher=told)
    size = sum(len(source.blob(index)[1]) for index in (0, 1))
    assert told.last == Progress("fetching", 2, 2, size, size, 5, 5)
    assert told.line_items == 5
