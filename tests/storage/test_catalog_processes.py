"""Several processes at one data folder: they race, and they are killed."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.engines import open_store
from counterfoil.storage.files import Deleted
from counterfoil.storage.places import publication_of

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_store(tmp_path / "data") as store:
        yield store.catalog


def go(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let all go at once; return what each says."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [line(process) for process in processes]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_open_a_new_folder_together_make_one_catalog(start: Start, tmp_path: Path) -> None:
    assert go([start("open") for _ in range(6)]) == ["opened"] * 6
    with open_store(tmp_path / "data").catalog as catalog:
        assert catalog.partners() == []


def test_two_publications_of_one_segment_race_and_one_wins(catalog: Catalog, start: Start) -> None:
    said = go([start("publish", "whole", amount) for amount in ("1", "2")])
    assert sorted(said) == ["1 1", "MovedError"]
    [revision] = catalog.revisions(USAGE)
    assert revision.contents.plain_totals() == {"Total": str(said.index("1 1") + 1)}


def test_publications_of_different_segments_race_and_all_win(catalog: Catalog, start: Start) -> None:
    said = go([start("publish", f"day-{n}", str(n)) for n in range(1, 5)])
    assert sorted(said) == ["1 1", "2 2", "3 3", "4 4"]
    current = catalog.in_force(USAGE)
    assert current is not None
    assert current.contents.plain_totals() == {"Total": "10"}
    assert current.number == 4


@pytest.mark.usefixtures("catalog")
def test_processes_with_one_key_get_one_operation(start: Start) -> None:
    assert len(set(go([start("export", "key", "digest") for _ in range(4)]))) == 1


@pytest.mark.usefixtures("catalog")
def test_processes_with_one_key_and_two_requests_get_one_refusal(start: Start) -> None:
    said = go([start("export", "key", digest) for digest in ("one", "other")])
    assert said.count("BadRequestError") == 1


@pytest.mark.parametrize("stop", ["before commit", "in commit"])
def test_a_publication_killed_before_its_commit_changes_nothing(start: Start, tmp_path: Path, stop: str) -> None:
    store = open_store(tmp_path / "data")
    catalog = store.catalog
    assert go([start("publish", "whole", "1")]) == ["1 1"]
    before, live = catalog.in_force(USAGE), data_files(tmp_path)

    killed = start("publish", "whole", "2", stop)
    assert go([killed]) == ["stopped"]
    [orphan] = data_files(tmp_path) - live
    assert store.clear_dead() == (Deleted(), 1)  # at work
    killed.kill()
    killed.wait()

    with open_store(tmp_path / "data") as again:
        assert again.catalog.in_force(USAGE) == before
        assert {file.path for file in again.catalog.all_files()} == live
        deleted, at_work = again.clear_dead()
    assert (deleted.files, at_work) == (2, 0), "the file and the listing"
    assert data_files(tmp_path) == live
    assert publication_of(orphan) not in catalog.publications_known()
    assert go([start("publish", "whole", "2")]) == ["2 1"]


def test_a_publication_killed_after_its_commit_is_in_force(start: Start, tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    catalog = store.catalog
    process = start("publish", "whole", "1", "after commit")
    assert go([process]) == ["stopped"]
    process.kill()
    process.wait()
    current = catalog.in_force(USAGE)
    assert current is not None
    [stored] = catalog.files(current.id)
    assert store.clear_dead() == (Deleted(), 0)
    assert store.files.open(stored.path).read(0, 10_000) == b"1" * 1000


def test_kills_at_any_moment_leave_the_old_or_the_new_state(catalog: Catalog, start: Start, tmp_path: Path) -> None:
    """Each process gets a little further than the one before, and all segments are there or none of them."""
    for amount in range(1, 7):
        process = start("publish", "whole", str(amount), "")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        try:
            process.wait(timeout=0.003 * amount)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with open_store(tmp_path / "data") as store:
            current = store.catalog.in_force(USAGE)
        if current is not None:
            total = current.contents.plain_totals()["Total"]
            assert [file.sha256 for file in catalog.files(current.id)] == [sha256_of(total)]


def data_files(tmp_path: Path) -> set[str]:
    """The paths of all files of line items."""
    root = tmp_path / "data" / "files"
    return {str(path.relative_to(root)) for path in (root / "lake").rglob("*") if path.is_file()}


def sha256_of(amount: str) -> str:
    return hashlib.sha256(amount.encode() * 1000).hexdigest()
