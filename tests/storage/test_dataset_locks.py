"""Dataset locks: one publication at a time, and none that outlives its process."""

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
from counterfoil.storage.locks import DatasetLocks

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
INVOICES = [Dataset(Kind.RECONCILIATION, PARTNER, Scope(invoice=f"G{n}")) for n in range(3)]

Start = Callable[..., subprocess.Popen[str]]


def test_a_held_dataset_is_refused_by_name(tmp_path: Path) -> None:
    locks = DatasetLocks(tmp_path / "data" / "locks")
    with locks.hold([USAGE]), pytest.raises(LockedError) as refused, locks.hold([USAGE]):
        pass
    assert str(USAGE) in refused.value.message
    assert refused.value.exit_code == 4


def test_other_datasets_are_free(tmp_path: Path) -> None:
    locks = DatasetLocks(tmp_path)
    with locks.hold([USAGE, INVOICES[0]]), locks.hold(INVOICES[1:]):
        pass


def test_a_lock_is_free_again_when_its_holder_is_done_or_failed(tmp_path: Path) -> None:
    locks = DatasetLocks(tmp_path)
    for _ in range(2):
        with pytest.raises(RuntimeError), locks.hold([USAGE, USAGE]):
            raise RuntimeError


def test_whoever_does_not_get_all_keeps_none(tmp_path: Path) -> None:
    locks = DatasetLocks(tmp_path)
    with locks.hold([INVOICES[2]]):
        with pytest.raises(LockedError), locks.hold(INVOICES):
            pass
        with locks.hold(INVOICES[:2]):
            pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    locks, held = DatasetLocks(tmp_path), 0

    def hold(_: int) -> int:
        nonlocal held
        try:
            with locks.hold([USAGE]):
                held += 1
                assert held == 1
                held -= 1
                return 1
        except LockedError:
            return 0

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(hold, range(200))) >= 1


def test_a_lock_dies_with_its_process(start: Start, tmp_path: Path) -> None:
    locks = DatasetLocks(tmp_path / "data" / "locks")
    process = start("hold dataset")
    with pytest.raises(LockedError, match=f"process {process.pid}"), locks.hold([USAGE]):
        pass
    process.kill()
    process.wait()
    with locks.hold([USAGE]):
        pass


def test_locks_that_nobody_holds_can_be_removed_and_are_made_again(tmp_path: Path) -> None:
    root = tmp_path / "data" / "locks"
    locks = DatasetLocks(root)
    with locks.hold(INVOICES):
        pass
    with locks.hold([INVOICES[0]]):
        locks.remove_free()
        assert len(list(root.iterdir())) == 1
    locks.remove_free()
    root.rmdir()
    with locks.hold(INVOICES):
        assert len(list(root.iterdir())) == 3


def test_a_lock_that_was_removed_on_the_way_to_it_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two could hold the dataset: one a file that has no name any more, one the file that was made anew."""
    locks, others = DatasetLocks(tmp_path), ExitStack()
    really = fcntl.flock

    def meanwhile(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", really)
        [path] = tmp_path.iterdir()
        path.unlink()
        others.enter_context(DatasetLocks(tmp_path).hold([USAGE]))
        really(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    with others, pytest.raises(LockedError), locks.hold([USAGE]):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError), DatasetLocks(tmp_path / "file" / "locks").hold([USAGE]):
        pass
