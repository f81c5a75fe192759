"""A folder that one pull at a time may write to.

The lock is the system's own on an open file, so it frees itself when the process dies, however it dies. What a
newcomer would get wrong: the two systems lock by different modules, and each exists on one of them only, so neither
is imported before it is used. And a lock file that was removed in the meantime locks nothing: it is looked at again.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from counterfoil.errors import DataFolderError, LockedError

_TAKEN: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})


class FolderLock:
    """An exclusive lock on a file; a context manager. Raises LockedError, and waits for nobody.

    Raises DataFolderError where the disk knows no locks, and FileNotFoundError where the file's folder is gone.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(descriptor)
            except OSError as error:
                os.close(descriptor)
                raise _refusal(self._what, error) from None
            if _is_still(self._path, descriptor):
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def is_held(self) -> bool:
        """Whether this is the pull that may write."""
        return self._descriptor is not None

    def remove(self) -> None:
        """Let go, and take the file away. Windows removes no open file; elsewhere it goes while it is still ours."""
        if os.name == "nt":
            self.__exit__()
        with suppress(OSError):  # on Windows another pull may have it by now
            self._path.unlink()
        self.__exit__()


def _lock(descriptor: int) -> None:
    try:
        windows: Any = import_module("msvcrt")
    except ModuleNotFoundError:
        posix: Any = import_module("fcntl")
        posix.flock(descriptor, posix.LOCK_EX | posix.LOCK_NB)
    else:
        windows.locking(descriptor, windows.LK_NBLCK, 1)


def _refusal(what: str, error: OSError) -> DataFolderError:
    """Return what to say of a lock that was not had. A disk without locks would look like another pull for ever."""
    if error.errno in _TAKEN:
        return LockedError(f"Another pull is writing to {what}.", remedy="Try again when it is done; it is safe.")
    return DataFolderError(
        f"{what} cannot be locked: {error.strerror}.",
        remedy="Name a folder on a disk that knows file locks; a disk of this machine does.",
    )


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to the file that was locked."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
