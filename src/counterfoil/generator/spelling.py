"""How values become JSON: spans of attributes in the order of the table of columns.

A *span* is the JSON text of some neighbouring attributes, made once and used in many line items. A span must
hold neighbours, all of them and in the table's order; `span` checks this, so that a column added to the table stops
the generator instead of leaving it one attribute short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from counterfoil.columns import LineItemTable, Type

Line = dict[str, str | None]  # attribute name to text; None is JSON's null


def quoted(text: str) -> str:
    """Write a text as a JSON string, letters of all scripts as they are."""
    return json.dumps(text, ensure_ascii=False)


def compact(value: object) -> str:
    """Write JSON without spaces, for JSON that travels inside a string."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def span(table: LineItemTable, values: Mapping[str, str | None]) -> str:
    """Return the attributes in `values` as JSON, without braces; they must be neighbours in the table."""
    names = [column.name for column in table.graph_full]
    first = names.index(next(iter(values)))
    expected = names[first : first + len(values)]
    assert list(values) == expected, f"not neighbours in the table: {list(values)}, but {expected}"
    return ",".join(f'"{name}":{_value(table, name, text)}' for name, text in values.items())


def spell(table: LineItemTable, line: Line) -> bytes:
    """Return a whole line item as one JSON line."""
    return b"{" + span(table, line).encode() + b"}\n"


def read(spelled: bytes) -> Line:
    """Read what `spell` wrote (or what equals it), numbers as their own text."""
    line: Line = json.loads(spelled, parse_float=str, parse_int=str)
    return line


def _value(table: LineItemTable, name: str, text: str | None) -> str:
    if text is None:
        return "null"
    return text if table.by_name[name].type is Type.NUMBER else quoted(text)
