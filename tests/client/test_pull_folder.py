"""The folder of a pull: all of it appears or nothing, and only what pulls brought is ever replaced."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from counterfoil.client import Client, Format, Proof, ask_billed
from counterfoil.client.pull_folder import target as module_of_folder
from counterfoil.client.pull_folder.target import PullFolder
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.receipt import Receipt, ReceiptFile, identity
from counterfoil.disk import file_lock
from counterfoil.errors import (
    DataFolderError,
    LockedError,
    ProofError,
    UsageError,
)
from counterfoil.model import Kind
from tests.client.folders import left_in, seal
from tests.client.hostile_source import HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")


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


def test_another_partners_data_never_takes_the_place_of_ones_own(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    client.pull(ASK, tmp_path)
    before = left_in(tmp_path)
    source.etag = "new"
    source.manifest_changes = {"partnerTenantId": "11111111-2222-3333-4444-555555555555"}
    with pytest.raises(UsageError, match="holds data of the partner 0e195b37"):
        client.pull(ASK, tmp_path)
    assert left_in(tmp_path) == before
    assert len(source.calls_of("blob")) == 2, "nothing was fetched of it"


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
        if self.name.startswith("part-") and self.parent != target.parent == tmp_path:
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


def test_a_former_file_that_is_open_is_named_and_the_former_pull_stays_whole(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.pull(ASK, tmp_path, format=Format.CSV)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source.parts, source.etag = [[written(usage_line(1))]], "new"
    replace = Path.replace

    def refuse_what_is_open(self: Path, target: Path) -> Path:
        if target == tmp_path / "usage.csv":
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse_what_is_open)
        with pytest.raises(LockedError, match=r"usage\.csv cannot be replaced.*Close the program"):
            client.pull(ASK, tmp_path, format=Format.CSV)
    assert {name: (tmp_path / name).read_bytes() for name in left_in(tmp_path)} == before
    client.pull(ASK, tmp_path, format=Format.CSV)
    assert (tmp_path / "usage.csv").read_bytes() != before["usage.csv"]


REQUEST = {"kind": "usage", "invoiceId": "G016907411"}


def receipt_of(*files: ReceiptFile) -> Receipt:
    return Receipt(
        source="https://source.example",
        api="graph",
        request=REQUEST,
        operation="",
        etag="",
        started_at="2026-11-21T12:00:00Z",
        finished_at="2026-11-21T12:00:01Z",
        format="blobs",
        line_items=0,
        totals={},
        proof=Proof.PROVEN,
        checked=(),
        unchecked=(),
        blobs=(),
        files=files,
        request_ids=(),
        inexact={},
        notes=(),
        partner="",
    )


TWELVE = hashlib.sha256(b"12").hexdigest()
SOURCE = "https://source.example"
SUBJECT = identity("graph", REQUEST)


@pytest.mark.parametrize("second", ["a.gz", "A.gz", "gone.gz"])
def test_no_receipt_names_a_file_twice_or_one_that_is_not_there(tmp_path: Path, second: str) -> None:
    folder = PullFolder(tmp_path / "to", SUBJECT, SOURCE)
    folder.enter()
    (folder.staging / "a.gz").write_bytes(b"12")
    with pytest.raises(ProofError):
        folder.keep(receipt_of(ReceiptFile("a.gz", 2, TWELVE, 0), ReceiptFile(second, 2, TWELVE, 0)))
    folder.leave()
    assert not (tmp_path / "to").exists()


def test_a_new_name_in_other_letters_takes_the_place_of_the_former_one(tmp_path: Path) -> None:
    for name in ("A.gz", "a.gz", "a.gz"):
        folder = PullFolder(tmp_path, SUBJECT, SOURCE)
        folder.enter()
        (folder.staging / name).write_bytes(b"12")
        folder.keep(receipt_of(ReceiptFile(name, 2, TWELVE, 0)))
        folder.leave()
        assert left_in(tmp_path) == [name, "receipt.json"]


def test_a_folder_that_another_pull_takes_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, folder = PullFolder(tmp_path / "to", SUBJECT, SOURCE), PullFolder(tmp_path / "to", SUBJECT, SOURCE)
    other.enter()
    opened = os.open
    left: list[bool] = []

    def leave_first(path: Path, flags: int, mode: int = 0o777) -> int:
        if path.name == "lock" and not left:
            left.append(True)
            other.leave()
        return opened(path, flags, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", leave_first)
        folder.enter()
    assert left
    assert folder.staging.is_dir()
    folder.leave()
    assert not (tmp_path / "to").exists()


def test_a_pull_that_is_about_to_end_is_another_pull_and_no_stranger(tmp_path: Path) -> None:
    other = PullFolder(tmp_path, SUBJECT, SOURCE)
    other.enter()
    (tmp_path / "new.gz").write_bytes(b"")  # moved there, and the receipt was read before it named it
    with pytest.raises(LockedError, match="Another pull"):
        PullFolder(tmp_path, SUBJECT, SOURCE).enter()
    other.leave()


def test_a_stranger_is_refused_and_no_folder_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.gz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"mine\.gz"):
        PullFolder(tmp_path, SUBJECT, SOURCE).enter()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.gz"]


def test_a_disk_without_locks_is_not_another_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock, "_lock", no_locks)
    with pytest.raises(DataFolderError, match=r"cannot be locked: No locks available\. Name a folder") as caught:
        PullFolder(tmp_path, SUBJECT, SOURCE).enter()
    assert not isinstance(caught.value, LockedError)


def test_an_unfinished_pull_of_another_partner_is_not_gone_on_with(tmp_path: Path) -> None:
    first = PullFolder(tmp_path, SUBJECT, SOURCE)
    first.enter()
    UnfinishedPull(SUBJECT, "2026-11-05T00:00:00Z", partner="the first").keep(first.staging)
    first.leave()
    folder = PullFolder(tmp_path, SUBJECT, SOURCE)
    folder.enter()
    assert folder.ticket is not None
    begun = folder.ticket.partner
    with pytest.raises(UsageError, match=r"unfinished pull .* the first, .* of the second\. Remove .*`to`"):
        folder.check_partner("the second", begun)
    folder.check_partner("the first", begun)
    folder.clear()
    assert folder.ticket is None
    folder.check_partner("the second", "")
    with pytest.raises(UsageError, match="unfinished"):
        folder.check_partner("the first", "the second")
    folder.leave()


def test_the_names_of_folders_that_are_made_are_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(module_of_folder, "sync_folder", synced.append)
    folder = PullFolder(tmp_path / "a" / "b", SUBJECT, SOURCE)
    folder.enter()
    assert synced[:3] == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    folder.leave()


def test_a_file_that_was_moved_is_not_removed_under_its_former_name(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"12")
    os.link(tmp_path / "a.gz", tmp_path / "A.gz")  # one file by both names, as disks have it that fold cases
    note = {"source": "https://source.example", "api": "graph", "request": REQUEST, "proof": "unfinished"}
    seal(tmp_path, {"version": 2, **note, "files": [{"name": "A.gz"}, {"name": "a.gz"}]})
    folder = PullFolder(tmp_path, SUBJECT, SOURCE)
    folder.enter()
    folder.keep(receipt_of(ReceiptFile("a.gz", 2, TWELVE, 0)))
    folder.leave()
    assert left_in(tmp_path) == ["A.gz", "a.gz", "receipt.json"]
