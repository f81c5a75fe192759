"""The file of breaks, `breaks.json`: read whole, and replaced whole, by one process at a time.

A killed process leaves the file as it was or as it was to be. The lock is on a file beside it, which stays: whoever
waits for it would otherwise hold the lock of a file that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from counterfoil.disk import documents
from counterfoil.disk.durability import write_durably
from counterfoil.disk.file_lock import NO_LOCKS, FileLock
from counterfoil.errors import CounterfoilError, DamagedError, LockedError, NewerDataError, UsageError
from counterfoil.reconcile.breaks.break_item import Break

R = TypeVar("R")

BREAKS_FILE: Final = "breaks.json"
BREAKS_MAX: Final = 100_000  # of one file, which is read and written whole
_LOCK: Final = ".breaks.lock"
_FORM: Final = 1


class BreakList(msgspec.Struct, frozen=True):
    """What the file holds; numbers are never given twice."""

    breaks: tuple[Break, ...] = ()
    next_number: int = 1


def read_breaks(folder: Path) -> BreakList:
    """Return the breaks that are kept in a folder, none where there is no file yet.

    Raises DamagedError for a file that is not as it was written, NewerDataError for one of a newer Counterfoil.
    """
    path = folder / BREAKS_FILE
    with _told(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            _check_folder(folder)
            return BreakList()
    try:
        found = documents.decode(data, _FORM, BreakList)
    except documents.NewerDocumentError as error:
        raise NewerDataError(f"A newer Counterfoil wrote {path}: {error}.", remedy="Update this one.") from None
    except documents.DocumentError as error:
        raise _damaged(path, str(error)) from None
    numbered = [each.number for each in found.breaks]
    if numbered != sorted(set(numbered)) or (numbered and numbered[-1] >= found.next_number):
        raise _damaged(path, "its numbers are not in order")
    return found


def change_breaks(folder: Path, change: Callable[[BreakList], tuple[BreakList, R]]) -> R:
    """Replace the breaks of a folder with what `change` makes of them, and return what else it gives.

    No other process changes them meanwhile. Raises as `read_breaks` does, LockedError if another process holds them
    for long, UsageError where there is no such folder or there would be too many breaks, and CounterfoilError if they
    cannot be written; then nothing was changed.
    """
    path = folder / BREAKS_FILE
    with _locked(folder):
        before = read_breaks(folder)
        after, result = change(before)
        if len(after.breaks) > BREAKS_MAX:
            raise too_many(f"{path} would hold {len(after.breaks):,} breaks")
        if after != before:
            with _told(path):
                write_durably(path, documents.encode(after, _FORM))
        return result


def too_many(what: str) -> UsageError:
    """Return the error for more breaks than a file holds."""
    return UsageError(
        f"{what}; a file keeps at most {BREAKS_MAX:,}.",
        remedy="Compare one partner or one invoice at a time, or keep them in another folder.",
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    _check_folder(folder)
    with _told(folder / BREAKS_FILE):
        try:
            lock = FileLock.take(folder / _LOCK, wait=True)
        except BlockingIOError:
            raise LockedError(
                f"Another process is changing {folder / BREAKS_FILE}.", remedy="Try again when it is done."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise CounterfoilError(
                f"{folder} cannot be locked: {error.strerror}.",
                remedy="Name a folder on a disk that has file locks; a disk of this machine has.",
            ) from error
    with lock:
        yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CounterfoilError(
            f"{path} cannot be read or written: {error.strerror or error}.",
            remedy="See to the permissions of its folder, and to the room on its disk.",
        ) from error


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", remedy="Name the folder in which the breaks are kept.")


def _damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(
        f"{path} is damaged or was changed by hand: {why}.",
        remedy="Bring it back from a backup; once it is moved away, breaks are recorded anew, without their notes.",
    )
