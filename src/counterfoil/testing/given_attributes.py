"""Reading attributes that a test gives by hand: exact values only, names as in the table of columns, errors that help.

The trap: Python turns 10.10 into a float before anybody can see its digits, so a float is refused, not guessed at.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from counterfoil import numbers
from counterfoil.columns import Column, LineItemTable, Spelling, Type
from counterfoil.errors import UsageError
from counterfoil.line_items.values import Refused, stored_date, stored_flag, stored_text

Attributes = dict[str, Any]  # numbers are Decimal, everything else is text


def read_attributes(table: LineItemTable, given: Mapping[str, object]) -> Attributes:
    """Return what is given, checked; raises UsageError for an unknown name or a value that its column cannot hold.

    Attributes that are None are left out, and come back as None.
    """
    unknown = [name for name in given if name not in table.by_name]
    if unknown:
        raise UsageError(
            f"A line item of {table.kind} has no attribute {' and no '.join(map(repr, unknown))}.",
            remedy=_meant(table, unknown[0]),
        )
    return {name: None if value is None else _read(table, table.by_name[name], value) for name, value in given.items()}


def refuse_missing(table: LineItemTable, line_item: Mapping[str, object]) -> None:
    """Raise UsageError if attributes that are required are not there; it names all of them."""
    absent = [name for name in table.required if line_item.get(name) in (None, "")]
    if absent:
        raise UsageError(
            f"A line item of {table.kind} needs {', '.join(table.required)}; without: {', '.join(absent)}.",
            remedy="Leave them to their defaults, or give them a value.",
        )


def decimal_of(name: str, value: object) -> Decimal:
    """Return an exact number; raises UsageError for a float, and for what is no number."""
    if isinstance(value, float):
        raise UsageError(
            f"{name} is the float {value!r}, which need not be the amount that you wrote.",
            remedy=f"""Write Decimal("{value!r}") or "{value!r}".""",
        )
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str) or value == "":
        raise UsageError(f"{name} is {value!r}, and must be a number.", remedy='Write Decimal("10.10") or "10.10".')
    text = str(value)
    if reason := numbers.why_not_a_number(text):
        raise UsageError(f"{name} is {value!r}: {reason}.", remedy='Write Decimal("10.10") or "10.10".')
    return numbers.exact(text)


def _read(table: LineItemTable, column: Column, value: object) -> Any:
    if column.type is Type.NUMBER:
        return decimal_of(column.name, value)
    if column.type is Type.DATE and isinstance(value, date):
        value = value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else f"{value}T00:00:00Z"
    wanted = "true or false" if column.type is Type.FLAG else f"a {column.type.value}"
    if not isinstance(value, str) and not (column.type is Type.FLAG and isinstance(value, bool)):
        raise UsageError(f"{column.name} is {value!r}, and must be {wanted}.", remedy=_quoting(column, value))
    try:
        if column.type is Type.DATE:
            return stored_date(column.name, str(value)) or ""
        if column.type is Type.FLAG:
            return value if isinstance(value, bool) else stored_flag(column.name, value) == "true"
        return stored_text(Spelling(column, from_v1=False), column.name, str(value))
    except Refused as refused:
        message = f"{column.name} of {table.kind} is {value!r}: {refused.reason}."
        raise UsageError(message, remedy=refused.remedy) from None


def _quoting(column: Column, value: object) -> str:
    if column.type is Type.TEXT and isinstance(value, int) and not isinstance(value, bool):
        return f'Write "{value}".'
    return "Dates are ISO 8601, such as 2026-11-20T00:00:00Z." if column.type is Type.DATE else ""


def _meant(table: LineItemTable, name: str) -> str:
    spelling = table.spellings.get(name.lower().replace("_", ""))
    near = [spelling.column.name] if spelling else difflib.get_close_matches(name, table.by_name, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else "docs/line-items.md lists all."
