"""Files that are written anew are the old ones or the new ones, and are on the disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from counterfoil.disk.durability import create_durably, inherit_owner, sync_file, sync_folder, write_durably


def test_a_file_is_replaced_and_its_bytes_and_name_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    for content in (b"old", b"new"):
        write_durably(tmp_path / "file", content)
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", content)]
    assert synced == [False, True] * 2
    sync_file(tmp_path / "file")
    sync_folder(tmp_path)
    assert synced[4:] == [False, True]


def test_what_cannot_be_written_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_durably(tmp_path / "file", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0, 0o027, 0o077])
def test_a_file_is_private_or_has_the_mode_it_was_given_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_durably(tmp_path / "told", b"", mode=0o644)
        write_durably(tmp_path / "untold", b"")
        create_durably(tmp_path / "created", b"")
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"told": 0o644, "untold": 0o600, "created": 0o600}


def test_a_new_file_that_is_gone_before_it_could_be_given_to_its_owner_is_no_error(tmp_path: Path) -> None:
    inherit_owner(tmp_path / "swept meanwhile", tmp_path)
