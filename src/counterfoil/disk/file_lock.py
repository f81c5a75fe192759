"""Exclusive locks on files, which the system releases when the process that holds them dies.

A lock belongs to the open file and not to its name: if the file is deleted and created again, two processes can each
lock a file of that name. So the file is compared with its name once more after it was locked. Linux and macOS lock
with `fcntl`, Windows with `msvcrt`; each module exists on its own system only, so neither is imported before it is
used.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from counterfoil.disk.durability import inherit_owner

_TAKEN: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
_FLAGS: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)  # Windows has no O_NOFOLLOW
_HOLDER_BYTES_MAX: Final = 200
# A holder needs far less, unless it was stopped (SIGSTOP, a suspended machine).
PATIENCE_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.01
NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})  # what a disk without locks answers


class FileLock:
    """A lock that is held until `release`; also a context manager. `take` makes one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `take`."""
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, create: bool = True, wait: bool = False) -> Self:
        """Lock a file and return the lock.

        Raises BlockingIOError if another process or open file holds the lock, with `wait` after `PATIENCE_S`;
        FileNotFoundError if the folder does not exist, or the file does not and `create` is not set; and an OSError
        of `NO_LOCKS` where the disk has no locks. A symbolic link is not followed.
        """
        end = time.monotonic() + (PATIENCE_S if wait else 0)
        while True:
            descriptor = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o600)
            try:
                inherit_owner(descriptor, path.parent)
                _lock(descriptor)
                if _has_name(descriptor, path):
                    return cls(path, descriptor)
            except BaseException as error:
                os.close(descriptor)
                if not isinstance(error, BlockingIOError) or time.monotonic() >= end:
                    raise
                time.sleep(_LOOK_AGAIN_S)
            else:
                os.close(descriptor)  # deleted by its last holder meanwhile

    def note(self, text: str) -> None:
        """Write who holds the lock into the file, for `holder`. A full disk may prevent it."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, text.encode())

    def release(self) -> None:
        """Release the lock; releasing again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the file and release the lock, if it was not released before.

        Windows deletes no open file, so there the lock is released first.
        """
        if self._descriptor < 0:
            return
        if os.name == "nt":
            self.release()
        with suppress(OSError):  # on Windows another process may have locked it by now
            self.path.unlink()
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(path: Path) -> str:
    """Return what the holder of a lock wrote with `note`, or "". Windows lets nobody else read a locked file."""
    try:
        with path.open("rb") as file:
            return file.read(_HOLDER_BYTES_MAX).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _lock(descriptor: int) -> None:
    try:
        windows: Any = import_module("msvcrt")
    except ModuleNotFoundError:
        posix: Any = import_module("fcntl")
        posix.flock(descriptor, posix.LOCK_EX | posix.LOCK_NB)
        return
    try:
        windows.locking(descriptor, windows.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(errno.EAGAIN, "another process holds the lock") from None
        raise


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
