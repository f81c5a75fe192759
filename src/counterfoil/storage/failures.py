"""Errors of the disk and the database engine as Counterfoil's own: the one table of foreign errors.

An error that is not in the table is a defect, or comes from an unknown engine; it keeps its own type.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from counterfoil.errors import (
    CounterfoilError,
    DataFolderError,
    FullDiskError,
    LockedError,
    LostCatalogError,
    UsageError,
)

_FULL: Final = ("There is no room left in the data folder.", "Make room on its disk, then try again.")
_BUSY: Final = ("The catalog is busy.", "Another process is writing to it; try again.")
_HELD: Final = (
    "Another process holds the data folder.",
    "Try again; if that process was stopped, let it go on or end it.",
)
_NOT_OURS: Final = (
    "The catalog is damaged, or is not a Counterfoil catalog.",
    "Bring catalog.sqlite back from a backup, or make one of the sealed files: counterfoil rebuild",
)
_CLOSED: Final = (
    "The data folder cannot be read or written.",
    "Let the user that runs Counterfoil own the folder and all that is in it.",
)
_NO_LOCKS: Final = ("The data folder's file system has no locks.", "Put the data folder on a local disk.")
_MANY: Final = ("Too many files are open.", "Raise the limit (ulimit -n), then start Counterfoil again.")
_BROKEN: Final = ("The disk refused to read or write the data folder.", "Check the disk and the system's log.")

# SQLite's names: the primary result code, and before it the extended codes that mean something else.
_SQLITE: Final[dict[str, tuple[type[CounterfoilError], tuple[str, str]]]] = {
    "SQLITE_FULL": (FullDiskError, _FULL),
    "SQLITE_IOERR_SHMSIZE": (FullDiskError, _FULL),  # no room for the index of the write-ahead log
    "SQLITE_BUSY": (LockedError, _BUSY),
    "SQLITE_LOCKED": (LockedError, _BUSY),
    "SQLITE_PROTOCOL": (LockedError, _BUSY),
    "SQLITE_NOTADB": (LostCatalogError, _NOT_OURS),
    "SQLITE_CORRUPT": (LostCatalogError, _NOT_OURS),
    "SQLITE_FORMAT": (LostCatalogError, _NOT_OURS),
    "SQLITE_CANTOPEN": (DataFolderError, _CLOSED),
    "SQLITE_READONLY": (DataFolderError, _CLOSED),
    "SQLITE_PERM": (DataFolderError, _CLOSED),
    "SQLITE_AUTH": (DataFolderError, _CLOSED),
    "SQLITE_IOERR": (DataFolderError, _BROKEN),
}
_SYSTEM: Final[dict[int, tuple[type[CounterfoilError], tuple[str, str]]]] = {
    errno.ENOSPC: (FullDiskError, _FULL),
    errno.EDQUOT: (FullDiskError, _FULL),
    errno.EAGAIN: (LockedError, _HELD),  # a lock that was waited for
    errno.EACCES: (DataFolderError, _CLOSED),
    errno.EPERM: (DataFolderError, _CLOSED),
    errno.EROFS: (DataFolderError, _CLOSED),
    errno.ENOTDIR: (DataFolderError, _CLOSED),
    errno.EISDIR: (DataFolderError, _CLOSED),
    errno.EIO: (DataFolderError, _BROKEN),
    errno.EMFILE: (DataFolderError, _MANY),
    errno.ENFILE: (DataFolderError, _MANY),
    **dict.fromkeys((errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS), (DataFolderError, _NO_LOCKS)),
}


def translated(error: BaseException) -> CounterfoilError | None:
    """Return our error for a foreign one, or None when the table does not hold it."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    found = None
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")  # not set where Python itself complains
        primary = "_".join(name.split("_")[:2])
        found = _SQLITE.get(name) or _SQLITE.get(primary)
        if found is None and "decode to UTF-8" in str(error):
            found = _SQLITE["SQLITE_CORRUPT"]
    elif isinstance(error, UnicodeDecodeError):  # which the driver lets through from some places
        found = _SQLITE["SQLITE_CORRUPT"]
    elif isinstance(error, OSError):
        found = _SYSTEM.get(error.errno or 0)
    if found is None:
        return None
    kind, (message, remedy) = found
    return kind(f"{message[:-1]} ({error}).", remedy=remedy)


def unknown_database() -> UsageError:
    """Return the refusal of a database that we cannot use. Its URL may hold a password, so it is not repeated."""
    return UsageError(
        "DATABASE_URL names a database that Counterfoil cannot use yet.",
        remedy="Leave it out, or write sqlite:////full/path/to/catalog.sqlite.",
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise our own error for every foreign one in the table."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError, UnicodeDecodeError) as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
