"""Locks on files: one holder at a time, released when it dies, and never on a file that has lost its name."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from counterfoil.disk import file_lock
from counterfoil.disk.file_lock import FileLock, holder

HOLDER = """
import sys
from pathlib import Path
from counterfoil.disk.file_lock import FileLock
lock = FileLock.take(Path(sys.argv[1]))
lock.note("process of a test")
print(flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder_at_a_time_also_within_a_process(tmp_path: Path) -> None:
    with FileLock.take(tmp_path / "lock"), pytest.raises(BlockingIOError):
        FileLock.take(tmp_path / "lock")
    FileLock.take(tmp_path / "lock").release()


def test_a_lock_of_a_process_that_was_killed_is_free_and_until_then_tells_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        with pytest.raises(BlockingIOError):
            FileLock.take(path)
        assert holder(path) == "process of a test"
        other.kill()
    with FileLock.take(path) as lock:
        lock.note("me")
        assert holder(path) == "me"
    assert holder(tmp_path / "none") == ""


def test_a_file_that_was_deleted_while_it_was_waited_for_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock.take(path)
    taken: list[FileLock] = []
    waiting = threading.Thread(target=lambda: taken.append(FileLock.take(path, wait=True)))
    waiting.start()
    first.remove()
    waiting.join()
    with pytest.raises(BlockingIOError):
        FileLock.take(path)
    taken[0].remove()
    assert not path.exists()
    taken[0].release()


def test_a_holder_that_does_not_go_on_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock, "PATIENCE_S", 0.05)
    with FileLock.take(tmp_path / "lock"):
        began = time.monotonic()
        with pytest.raises(BlockingIOError):
            FileLock.take(tmp_path / "lock", wait=True)
        assert time.monotonic() - began >= 0.05


def test_neither_a_file_is_created_nor_a_link_followed_where_that_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock.take(tmp_path / "lock", create=False)
    with pytest.raises(FileNotFoundError):
        FileLock.take(tmp_path / "no folder" / "lock")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        FileLock.take(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
