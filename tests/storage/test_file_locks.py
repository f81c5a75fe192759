"""File locks: one holder at a time, and none that outlives its process."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from counterfoil.errors import DataFolderError, LockedError
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage.engines import open_store
from counterfoil.storage.locks import FileLocks

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))

Start = Callable[..., subprocess.Popen[str]]


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    locks, held = FileLocks(tmp_path), 0

    def hold(_: int) -> int:
        nonlocal held
        try:
            taken = locks.take("it")
        except LockedError:
            return 0
        held += 1
        assert held == 1
        held -= 1
        taken.release()
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(hold, range(200))) >= 1


def test_a_lock_dies_with_its_process(start: Start, tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        process = start("hold dataset")
        with pytest.raises(LockedError, match=f"process {process.pid}"), store.hold([USAGE]):
            pass
        process.kill()
        process.wait()
        with store.hold([USAGE]):
            pass


def test_a_lock_that_nobody_takes_again_leaves_no_file(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path)
    held = locks.take("it", once=True)
    with pytest.raises(LockedError):
        locks.take("it", once=True)
    held.release()
    held.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_on_the_way_to_it_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two could hold it: one a file that has no name any more, one the file that was made anew."""
    locks, others = FileLocks(tmp_path), ExitStack()
    really = fcntl.flock

    def meanwhile(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", really)
        [path] = tmp_path.iterdir()
        path.unlink()
        others.callback(FileLocks(tmp_path).take("it").release)
        really(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    with others, pytest.raises(LockedError):
        locks.take("it")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError):
        FileLocks(tmp_path / "file" / "locks").take("it")
