"""Stored files in a folder: durable before they are listed, private, and never outside."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.errors import DamagedError, DataFolderError, FullDiskError
from counterfoil.storage.files import Deleted, FileWriter, ReaderStream
from counterfoil.storage.folder_files import FolderFiles

PUBLICATION = "a" * 32
NAME = f"lake/kind=usage/{PUBLICATION}-a.parquet"


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    return FolderFiles(tmp_path / "data" / "files")


def full(writer: FileWriter) -> None:
    """Make every write to the file fail: its disk is full."""
    with Path("/dev/full").open("wb") as device:
        os.dup2(device.fileno(), writer.fileno())


def test_parquet_can_be_written_and_read_by_offset(files: FolderFiles) -> None:
    table = pa.table({"Total": ["0.1", "0.20"]})
    with files.create(NAME) as writer:
        pq.write_table(table, writer)
    stream = ReaderStream(files.open(NAME))
    assert pq.ParquetFile(pa.PythonFile(stream, mode="r")).read().equals(table)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../catalog.sqlite",
        f"lake/../../{PUBLICATION}",
        "lake/",
        "lake//a",
        "lake/.hidden",
        "a\n",
        "a\\b",
        "a b",
        "ä",
        "x" * 256,
    ],
)
def test_a_path_never_leads_outside(files: FolderFiles, path: str) -> None:
    for use in (
        files.open,
        files.create,
        files.get,
        lambda path: files.delete([path]),
        lambda path: files.put(path, b""),
    ):
        with pytest.raises(DamagedError):
            use(path)


def test_bytes_are_synced_before_names_and_those_of_a_large_file_when_it_is_closed(
    files: FolderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the folder that holds the data folder, whose name may be new as well."""
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    root, large = tmp_path / "data" / "files", f"lake/kind=usage/{PUBLICATION}-large.parquet"
    for path, size_bytes, at_once in ((NAME, 1, []), (large, 1 << 20, [root / large])):
        writer = files.create(path)
        writer.write(bytes(size_bytes))
        assert synced == []
        writer.close()
        writer.close()
        assert synced == at_once
    synced.clear()
    files.sync([NAME, large])
    assert set(synced[:2]) == {root / NAME, root / large}
    assert set(synced[2:]) == {root / "lake/kind=usage", root / "lake", root, tmp_path / "data", tmp_path}
    assert len(synced) == 7


def test_what_is_put_is_synced_before_and_after_it_gets_its_name(
    files: FolderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    files.put("catalog.json", b"x")
    assert synced == [tmp_path / "data/files/catalog.json.part", tmp_path / "data/files"]


def test_files_and_folders_are_readable_by_their_owner_alone(files: FolderFiles, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.create(NAME).close()
        files.put("catalog.json", b"x")
    finally:
        os.umask(before)
    made = list((tmp_path / "data").rglob("*"))
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (*made, tmp_path / "data") if path.is_dir()} == {"0o700"}


def test_a_buffer_that_is_forgotten_writes_nothing_to_a_file_that_was_given_up(files: FolderFiles) -> None:
    """Else it would fail where nobody can catch it: after the error was told, in the middle of the screen."""
    writer = files.create(NAME)
    writer.write(b"first")
    writer.give_up()
    full(writer)
    assert (writer.write(b"more"), writer.size_bytes) == (4, 5)
    writer.close()


def test_a_full_disk_is_told_and_no_promise_is_made_for_the_file(
    files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = files.create(NAME)
    full(writer)
    with pytest.raises(FullDiskError, match="room"):
        writer.write(b"x" * 10_000)
    monkeypatch.delattr(os, "fsync")
    writer.close()
    assert writer.size_bytes == 0


def test_a_disk_that_fills_while_syncing_is_told(files: FolderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "quota")

    writer = files.create(NAME)
    writer.write(bytes(1 << 20))
    files.create(f"lake/{PUBLICATION}-small.parquet").close()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(FullDiskError):
        writer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer.fileno())
    with pytest.raises(FullDiskError):
        files.sync([f"lake/{PUBLICATION}-small.parquet"])


def test_a_small_file_is_the_old_one_or_the_new_one_whatever_happens(
    files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put("catalog.json", b"old")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(FullDiskError):
            files.put("catalog.json", b"new")
    assert files.get("catalog.json") == b"old"
    assert [found.path for found in files.find()] == ["catalog.json"]


def test_folders_that_hold_nothing_any_more_go_with_their_last_file(files: FolderFiles, tmp_path: Path) -> None:
    other = f"lake/kind=usage/{PUBLICATION}-b.parquet"
    for path in (NAME, other):
        with files.create(path) as writer:
            writer.write(b"xyz")
    assert files.delete([NAME, NAME]) == Deleted(1, 3)
    assert files.delete([other]) == Deleted(1, 3)
    assert list((tmp_path / "data" / "files").iterdir()) == []


def test_those_who_make_files_and_those_who_delete_folders_do_not_hurt_each_other(files: FolderFiles) -> None:
    def work(number: int) -> None:
        path = f"lake/kind=usage/{number:032x}-a.parquet"
        files.create(path).close()
        files.sync([path])
        assert files.open(path).size_bytes == 0
        assert files.delete([path]) == Deleted(1, 0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(200)))
    assert list(files.find()) == []


def test_two_who_delete_the_same_files_both_succeed(files: FolderFiles) -> None:
    names = [f"graph/tenant/{number:032x}-a.json.gz" for number in range(300)]
    for name in names:
        files.create(name).close()
    with ThreadPoolExecutor(2) as threads:
        deleted = list(threads.map(lambda _: files.delete(names), range(2)))
    assert sum(each.files for each in deleted) == 300


def test_a_file_that_cannot_be_deleted_keeps_no_other_from_it(
    files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"graph/{owner}/{number:032x}-a.json.gz" for number, owner in enumerate(("mine", "roots", "also-mine"))]
    for name in names:
        files.create(name).close()
    unlink = Path.unlink

    def guarded(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == "roots":
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", guarded)
    with pytest.raises(DataFolderError, match="Permission denied"):
        files.delete(names)
    assert [found.path for found in files.find()] == [names[1]]


def test_a_reader_of_a_deleted_file_reads_on(files: FolderFiles) -> None:
    with files.create(NAME) as writer:
        writer.write(b"xyz")
    reader = files.open(NAME)
    files.delete([NAME])
    assert reader.read(1, 10) == b"yz"
