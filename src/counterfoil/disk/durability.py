"""Writes that survive a power cut: both the bytes of a file and its name in the folder have to be synced."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
_SYNCS_AT_ONCE: Final = 16
_WRITE_BYTES_MAX: Final = 1 << 30  # systems write at most 2 GiB at once
# Windows alone has O_BINARY, and lacks O_NOFOLLOW.
_NEW: Final = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def sync_file(path: Path) -> None:
    """Bring the bytes of a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk. Does nothing on Windows, which cannot and need not."""
    if os.name == "nt":
        return
    close_file(os.open(path, os.O_RDONLY), sync=True)


def sync_many(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Bring the bytes of files to the disk, and then the names in folders, each in any order.

    Many at once: a disk brings what waits together to a safe place in the time that it takes for one of them.
    """
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
        for sync, paths in ((sync_file, files), (sync_folder, folders)):
            for _ in threads.map(sync, paths):  # raises what a thread raised
                pass


def write_all(descriptor: int, view: memoryview) -> None:
    """Write all of the bytes to an open file; raises OSError."""
    written = 0
    while written < len(view):
        written += os.write(descriptor, view[written : written + _WRITE_BYTES_MAX])


def close_file(descriptor: int, *, sync: bool) -> None:
    """Close an open file; with `sync`, bring its bytes to the disk before. Raises OSError if that fails."""
    try:
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private(path: str, flags: int) -> int:
    """Open a file; one that this makes is its owner's alone. An `opener` for `open`."""
    return os.open(path, flags, _PRIVATE)


def inherit_owner(made: int | Path, folder: Path) -> None:
    """Give what was just made in a folder to the folder's owner, if root made it: a service must be able to use it."""
    if getattr(os, "geteuid", lambda: -1)() != 0:  # Windows has no root
        return
    with suppress(FileNotFoundError):  # somebody has taken it away again
        owner, own = folder.stat(), os.stat(made)  # noqa: PTH116 - it may be an open file
        if owner.st_uid != own.st_uid and (isinstance(made, Path) or own.st_nlink == 1):  # else it has another name too
            os.chown(made, owner.st_uid, owner.st_gid)


def write_durably(path: Path, data: bytes, *, mode: int = _PRIVATE, unfinished: str | None = None) -> None:
    """Replace a file: a reader, or a power cut, finds the old content or the new one, never a part.

    `mode` is the mode of the file, whatever the umask; it is private until it gets it.
    `unfinished` is the file's name until it is complete, by default one that is used once; a file that a killed process
    left under a given name is overwritten. Raises OSError, and then the old content is still there.
    """
    with _complete(path, data, mode, unfinished) as fresh:
        fresh.replace(path)


def create_durably(path: Path, data: bytes) -> None:
    """Write a private file as `write_durably` does, unless there is one: of several processes, the first one does."""
    with _complete(path, data, _PRIVATE, None) as fresh, suppress(FileExistsError):
        path.hardlink_to(fresh)


@contextmanager
def _complete(path: Path, data: bytes, mode: int, unfinished: str | None) -> Iterator[Path]:
    """Write the content beside `path` and sync it; the caller gives it the name `path`, which is synced as well."""
    fresh = path.with_name(unfinished or f".{path.name}-{secrets.token_hex(8)}")
    only_new = os.O_TRUNC if unfinished else os.O_EXCL
    try:
        descriptor = os.open(fresh, _NEW | only_new, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            inherit_owner(descriptor, path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        yield fresh
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
    sync_folder(path.parent)
