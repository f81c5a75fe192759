"""A ledger in Parquet: texts as they are, exact decimals in full, and of doubles the 15 digits that were entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from counterfoil.errors import InputError
from counterfoil.line_items.values import NumberText
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow, LedgerTable, heading_of, shown_double

_ROWS_AT_ONCE: Final = 10_000


def parquet_ledger(path: Path, name: str, is_wanted: Callable[[str], bool]) -> LedgerTable:
    """Return the table in a Parquet file; raises InputError for a wanted column that cannot be text."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise _damaged(name, error) from error
    for column in schema:
        if is_wanted(heading_of(column.name)) and not _is_readable(column.type):
            raise InputError(
                f"the column {column.name!r} is {column.type}, which is neither text, number nor date",
                file=name,
                remedy="Write it as text or decimal.",
            )

    def rows() -> Iterator[LedgerRow]:
        yield LedgerRow(0, schema.names)
        line = 1
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                    for cells in zip(*map(_texts, batch.columns), strict=True):
                        yield LedgerRow(line, cells)
                        line += 1
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(name, error) from error

    return LedgerTable(name, rows)


def _is_readable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_readable(kind.value_type)
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):  # 7 digits, and the amounts in it are gone
        return False
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_date,
            pa.types.is_timestamp,
            pa.types.is_boolean,
            pa.types.is_null,
        )
    )


def _texts(column: pa.Array) -> list[str]:
    if not _is_readable(column.type):
        return [""] * len(column)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return [cell_text(value) for value in column.to_pylist()]


def cell_text(value: Any) -> str:
    """Return a value of a typed column, or of a database, as a cell; raises ValueError for one that is none."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return NumberText(value)
        case Decimal() if value.is_finite():
            return NumberText(format(value, "f"))
        case float() if value - value == 0:
            return NumberText(shown_double(value))
        case datetime():
            return NumberText(value.isoformat().removesuffix("T00:00:00"))
        case date():
            return NumberText(value.isoformat())
        case float() | Decimal():
            return str(value)  # nan and inf, which no column may hold that counts
    raise ValueError(f"{type(value).__name__} is neither text, number nor date")


def _damaged(name: str, error: BaseException) -> InputError:
    why = str(error).partition("\n")[0].rstrip(". ")
    return InputError(f"the Parquet file is cut or damaged: {why}", file=name, remedy="Write it again.")
