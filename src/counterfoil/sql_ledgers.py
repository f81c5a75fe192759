"""A ledger in a database: the rows of one query, read as a stream and never written to.

It stands above `reconcile`, which installs without SQLAlchemy. Two traps: the address may hold a password, so neither
it nor what a driver says of it is ever repeated. And SQLite, MySQL and Oracle commit some statements by themselves, so
that a transaction which is never committed protects nothing: what may write is refused before it is sent, and a
database that can be told to refuse it is told so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from counterfoil.errors import InputError, SideError, UsageError
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, LedgerTable
from counterfoil.reconcile.sides.ledgers.parquet_ledgers import cell_text

_ROWS_AT_ONCE: Final = 1_000
_SELECTS: Final = re.compile(
    r"(?:\s | --[^\n]*(?:\n|\Z) | /\*.*?\*/)*+ (?:SELECT|WITH|VALUES|TABLE)\b",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# What makes the statements that follow unable to write, by the dialect.
_READ_ONLY: Final = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}


def sql_ledger(url: str, query: str, name: str) -> LedgerTable:
    """Return the table that a query gives; raises UsageError for an address or a query that is none to read."""
    _refuse_writing(query, name)
    try:
        engine = sqlalchemy.create_engine(url, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UsageError(
            f"{name}: the address of the database is none that SQLAlchemy knows.",
            remedy="Write it as in postgresql+psycopg://user:password@host/books or sqlite:////path/to/books.db.",
        ) from error
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{name}: the driver {error.name!r} of the database is not installed.",
            remedy=f"Install it with: pip install {error.name}",
        ) from error

    _refuse_absent(engine, name)
    statement = _READ_ONLY.get(engine.dialect.name)
    if statement is not None:
        sqlalchemy.event.listen(engine, "connect", lambda driver, _: driver.cursor().execute(statement))
    options = {"stream_results": True, "max_row_buffer": _ROWS_AT_ONCE, "postgresql_readonly": True}

    def rows() -> Iterator[LedgerRow]:
        try:
            with engine.connect().execution_options(**options) as connection:
                result = connection.execute(sqlalchemy.text(query))
                if not result.returns_rows:
                    raise UsageError(f"{name}: the query gives no rows.", remedy="Write a SELECT.")
                names = list(result.keys())
                yield LedgerRow(0, names)
                for line, values in enumerate(result, 1):
                    yield LedgerRow(line, [_cell(value, names[at], line, name) for at, value in enumerate(values)])
        except SQLAlchemyError as error:
            raise _failed(error, name) from error
        finally:
            engine.dispose()

    return LedgerTable(f"{name}, its query", rows)


def _refuse_writing(query: str, name: str) -> None:
    """Raise UsageError for anything but one SELECT. A `;` counts wherever it is: dialects differ in what quotes it."""
    remedy = "Write one SELECT, or make a view of it in the database and select from that."
    if _SELECTS.match(query) is None:
        raise UsageError(f"{name}: the query is no SELECT, and a ledger is only read.", remedy=remedy)
    if ";" in query.rstrip().removesuffix(";"):
        raise UsageError(f"{name}: the query holds the sign ; before its end.", remedy=remedy)


def _refuse_absent(engine: sqlalchemy.Engine, name: str) -> None:
    """Raise UsageError where SQLite would make a database that is not there."""
    path = engine.url.database or ":memory:"
    if engine.dialect.name == "sqlite" and not path.startswith((":", "file:")) and not Path(path).is_file():
        raise UsageError(
            f"{name}: there is no database at the address.",
            remedy="An address of SQLite has four strokes before a whole path: sqlite:////path/to/books.db.",
        )


def _cell(value: object, column: str, line: int, name: str) -> str:
    try:
        return cell_text(value)
    except ValueError as error:
        raise InputError(
            str(error), file=name, line=line, attribute=column, remedy="Cast it to text in the query."
        ) from None


def _failed(error: SQLAlchemyError, name: str) -> SideError:
    """Return what a database said of the query; what a driver says of a connection may hold its address."""
    if isinstance(error, DBAPIError) and error.statement is not None:
        said = str(error.orig).partition("\n")[0].rstrip(". ")
        return SideError(f"{name}: the database refused the query: {said}.", remedy="Correct sql under [source].")
    return SideError(
        f"{name}: the database could not be reached ({type(error).__name__}).",
        remedy="Check the address, the network, and whether the driver is installed.",
    )
