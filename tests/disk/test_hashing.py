"""What is written is counted and hashed as it is read again; what could not be written promises nothing."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
from pathlib import Path

import pytest

from counterfoil.disk.hashing import HashedFile, Measured, measured


def test_a_file_has_the_size_and_hash_that_were_counted_while_it_was_written(tmp_path: Path) -> None:
    with HashedFile(tmp_path / "file") as file:
        for piece in (b"", b"abc", memoryview(b"x" * 100_000), b"\n"):
            assert file.write(piece) == len(piece)
        assert file.tell() == 100_004
    whole = b"abc" + b"x" * 100_000 + b"\n"
    assert (tmp_path / "file").read_bytes() == whole
    assert file.measured == measured(tmp_path / "file") == Measured(100_004, hashlib.sha256(whole).hexdigest())
    file.close()


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        HashedFile(tmp_path / "file")
    gc.collect()
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_write_that_failed_is_told_once_and_later_ones_go_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = HashedFile(tmp_path / "file")
    file.write(b"abc")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.write(b"def")
    file.write(b"ghi")
    monkeypatch.setattr(os, "fsync", full)
    file.close()
    file.write(b"the end of an archive")
    file.flush()
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert file.measured.size_bytes == 3
