"""The one module that knows the catalog is SQLite: opening it, and its two ways to begin.

Python's driver begins transactions by itself, late and only before some statements. We turn that off and begin
them ourselves: plainly to read (one snapshot), IMMEDIATE to write. A write transaction that began plainly would
fail at once, without waiting, when another process wrote first. On Postgres the same promise, "one writer at a
time", is one advisory lock at the beginning of a write transaction.

The write-ahead log needs a local disk; a network share has not the shared memory it uses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from counterfoil.errors import UsageError

CATALOG_NAME: Final = "catalog.sqlite"
BUSY_TIMEOUT_S: Final = 30
# Idle connections kept, one for each thread that is likely to ask at once. More are opened when needed.
_POOL_SIZE: Final = 40
_WRITES: Final = "counterfoil_writes"


def database_path(data: Path, database_url: str | None) -> Path:
    """Return where the catalog lies; raises UsageError for an engine we do not have."""
    if database_url is None:
        return data / CATALOG_NAME
    try:
        url = make_url(database_url)
    except exc.ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        # The URL itself may hold a password, so it is not repeated.
        raise UsageError(
            "DATABASE_URL names a database that Counterfoil cannot use yet.",
            remedy="Leave it out, or write sqlite:////full/path/to/catalog.sqlite.",
        )
    return Path(url.database)


def engine_for(path: Path) -> Engine:
    """Return an engine whose connections are safe, durable and shared by threads. Nothing is opened yet.

    It must not be carried over a fork: a process opens its own.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=_POOL_SIZE,
        max_overflow=-1,
        pool_use_lifo=True,  # the connection used last has the warmest cache
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def empty_engine() -> Engine:
    """Return the engine of a database in memory, which has nothing in it; for one process, as the others are."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def for_writing(connection: Connection) -> Connection:
    """Make the next transaction of this connection a writing one."""
    return connection.execution_options(**{_WRITES: True})


def use_write_ahead_log(engine: Engine) -> None:
    """Switch the file to WAL, for good: it is a property of the file, and cannot be set in a transaction."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def faults(connection: Connection) -> list[str]:
    """Return what the engine finds wrong with its own file: pages, indexes that disagree with tables, keys."""
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check")
    found += [f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there" for row in lost]
    return [each for each in found if each != "ok"]


def _set_up(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None
    dbapi_connection.execute("PRAGMA foreign_keys = ON")
    dbapi_connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
