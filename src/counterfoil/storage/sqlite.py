"""The one module that knows the catalog is SQLite: opening it, and its two ways to begin.

Python's driver begins transactions by itself, late and only before some statements. We turn that off and begin
them ourselves: plainly to read (one snapshot), IMMEDIATE to write. A write transaction that began plainly would
fail at once, without waiting, when another process wrote first. On PostgreSQL the same promise, "one writer at a
time", is one advisory lock at the beginning of a write transaction.

The write-ahead log needs a local disk: its index is shared memory, which a network share does not have.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import make_url

from counterfoil.disk.durability import inherit_owner
from counterfoil.errors import DataFolderError, LockedError, UsageError
from counterfoil.storage.failures import translated_errors, unknown_database

CATALOG_NAME: Final = "catalog.sqlite"
BUSY_TIMEOUT_S: Final = 30
_CHECKPOINT_TIMEOUT_MS: Final = 1_000
# Idle connections kept, one for each thread that is likely to ask at once. More are opened when needed.
_CACHE_KB: Final = 512  # of each connection: with the usual 2,000, a busy server's connections hold 80 MB for good
_POOL_SIZE: Final = 40
_WRITES: Final = "counterfoil_writes"


class SqliteDatabase:
    """An open catalog file, shared by threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Threads of one process queue here: SQLite makes writers sleep and retry, which is slower and unfair.
        self._turn = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment."""
        with translated_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end; raises LockedError after 30 s."""
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise LockedError("The catalog is busy.", remedy="Try again.")
        try:
            with translated_errors(), for_writing(self._engine.connect()) as connection, connection.begin():
                yield connection
        finally:
            self._turn.release()

    def settle(self) -> None:
        """Move what was committed from the write-ahead log into the file: one damaged bit would end the whole log.

        And begin the log anew, by changing a number that nobody reads: of a log that was only copied, SQLite would take
        what is before a damaged bit for newer than the file. The log keeps its room, so that a full disk still lets a
        sweep write. A busy reader only delays this.
        """
        with suppress(exc.DBAPIError), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            try:
                raw.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_TIMEOUT_MS}")
                with suppress(Exception):
                    [(is_busy, *_)] = raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                    if not is_busy:
                        [(number,)] = raw.execute("PRAGMA user_version").fetchall()
                        raw.execute(f"PRAGMA user_version = {1 - number}")
            finally:
                raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1_000}")

    def faults(self, connection: Connection) -> list[str]:
        """Return what the engine finds wrong with its own file: pages, indexes that disagree with tables, keys."""
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check")
        found += [f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there" for row in lost]
        return [each for each in found if each != "ok"]

    def close(self) -> None:
        """Close all connections."""
        with translated_errors():
            self._engine.dispose()


def database_path(data: Path, database_url: str | None) -> Path:
    """Return where the catalog is; raises UsageError for an engine we do not have."""
    if database_url is None:
        path = data / CATALOG_NAME
        return path.resolve() if path.is_symlink() else path  # SQLite's log is beside the file itself
    try:
        url = make_url(database_url)
    except exc.ArgumentError:
        url = None
    if url is not None and url.get_backend_name() == "postgresql":
        raise UsageError(
            "This works on a catalog that is a file, and database_url names a PostgreSQL server.",
            remedy="Use that server's own tools, such as pg_dump, and copy the folder `files` after it.",
        )
    if url is None or url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise unknown_database()
    return Path(url.database)


def engine_for(path: Path) -> Engine:
    """Return an engine whose connections are safe, durable and shared by threads. Nothing is opened yet.

    It must not be carried over a fork: a process opens its own. A catalog in a folder that cannot be written is opened
    for reading only. Raises DataFolderError where that would not show all that was committed.
    """
    url = URL.create("sqlite", database=str(path))
    if path.exists() and not os.access(path.parent, os.W_OK, effective_ids=True):
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise DataFolderError(
                f"{path.parent} cannot be written, and its catalog has a log that must be written into it first.",
                remedy="Run `counterfoil list` once as a user who may write there.",
            )
        database = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"  # needs no file beside it
        url = URL.create("sqlite", database=database, query={"uri": "true"})
    engine = create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
        pool_use_lifo=True,  # the connection used last has the warmest cache
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )
    set_up(engine)
    return engine


def set_up(engine: Engine) -> None:
    """Make all connections of an engine begin their transactions as this module says."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)


def for_writing(connection: Connection) -> Connection:
    """Make the next transaction of this connection a writing one."""
    return connection.execution_options(**{_WRITES: True})


def make_file(path: Path) -> None:
    """Make an empty database file, for its owner alone; what a killed process left there is replaced."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    inherit_owner(path, path.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a catalog that is in use, as it is at one moment, to a file of its own."""
    make_file(target)
    old = sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)
    with closing(old), closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")  # nothing of it is in a log beside it


def use_write_ahead_log(engine: Engine) -> None:
    """Switch the file to WAL, for good: it is a property of the file, and cannot be set in a transaction."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def _set_up(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None
    dbapi_connection.execute("PRAGMA foreign_keys = ON")
    dbapi_connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    dbapi_connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
