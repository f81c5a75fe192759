"""Locks by name: files that the system unlocks when the process that holds them dies, however it dies.

A lock belongs to the open file, so it also keeps out other threads, and a process forked while it is held keeps it
until that process ends. A lock whose file is deleted and made again would be two locks; so taking one checks that the
locked file still has its name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from counterfoil.errors import DataFolderError, LockedError
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.folder_files import make_private_folders

_ATTEMPTS_MAX: Final = 16


class Held(Protocol):
    """A lock that was taken."""

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may hold it by now, because it was a lease and ended."""

    def release(self) -> None:
        """Release it. May be called twice."""


class Locks(Protocol):
    """Locks by name, shared by all processes that use one store."""

    @property
    def are_certain(self) -> bool:
        """Whether a free lock proves that its last holder is dead; leases may end under a living one."""

    def take(self, name: str, *, once: bool = False) -> Held:
        """Take a lock, or raise LockedError at once where it is held. `once`: nobody will take it again."""

    def wait(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock for the length of a context, after waiting for its holder."""


def refuse_lost(held: Iterable[Held]) -> None:
    """Raise LockedError if one of these locks was lost meanwhile."""
    if any(each.is_lost for each in held):
        raise LockedError("This publication lost its lock while it was at work.", remedy="Publish it again.")


class FileLocks:
    """One file for each lock, in one folder, which is made when it is first needed."""

    are_certain: Final = True

    def __init__(self, root: Path) -> None:
        """Use `<data>/locks`."""
        self._root = root

    def take(self, name: str, *, once: bool = False) -> Held:
        """Take a lock, or raise LockedError naming the process that holds it."""
        path = self._path(name)
        with translated_errors():
            for _ in range(_ATTEMPTS_MAX):
                make_private_folders(self._root)
                with suppress(FileNotFoundError):  # the folder was taken away again
                    descriptor = _locked(path, name)
                    if descriptor is not None:
                        return _HeldFile(descriptor, path if once else None)
        raise DataFolderError(
            f"The lock of {name} vanished again and again.", remedy="Look for what deletes files in the data folder."
        )

    @contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Hold a lock for the length of a context, after waiting for its holder."""
        make_private_folders(self._root)
        with wait_for(self._path(name)):
            yield

    def _path(self, name: str) -> Path:
        return self._root / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"


class _HeldFile:
    is_lost: Final = False

    def __init__(self, descriptor: int, path: Path | None) -> None:
        self._descriptor: int | None = descriptor
        self._path = path

    def release(self) -> None:
        """Let go of the lock; its file goes first if nobody will want it again."""
        if self._descriptor is not None:
            if self._path is not None:
                with suppress(OSError):
                    self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _locked(path: Path, name: str) -> int | None:
    """Return the open file of a lock, held; None where another file has its name by now. Raises LockedError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            # Only for the message to others, so a full disk may keep it from being written.
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
    except FileNotFoundError:
        pass
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockedError(
            f"Another publication{f' (process {holder})' if holder else ''} holds {name}.",
            remedy="Try again when it is done.",
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def wait_for(path: Path) -> Iterator[None]:
    """Hold one file's lock, after waiting for its holder."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
