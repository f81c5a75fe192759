"""Stored files: written once, durable before they are listed, and deleted only when nobody lists them."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.errors import DamagedError, FullDiskError
from counterfoil.storage.files import Cleaned, Files

PUBLICATION = "a" * 32

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "data" / "files")


def nothing_listed(_publication: str) -> set[str]:
    return set()


def test_a_file_is_counted_and_hashed_on_the_way(files: Files) -> None:
    with files.begin() as publication:
        with publication.create("s0-p00000.v1") as writer:
            assert writer.write(b"abc") == 3
            assert writer.write(memoryview(b"-def-")[1:4]) == 3
            assert writer.tell() == 6
        publication.seal()
    assert (writer.size_bytes, writer.sha256) == (6, hashlib.sha256(b"abcdef").hexdigest())
    assert writer.stored == f"{publication.id}/s0-p00000.v1"
    with files.open(writer.stored) as file:
        assert file.read() == b"abcdef"


def test_a_root_that_another_publication_takes_away_is_made_again(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, really = tmp_path / "data" / "files", os.mkdir
    vanished: list[str] = []

    def vanishing(path: str, mode: int = 0o777) -> None:
        if Path(path).parent == root and root.exists() and not vanished:
            root.rmdir()
            vanished.append(path)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        really(path, mode)

    monkeypatch.setattr(os, "mkdir", vanishing)
    with files.begin() as publication:
        assert publication.folder.is_dir()
    assert vanished


def test_parquet_can_be_written_into_a_publication(files: Files) -> None:
    table = pa.table({"Total": ["0.1", "0.20"]})
    with files.begin() as publication, publication.create("s0-p00000.lake.parquet") as writer:
        pq.write_table(table, writer)
    path = files.path(writer.stored)
    assert pq.read_table(path).equals(table)
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_made_only_once(files: Files) -> None:
    with files.begin() as publication:
        publication.create("a").close()
        with pytest.raises(FileExistsError):
            publication.create("a")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", "lock", "x" * 201])
def test_names_are_plain(files: Files, name: str) -> None:
    with files.begin() as publication, pytest.raises(ValueError, match="not a name"):
        publication.create(name)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "a",
        "/etc/passwd",
        "../catalog.sqlite",
        f"{PUBLICATION}/../../secret",
        f"{PUBLICATION}/",
        f"{PUBLICATION}/lock",
        f"{PUBLICATION}/..",
        f"{PUBLICATION}/b/c",
        f"{PUBLICATION}/a\n",
        f"{PUBLICATION[1:]}/a",
        f"{PUBLICATION.upper()}/a",
    ],
)
def test_a_path_never_leads_outside(files: Files, stored: str) -> None:
    with pytest.raises(DamagedError):
        files.path(stored)
    with pytest.raises(DamagedError):
        files.delete([stored])


def test_a_missing_file_is_damage(files: Files) -> None:
    with pytest.raises(DamagedError, match="missing"):
        files.open(f"{'a' * 32}/gone")


def test_bytes_are_synced_before_a_file_counts_as_closed_and_names_before_it_is_sealed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    with files.begin() as publication:
        writer = publication.create("a")
        writer.write(b"x")
        assert synced == []
        writer.close()
        writer.close()
        assert synced == [str(publication.folder / "a")]
        publication.seal()
        root = publication.folder.parent
        assert synced[1:] == [str(publication.folder), str(root), str(root.parent)]


def test_a_buffer_that_is_forgotten_writes_nothing_to_a_file_that_was_given_up(files: Files) -> None:
    """Else it would fail where nobody can catch it: after the error was told, in the middle of the screen."""
    with files.begin() as publication:
        writer = publication.create("a")
        writer.write(b"first")
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), writer.fileno())
    assert (writer.write(b"more"), writer.size_bytes) == (4, 5)
    writer.close()


def test_a_full_disk_is_told_and_no_promise_is_made_for_the_file(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    with files.begin() as publication:
        writer = publication.create("a")
        with Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), writer.fileno())
        with pytest.raises(FullDiskError, match="room"):
            writer.write(b"x" * 10_000)
        monkeypatch.delattr(os, "fsync")
        writer.close()
        assert writer.size_bytes == 0


def test_a_disk_that_fills_while_syncing_is_told(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "quota")

    with files.begin() as publication:
        writer = publication.create("a")
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(FullDiskError):
            writer.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(writer.fileno())


def test_an_abandoned_publication_leaves_nothing(files: Files) -> None:
    publication = files.begin()
    with publication.create("a") as writer:
        writer.write(b"x")
    (publication.folder / "sorting" / "deeper").mkdir(parents=True)
    publication.abandon()
    publication.close()
    assert list(files.publications()) == []


def test_leaving_a_publication_early_deletes_nothing(files: Files) -> None:
    """Its commit may have been made already; what was not committed is found by sweep."""
    publication = files.begin()
    publication.create("a").close()
    with pytest.raises(BrokenPipeError), publication:
        raise BrokenPipeError
    assert (publication.folder / "a").exists()
    assert files.clean(publication.id, nothing_listed) == Cleaned(1, 0)


def test_what_the_catalog_lists_is_kept_and_the_rest_deleted(files: Files) -> None:
    with files.begin() as publication:
        for name in ("a", "b", "c"):
            with publication.create(name) as writer:
                writer.write(b"xyz")
    assert files.clean(publication.id, lambda id_: {f"{id_}/b"}) == Cleaned(2, 6)
    assert sorted(path.name for path in publication.folder.iterdir()) == ["b", "lock"]
    assert files.clean(publication.id, nothing_listed) == Cleaned(1, 3)
    assert list(files.publications()) == []
    assert files.clean(publication.id, nothing_listed) == Cleaned(0, 0)


def test_a_publication_at_work_is_left_alone(files: Files) -> None:
    with files.begin() as publication:
        publication.create("a").close()
        assert files.clean(publication.id, nothing_listed) is None
        assert (publication.folder / "a").exists()
    assert files.clean(publication.id, nothing_listed) == Cleaned(1, 0)


def test_the_catalog_is_asked_only_once_the_lock_is_held(files: Files) -> None:
    """Asked before, it could give an answer from before the commit of a publication that has let go since."""
    with files.begin() as publication:
        publication.create("a").close()

    def listed(id_: str) -> set[str]:
        assert files.clean(id_, nothing_listed) is None  # somebody holds the lock: we do
        return {f"{id_}/a"}

    assert files.clean(publication.id, listed) == Cleaned(0, 0)


def test_nothing_is_deleted_when_the_catalog_does_not_answer(files: Files) -> None:
    with files.begin() as publication:
        publication.create("a").close()

    def listed(_: str) -> set[str]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.clean(publication.id, listed)
    assert (publication.folder / "a").exists()
    assert files.clean(publication.id, nothing_listed) == Cleaned(1, 0)


def test_the_lock_of_a_killed_publication_is_free(files: Files, start: Start) -> None:
    process = start("hold publication")
    [publication] = files.publications()
    assert files.clean(publication, nothing_listed) is None
    process.kill()
    process.wait()
    assert files.clean(publication, nothing_listed) == Cleaned(1, 0)
    assert list(files.publications()) == []


def test_a_publication_that_a_cleaner_took_before_it_was_locked_starts_over(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step between making the folder and holding the lock."""
    real_mkdir, real_open = Path.mkdir, os.open
    cleaned: list[str] = []

    def mkdir(path: Path, mode: int = 0o777, **options: bool) -> None:
        real_mkdir(path, mode, **options)
        if len(path.name) == 32 and not cleaned:
            cleaned.append(path.name)
            assert files.clean(path.name, nothing_listed) == Cleaned(0, 0)

    def open_(path: Path, flags: int, *arguments: int) -> int:
        descriptor = real_open(path, flags, *arguments)
        if flags & os.O_EXCL and len(cleaned) == 1:
            cleaned.append(Path(path).parent.name)
            assert files.clean(cleaned[-1], nothing_listed) == Cleaned(0, 0)
        return descriptor

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(os, "open", open_)
    with files.begin() as publication:
        assert len({*cleaned, publication.id}) == 3
        publication.create("a").close()
        publication.seal()
        assert list(files.publications()) == [publication.id]


def test_cleaners_and_publications_do_not_hurt_each_other(files: Files) -> None:
    def publish(_: int) -> str:
        with files.begin() as publication:
            publication.create("a").close()
            assert (publication.folder / "a").exists()
            publication.abandon()
        return publication.id

    def clean(_: int) -> None:
        for publication in files.publications():
            files.clean(publication, nothing_listed)

    with ThreadPoolExecutor(8) as threads:
        cleaning = threads.map(clean, range(50))
        assert len(set(threads.map(publish, range(50)))) == 50
        list(cleaning)
    assert list(files.publications()) == []


def test_forgotten_files_are_deleted_and_empty_folders_with_them(files: Files) -> None:
    with files.begin() as first, files.begin() as second:
        for publication in (first, second):
            for name in ("a", "b"):
                with publication.create(name) as writer:
                    writer.write(b"xyz")
    forgotten = [f"{first.id}/a", f"{first.id}/b", f"{second.id}/a"]
    assert files.delete(forgotten) == Cleaned(3, 9)
    assert list(files.publications()) == [second.id]
    assert (second.folder / "b").exists()
    assert files.delete(forgotten) == Cleaned(0, 0)


def test_a_reader_of_a_deleted_file_reads_on(files: Files) -> None:
    with files.begin() as publication, publication.create("a") as writer:
        writer.write(b"xyz")
    with files.open(writer.stored) as file:
        files.delete([writer.stored])
        assert file.read() == b"xyz"


def test_what_a_killed_publication_was_sorting_is_deleted_with_it(files: Files, tmp_path: Path) -> None:
    """A publication may use folders of its own below its folder; a link in there is not followed."""
    (tmp_path / "elsewhere").write_bytes(b"xyz")
    with files.begin() as publication:
        (publication.folder / "sorting" / "deeper").mkdir(parents=True)
        (publication.folder / "sorting" / "deeper" / "a").write_bytes(b"xyz")
        (publication.folder / "sorting" / "link").symlink_to(tmp_path)
        publication.create("s0").close()
    cleaned = files.clean(publication.id, lambda id_: {f"{id_}/s0"})
    assert cleaned is not None
    assert cleaned.files == 2
    assert sorted(path.name for path in publication.folder.iterdir()) == ["lock", "s0"]
    assert (tmp_path / "elsewhere").exists()


def test_what_is_not_a_publication_is_left_alone(files: Files, tmp_path: Path) -> None:
    assert list(files.publications()) == []
    (tmp_path / "data" / "files" / "my notes").mkdir(parents=True)
    files.begin().close()
    [publication] = files.publications()
    assert files.clean(publication, nothing_listed) == Cleaned(0, 0)
    assert list(files.publications()) == []
    assert (tmp_path / "data" / "files" / "my notes").is_dir()
    with pytest.raises(DamagedError):
        files.clean("../..", nothing_listed)
