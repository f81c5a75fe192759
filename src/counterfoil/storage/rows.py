"""Writing the catalog's rows: each has a digest of its other columns, by which `verify` finds any bit that changed.

A number that the engine gives to a row is not in its digest, because it is known only afterwards; it is in the digests
of the rows that refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Connection, Integer, Table, and_, bindparam, select, type_coerce
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from counterfoil.disk import documents
from counterfoil.storage.column_types import microseconds

DIGEST: Final = "digest"

Values = Mapping[str, Any]


def insert(connection: Connection, table: Table, *rows: Values) -> int | None:
    """Insert rows; return the number that the engine gave to a single one."""
    complete = [{**row, DIGEST: digest_of(table, row)} for row in rows]
    if len(complete) != 1:
        if complete:
            connection.execute(insert_into(table), complete)
        return None
    # Given beside the statement, which then is the same each time, so that SQLAlchemy need not compile it again.
    made = connection.execute(insert_into(table), complete[0]).inserted_primary_key
    return int(made[0]) if made is not None and table.autoincrement_column is not None else None


def update(
    connection: Connection, table: Table, its: ColumnElement[bool], change: Values | Callable[[Values], Values]
) -> int:
    """Change the rows for which a condition holds, all alike or each by what it holds; return how many they are."""
    rows = list(map(dict, connection.execute(select(table).where(its)).mappings()))
    keys = list(table.primary_key.columns)
    changes = []
    for row in rows:
        new = change(row) if callable(change) else change
        key = {f"key_{column.name}": row[column.name] for column in keys}
        changes.append({**new, DIGEST: _digest_after(table, row, new), **key})
    if changes:
        found = and_(*(column == bindparam(f"key_{column.name}") for column in keys))
        names = [name for name in changes[0] if not name.startswith("key_")]
        connection.execute(update_of(table).where(found).values({name: bindparam(name) for name in names}), changes)
    return len(rows)


def _digest_after(table: Table, row: Values, change: Values) -> str:
    """Return the digest of a changed row; that of a damaged one stays wrong, or the change would hide the damage."""
    first = row[DIGEST] == ""  # which a migration gives it
    return digest_of(table, {**row, **change}) if first or is_sound(table, row) else str(row[DIGEST])


def is_sound(table: Table, row: Values) -> bool:
    """Return whether a row is what its digest says."""
    return bool(row[DIGEST] == digest_of(table, row))


def faults(connection: Connection, table: Table) -> Iterator[str]:
    """Yield the rows that are not what their digest says; raises what reading a damaged one raises."""
    # A flag that is neither 0 nor 1 would read as true here, and count as false in a condition.
    columns = [type_coerce(each, Integer) if isinstance(each.type, Boolean) else each for each in table.columns]
    for row in connection.execute(select(*columns).select_from(table)):
        values = dict(zip(table.columns.keys(), row, strict=True))
        for flag in (column.name for column in table.columns if isinstance(column.type, Boolean)):
            values[flag] = {0: False, 1: True}.get(values[flag], values[flag])
        if DIGEST in values and values[DIGEST] != digest_of(table, values):
            key = " ".join(str(values[column.name]) for column in table.primary_key.columns)
            yield f"the row {key} of {table.name} was changed"


def digest_of(table: Table, row: Values) -> str:
    """Return the digest of a row, whatever engine stores it: of texts, numbers, and times as numbers."""
    columns = [column for column in table.columns if column.name != DIGEST and column is not table.autoincrement_column]
    its = {str(column.name): _plain(row.get(column.name)) for column in columns}
    return documents.digest_of({"": str(table.name), **its})


def _plain(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value
