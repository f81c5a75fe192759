"""The one module that knows the catalog is on PostgreSQL: opening it, and its two ways to begin.

Who writes takes one advisory lock first, which is the turn of one writer in the whole cluster, and then reads at READ
COMMITTED. Never at REPEATABLE READ: that snapshot is taken by the statement that waits for the lock, and is older than
the lock. Who reads sees one moment, at REPEATABLE READ, and waits for nobody.

The trap: a connection that ends within COMMIT tells nobody what became of it. `Catalog.commit` finds out by trying to
condemn its publication, which waits for a COMMIT that is still on its way through the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, exists, func, inspect, select, text
from sqlalchemy.engine import make_url

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import DataFolderError, UsageError
from counterfoil.storage import schema, tables
from counterfoil.storage.failures import translated_errors, unknown_database

TURN: Final = 0x436F756E746572  # "Counter": the key of the advisory lock of whoever writes
BUSY_TIMEOUT_S: Final = 30
_POOL_SIZE: Final = 20
_WRITES: Final = "counterfoil_writes"
_CONNECT: Final = {
    "connect_timeout": 10,
    "application_name": "counterfoil",
    # A server that vanished is noticed within half a minute, in place of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s -c idle_in_transaction_session_timeout=120s",
}


class PostgresDatabase:
    """An open catalog on a server, shared by threads. It must not be carried over a fork."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment."""
        with translated_errors(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end; raises LockedError after 30 s."""
        with (
            translated_errors(),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    def settle(self) -> None:
        """A server's log is the server's own."""

    def faults(self, connection: Connection) -> list[str]:
        """Return the rows that refer to nothing. Pages are the server's to check, see `data_checksums`."""
        found = []
        for table in tables.metadata.sorted_tables:
            for key in table.foreign_keys:
                other = key.column
                lost = ~exists().where(other == key.parent)
                count = connection.execute(
                    select(func.count()).select_from(table).where(key.parent.is_not(None), lost)
                ).scalar_one()
                if count:
                    found.append(f"{count} rows of {table.name} refer to rows of {other.table.name} that are not there")
        return found

    def close(self) -> None:
        """Close all connections."""
        with translated_errors():
            self._engine.dispose()


def url_of(database_url: str) -> URL:
    """Return the address of the server and its database; raises UsageError, which does not repeat the password."""
    try:
        url = make_url(database_url)
    except exc.ArgumentError:
        raise unknown_database() from None
    if url.get_backend_name() != "postgresql" or not url.database:
        raise unknown_database()
    return url.set(drivername="postgresql+psycopg")


def engine_for(url: URL) -> Engine:
    """Return an engine whose connections begin their transactions as this module says. Nothing is opened yet."""
    try:
        engine = create_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_SIZE,
            pool_use_lifo=True,
            pool_pre_ping=True,  # after a restart or failover of the server the old connections are none
            isolation_level="READ COMMITTED",
            connect_args=dict(_CONNECT),
        )
    except ModuleNotFoundError as error:
        raise UsageError(
            f"A catalog on PostgreSQL needs {error.name}, which is not installed.",
            remedy='Install it with: pip install "counterfoil[server,postgres]"',
        ) from error
    event.listen(engine, "begin", _begin)
    return engine


def prepare(database: PostgresDatabase, url: URL, *, create: bool) -> None:
    """Leave the database a catalog that this program can use, or raise DataFolderError and leave it untouched."""
    name = f"The database {url.database} on {url.host or 'this machine'}"
    with database.reading() as connection:
        _check_server(connection, name)
        is_empty = not inspect(connection).has_table("meta")
        if not is_empty and schema.is_newest(connection, name):
            return
    if is_empty and not create:
        raise DataFolderError(f"{name} holds no catalog.", remedy="Publish something first, or check database_url.")
    with database.writing() as connection:
        if inspect(connection).has_table("meta"):  # another process may have had the turn before
            schema.upgrade(connection, name)
            return
        others = inspect(connection).get_table_names()
        if others:
            raise DataFolderError(
                f"{name} is another program's: it holds the table {min(others)}.",
                remedy="Make a database of its own for Counterfoil.",
            )
        schema.fill(connection)


def _check_server(connection: Connection, name: str) -> None:
    """Raise DataFolderError for a server on which times or texts would not be what they are."""
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        raise DataFolderError(f"{name} can only be read: it is a standby.", remedy="Name the primary in database_url.")
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise DataFolderError(
            f"{name} keeps its texts in {encoding}.",
            remedy="Make the database with: ENCODING 'UTF8' TEMPLATE template0",
        )
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    apart = abs(now - datetime.now(UTC))
    if apart > lifetimes_and_sizes.DATABASE_CLOCK_ERROR_MAX:
        raise DataFolderError(
            f"The clock of the database server and that of this machine are {int(apart.total_seconds())} s apart.",
            remedy="Let both follow a time server.",
        )


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")


def locking_address(url: URL) -> dict[str, Any]:
    """Return what a connection of locks is opened with: libpq's own names."""
    return {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        **dict(url.query),
        **_CONNECT,
    }
