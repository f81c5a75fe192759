"""Locks that the system takes back when the process that holds them dies, however it dies.

They are flock'ed files. One publication at a time holds a dataset; others are told so at once rather than made to
wait. A lock belongs to the open file, so it also keeps out other threads, and a process forked while it is held keeps
it until that process ends.

What a newcomer would get wrong: a lock whose file is deleted and made again is two locks. So files are deleted only
where no data folder came of them, by whoever holds the lock; and whoever takes a lock looks whether the file it took
still has the name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from counterfoil.errors import DataFolderError, LockedError
from counterfoil.model import Dataset
from counterfoil.storage.failures import in_our_words

_ATTEMPTS_MAX: Final = 16


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
                for dataset in sorted(set(datasets)):
                    held.callback(os.close, self._take(dataset))
            yield

    def remove_free(self) -> None:
        """Delete the locks that nobody holds. For a folder in which nothing was published, and only there."""
        with in_our_words():
            for path in sorted(self._root.glob("*.lock")):
                with suppress(LockedError):
                    descriptor = _locked(path, "this lock")
                    if descriptor is not None:
                        path.unlink(missing_ok=True)
                        os.close(descriptor)

    def _take(self, dataset: Dataset) -> int:
        for _ in range(_ATTEMPTS_MAX):
            with suppress(FileNotFoundError):  # the folder was taken away again, by a publication that came to nothing
                self._root.mkdir(parents=True, exist_ok=True)
                descriptor = _locked(self._root / _file_name(dataset), str(dataset))
                if descriptor is not None:
                    break
        else:
            raise DataFolderError(
                "A dataset's lock vanished again and again.", remedy="Look for what deletes files in the data folder."
            )
        # Only for the message to others, so a full disk may keep it from being written.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


def _locked(path: Path, what: str) -> int | None:
    """Return the open file of a lock, held; None where another file has its name by now. Raises LockedError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockedError(
            f"Another publication{f' (process {holder})' if holder else ''} holds {what}.",
            remedy="Try again when it is done.",
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


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
