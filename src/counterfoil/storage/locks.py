"""Locks by name: files that the system unlocks when the process that holds them dies, however it dies.

A lock belongs to the open file, so it also keeps out other threads, and a process forked while it is held keeps it
until that process ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol

from counterfoil.disk.file_lock import FileLock, holder
from counterfoil.errors import LockedError
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.folder_files import in_its_folder


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
        """Hold a lock for the length of a context; raises LockedError if its holder keeps it for many seconds."""

    def close(self) -> None:
        """Let go of what locks need; whoever holds one has released it."""


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
            return _HeldFile(in_its_folder(path, lambda: _locked(path, name)), is_once=once)

    @contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Hold a lock for the length of a context; raises LockedError after `file_lock.PATIENCE_S`."""
        path = self._path(name)
        with translated_errors():
            lock = in_its_folder(path, lambda: FileLock.take(path, wait=True))
        with lock:
            yield

    def close(self) -> None:
        """A file that is locked is closed by its own release."""

    def _path(self, name: str) -> Path:
        return self._root / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"


@dataclass(frozen=True, slots=True)
class _HeldFile:
    lock: FileLock
    is_once: bool
    is_lost: ClassVar = False

    def release(self) -> None:
        """Let go of the lock; its file goes first if nobody will want it again."""
        if self.is_once:
            self.lock.remove()
        else:
            self.lock.release()


def _locked(path: Path, name: str) -> FileLock:
    try:
        lock = FileLock.take(path)
    except BlockingIOError:
        process = holder(path)
        raise LockedError(
            f"Another publication{f' (process {process})' if process else ''} holds {name}.",
            remedy="Try again when it is done.",
        ) from None
    lock.note(f"{os.getpid()}\n")
    return lock
