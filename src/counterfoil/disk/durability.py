"""Writes that survive a power cut: both the bytes of a file and its name in the folder have to be synced."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def sync_file(path: Path) -> None:
    """Bring the bytes of a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk. Does nothing on Windows, which cannot and need not."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace a file: a reader, or a power cut, finds the old content or the new one, never a part.

    `mode` is the mode of the file, which is private until it gets it; None leaves the mode to the process's umask.
    Raises OSError, and then the old content is still there.
    """
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        fresh.touch(0o666 if mode is None else 0o600, exist_ok=False)
        with fresh.open("r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
