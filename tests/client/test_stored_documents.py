"""What a pull writes down: flipped bits are found, other versions refused, and what was stored is looked at again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from counterfoil.client import Api, Client, Format, Proof, Receipt, ask_unbilled
from counterfoil.client.holdings.holding import holding_at
from counterfoil.client.holdings.verifying import verify
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder import walk_journal
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.client.pull_folder.walk_journal import FILE_NAME
from counterfoil.client.receipt import VERSION
from counterfoil.disk import documents
from counterfoil.errors import ProofError, UsageError
from counterfoil.model import Kind
from tests.client.folders import left_in, seal
from tests.client.hostile_source import TOKEN, Canned, HostileSource

ASK = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))
FLIPS = 300
SEED = 20261127
WAITS = Patience(sleep=lambda _: None)


def faults_in(folder: Path) -> list[str]:
    holding = holding_at(folder)
    assert holding.receipt or holding.unfinished or holding.flaw, "nothing is left of it"
    return verify(holding)


def flipped(data: bytes, flips: int = FLIPS) -> Iterator[bytes]:
    """Yield the bytes with one bit flipped, at random places."""
    dice = random.Random(SEED)
    for place in dice.sample(range(len(data) * 8), flips):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        yield bytes(damaged)


def means(data: bytes) -> object:
    """What a document says; other data says its very bytes."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def check_flips(folder: Path, path: Path, flips: int = FLIPS) -> None:
    whole = path.read_bytes()
    assert faults_in(folder) == []
    for damaged in flipped(whole, flips):
        path.write_bytes(damaged)
        assert faults_in(folder) or means(damaged) == means(whole), damaged
    path.write_bytes(whole)


@pytest.mark.parametrize(("api", "form"), [*((Api.GRAPH, form) for form in Format), (Api.V1, Format.PARQUET)])
def test_every_flipped_bit_of_a_receipt_is_found(
    source: HostileSource, client: Client, tmp_path: Path, api: Api, form: Format
) -> None:
    client.pull(ASK, tmp_path, api=api, format=form)
    check_flips(tmp_path, tmp_path / "receipt.json")


def interrupt(source: HostileSource, to: Path, form: Format) -> None:
    """Pull an export of which only the first blob is good."""
    source.bodies[source.blob(1)[0]] = b"spoilt"
    with Client(source.url, TOKEN, patience=WAITS, parallel=1) as client, pytest.raises(ProofError):
        client.pull(ASK, to, format=form)
    source.bodies.clear()


@pytest.fixture
def half_an_export(source: HostileSource, tmp_path: Path) -> Path:
    """The staging folder of an export of which one blob of two is verified."""
    interrupt(source, tmp_path, Format.BLOBS)
    return tmp_path / STAGING


@pytest.fixture
def half_a_walk(source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The staging folder of a walk of which two pages of three are kept; the first is a part that is closed."""
    monkeypatch.setattr(walk_journal, "LINES_PER_FILE_MAX", 2)
    page = source.page

    def failing(call: Any) -> Canned:
        return Canned(503) if call.headers.get("ms-continuationtoken") == "token-2" else page(call)

    with monkeypatch.context() as patched:
        patched.setattr(source, "page", failing)
        with pytest.raises(Exception, match="goes on from there"):
            client.pull(ASK, tmp_path, api=Api.V1)
    return tmp_path / STAGING


@pytest.mark.parametrize("name", ["pull.json", "*.gz.json", "*.gz"])
def test_every_flipped_bit_of_what_an_unfinished_export_wrote_is_found(half_an_export: Path, name: str) -> None:
    [path] = half_an_export.glob(name)
    check_flips(half_an_export.parent, path)


@pytest.mark.parametrize(
    "name", ["pull.json", "part-00000.json.gz.json", "part-00000.json.gz", "items-00001", FILE_NAME]
)
def test_every_flipped_bit_of_what_an_unfinished_walk_wrote_is_found(half_a_walk: Path, name: str) -> None:
    check_flips(half_a_walk.parent, half_a_walk / name)


def test_a_journal_that_a_crash_cut_off_is_no_fault(half_a_walk: Path) -> None:
    journal = half_a_walk / FILE_NAME
    whole = journal.read_bytes()
    for size in range(whole.index(b"\n") + 1, len(whole)):
        journal.write_bytes(whole[:size])
        assert faults_in(half_a_walk.parent) == []


@pytest.mark.parametrize("name", [FILE_NAME, "items-00001", "part-00000.json.gz", "part-00000.json.gz.json"])
def test_a_walk_never_goes_on_over_what_is_not_as_it_was_stored(
    source: HostileSource, client: Client, tmp_path: Path, half_a_walk: Path, name: str
) -> None:
    whole = {path: path.read_bytes() for path in half_a_walk.iterdir()}
    right: list[Receipt] = []
    for damaged in (whole[half_a_walk / name], *flipped(whole[half_a_walk / name], 6)):
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()
        half_a_walk.mkdir(exist_ok=True)
        for path, data in whole.items():
            path.write_bytes(data)
        (half_a_walk / name).write_bytes(damaged)
        receipt = client.pull(ASK, tmp_path, api=Api.V1)
        right.append(receipt)
        assert (receipt.proof, receipt.files, receipt.totals) == (Proof.PROVEN, right[0].files, right[0].totals)
        assert faults_in(tmp_path) == []


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET, Format.CSV])
def test_a_verified_blob_that_the_disk_damaged_is_fetched_again(
    source: HostileSource, tmp_path: Path, form: Format
) -> None:
    interrupt(source, tmp_path, form)
    [staged] = [path for path in (tmp_path / STAGING).iterdir() if path.suffix in (".gz", ".parquet")]
    data = bytearray(staged.read_bytes())
    data[len(data) // 2] ^= 1
    staged.write_bytes(data)
    with Client(source.url, TOKEN, patience=WAITS) as second:
        assert second.pull(ASK, tmp_path, format=form).proof is Proof.PROVEN
    assert faults_in(tmp_path) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"version": 3}, "was written by a newer Counterfoil. Use that version, or update this one."),
        ({"version": 1}, "was written by an older Counterfoil, in a form that is no longer read. Move "),
        ({"lineItems": "many"}, "is not a receipt that can be read. Move "),
    ],
)
def test_a_receipt_of_another_version_is_refused_with_what_to_do_and_left_alone(
    source: HostileSource, client: Client, tmp_path: Path, edit: dict[str, Any], told: str
) -> None:
    client.pull(ASK, tmp_path)
    seal(tmp_path, json.loads((tmp_path / "receipt.json").read_bytes()) | edit)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again: tuple[Callable[[], object], ...] = (lambda: Receipt.read(tmp_path), lambda: client.pull(ASK, tmp_path))
    for refused in again:
        with pytest.raises(UsageError, match=r"receipt\.json") as caught:
            refused()
        assert told in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_receipt_of_the_first_version_is_to_be_pulled_again(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text('{"receiptVersion": 1, "proof": "proven"}')
    with pytest.raises(UsageError, match=r"older Counterfoil.* Move .* away, and pull again\."):
        Receipt.read(tmp_path)


def test_an_unfinished_pull_of_a_newer_version_is_refused_and_left_alone(
    source: HostileSource, client: Client, half_an_export: Path
) -> None:
    body = json.loads((half_an_export / "pull.json").read_bytes()) | {"version": 3}
    (half_an_export / "pull.json").write_text(json.dumps(body))
    before = {path: path.read_bytes() for path in half_an_export.iterdir()}
    with pytest.raises(UsageError, match=r"unfinished pull of a newer Counterfoil\. Finish it with that version"):
        client.pull(ASK, half_an_export.parent)
    assert {path: path.read_bytes() for path in half_an_export.iterdir()} == before


def test_an_unfinished_pull_that_cannot_be_gone_on_with_begins_anew(
    source: HostileSource, client: Client, half_an_export: Path
) -> None:
    (half_an_export / "pull.json").write_text('{"version": 1, "subject": {}}')
    assert client.pull(ASK, half_an_export.parent).proof is Proof.PROVEN


@pytest.mark.parametrize("total", ["many", "1E999999999", "NaN", ""])
def test_a_journal_with_a_total_that_is_no_number_keeps_no_pull_from_going_on(
    source: HostileSource, client: Client, tmp_path: Path, half_a_walk: Path, total: str
) -> None:
    journal = half_a_walk / FILE_NAME
    first, second = journal.read_bytes().splitlines(keepends=True)
    line = walk_journal.read_line(second, walk_journal.read_line(first, None))
    forged = msgspec.structs.replace(line, totals={"EUR": {"A": total}})
    journal.write_bytes(first + documents.encode(forged, VERSION))
    assert len(faults_in(tmp_path)) == 1
    assert client.pull(ASK, tmp_path, api=Api.V1).proof is Proof.PROVEN
    assert STAGING not in left_in(tmp_path)
