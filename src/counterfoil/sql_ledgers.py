"""A ledger in a database: the rows of one query, read as a stream and never written to.

It stands above `reconcile`, which installs without SQLAlchemy. The trap: the address may hold a password, so neither it
nor what a driver says of it is ever repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from counterfoil.errors import InputError, SideError, UsageError
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, LedgerTable
from counterfoil.reconcile.sides.ledgers.parquet_ledgers import cell_text

_ROWS_AT_ONCE: Final = 1_000


def sql_ledger(url: str, query: str, name: str) -> LedgerTable:
    """Return the table that a query gives; raises UsageError for an address that is none."""
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

    def rows() -> Iterator[LedgerRow]:
        try:
            with engine.connect().execution_options(stream_results=True, max_row_buffer=_ROWS_AT_ONCE) as connection:
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
