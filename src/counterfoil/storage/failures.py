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
_AWAY: Final = ("The database server does not answer.", "Try again; see that it runs, and that database_url is right.")
_CROWDED: Final = ("The database server takes no more connections.", "Try again, or raise its max_connections.")
_NOT_LET_IN: Final = (
    "The database server does not let Counterfoil in.",
    "Check user, password and database in database_url.",
)
_NO_RIGHTS: Final = (
    "The database's user may not do what Counterfoil does.",
    "Let that user own the database, or a schema of its own in it.",
)
_STANDBY: Final = ("The database can only be read.", "Name the primary server in database_url, not a standby.")
_SERVER_FULL: Final = ("There is no room left on the database server.", "Make room on its disk, then try again.")
_SERVER_DAMAGED: Final = ("The database is damaged.", "Bring it back from a backup, and look at its server's log.")
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
# PostgreSQL's SQLSTATE, or the beginning of it.
_POSTGRES: Final[dict[str, tuple[type[CounterfoilError], tuple[str, str]]]] = {
    "53100": (FullDiskError, _SERVER_FULL),
    "53300": (LockedError, _CROWDED),
    "42501": (DataFolderError, _NO_RIGHTS),
    "25006": (DataFolderError, _STANDBY),
    "40001": (LockedError, _BUSY),
    "40P01": (LockedError, _BUSY),
    "55P03": (LockedError, _BUSY),
    "08": (LockedError, _AWAY),
    "57P": (LockedError, _AWAY),
    "25P03": (LockedError, _AWAY),  # it ended a transaction that stood still
    "28": (DataFolderError, _NOT_LET_IN),
    "3D": (DataFolderError, _NOT_LET_IN),
    "XX00": (LostCatalogError, _SERVER_DAMAGED),
}
# What a server says before it has let somebody in, for which the driver has no SQLSTATE.
_REFUSALS: Final[dict[str, tuple[type[CounterfoilError], tuple[str, str]]]] = {
    "authentication failed": (DataFolderError, _NOT_LET_IN),
    "pg_hba.conf": (DataFolderError, _NOT_LET_IN),
    "password": (DataFolderError, _NOT_LET_IN),
    "does not exist": (DataFolderError, _NOT_LET_IN),
    "permission denied": (DataFolderError, _NOT_LET_IN),
    "too many clients": (LockedError, _CROWDED),
    "remaining connection slots": (LockedError, _CROWDED),
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
    elif type(error).__module__.partition(".")[0] == "psycopg":  # which is installed for those who use it
        found = _of_postgres(error)
    elif isinstance(error, UnicodeDecodeError):  # which the driver lets through from some places
        found = _SQLITE["SQLITE_CORRUPT"]
    elif isinstance(error, OSError):
        found = _SYSTEM.get(error.errno or 0)
    if found is None:
        return None
    kind, (message, remedy) = found
    said = str(error).strip().partition("\n")[0]
    return kind(f"{message[:-1]} ({said}).", remedy=remedy)


def _of_postgres(error: BaseException) -> tuple[type[CounterfoilError], tuple[str, str]] | None:
    state = getattr(error, "sqlstate", None)
    if state:
        return next((_POSTGRES[state[:length]] for length in (5, 4, 3, 2) if state[:length] in _POSTGRES), None)
    if type(error).__name__ in ("OperationalError", "ConnectionTimeout"):
        return next((found for words, found in _REFUSALS.items() if words in str(error)), (LockedError, _AWAY))
    return None


def unknown_database() -> UsageError:
    """Return the refusal of a database that we cannot use. Its URL may hold a password, so it is not repeated."""
    return UsageError(
        "DATABASE_URL names a database that Counterfoil cannot use yet.",
        remedy="Leave it out, or write sqlite:////full/path/to/catalog.sqlite or postgresql://user@server/database.",
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise our own error for every foreign one in the table."""
    try:
        yield
    except Exception as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
