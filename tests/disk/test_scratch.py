"""Folders of test servers: gone at their end, and with the next one's start when their process was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.disk.scratch import LOCK_NAME, PREFIX, scratch_folder
from counterfoil.testing import Server

PROGRAM = """
import sys
from counterfoil.testing import Server
with Server() as server:
    print(server.data, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, by this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own; it has said where its data is."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(str(folder))
        yield process
        process.kill()


def test_a_killed_servers_folder_goes_when_the_next_server_starts(folder: Path, other: subprocess.Popen[str]) -> None:
    [stray] = folder.iterdir()
    with Server():
        assert stray.exists(), "its owner lives"
    other.kill()
    other.wait()
    assert list(folder.iterdir()) == [stray]
    with Server() as server:
        assert [server.data.parent] == list(folder.iterdir())
    assert list(folder.iterdir()) == []


def test_what_is_not_ours_stays(folder: Path) -> None:
    (folder / f"{PREFIX}of-somebody").mkdir()
    (folder / f"{PREFIX}file").touch()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_NAME).touch()
    (folder / f"{PREFIX}link").symlink_to(elsewhere)
    (folder / f"{PREFIX}trick").mkdir()
    (folder / f"{PREFIX}trick" / LOCK_NAME).symlink_to(elsewhere / LOCK_NAME)
    before = set(folder.rglob("*"))
    with scratch_folder() as made:
        assert set(folder.rglob("*")) - before == {made, made / LOCK_NAME}
    assert set(folder.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_stays_also_for_root(folder: Path) -> None:
    with scratch_folder() as made:
        (folder / f"{PREFIX}theirs").mkdir()
        (folder / f"{PREFIX}theirs" / LOCK_NAME).touch()
        os.chown(folder / f"{PREFIX}theirs", 12345, 12345)
        with scratch_folder():
            assert made.exists()
        assert (folder / f"{PREFIX}theirs").exists()


def test_a_folder_is_kept_while_it_is_used_and_whatever_happens_in_it_goes_with_it(folder: Path) -> None:
    with scratch_folder() as first:
        (first / "file").write_text("x")
        with pytest.raises(RuntimeError), scratch_folder():
            raise RuntimeError
        assert list(folder.iterdir()) == [first]
    assert list(folder.iterdir()) == []
