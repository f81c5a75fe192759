"""Locks that the system takes back when the process that holds them dies, however it dies.

They are flock'ed files, never deleted: a lock whose file is deleted and made again is two locks. One publication
at a time holds a dataset; others are told so at once rather than made to wait. A lock belongs to the open file,
so it also keeps out other threads, and a process forked while it is held keeps it until that process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from counterfoil.errors import LockedError
from counterfoil.model import Dataset
from counterfoil.storage.failures import in_our_words


class DatasetLocks:
    """One lock for each dataset, as files of one folder."""

    def __init__(self, root: Path) -> None:
        """Use `<data>/locks`; it is made when first needed."""
        self._root = root

    @contextmanager
    def hold(self, datasets: Iterable[Dataset]) -> Iterator[None]:
        """Hold all these datasets, or raise LockedError naming the one that another publication holds."""
        with ExitStack() as held:
            with in_our_words():
                self._root.mkdir(parents=True, exist_ok=True)
                for dataset in sorted(set(datasets)):
                    held.callback(os.close, self._take(dataset))
            yield

    def _take(self, dataset: Dataset) -> int:
        descriptor = os.open(self._root / _file_name(dataset), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise LockedError(
                f"Another publication{f' (process {holder})' if holder else ''} holds {dataset}.",
                remedy="Try again when it is done.",
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        # Only for the message above, so a full disk may keep it from being written.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


@contextmanager
def wait_for(path: Path) -> Iterator[None]:
    """Hold one file's lock, after waiting for whoever holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _file_name(dataset: Dataset) -> str:
    scope = dataset.scope
    key = "\0".join((dataset.kind.value, dataset.partner, scope.invoice, scope.period, scope.currency))
    return hashlib.sha256(key.encode()).hexdigest()[:32] + ".lock"
