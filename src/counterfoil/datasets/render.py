"""From a lake file to the wire forms: each line item's JSON is one SQL expression made from the table of columns.

DuckDB only joins texts here; no number is ever parsed, so every digit arrives as it left. The expressions are long
and dull on purpose: they are the same for every engine that runs them, and so are the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType
from duckdb.sqltypes import VARCHAR

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, Column, LineItemTable, Type
from counterfoil.lake import TEXT_SUFFIX
from counterfoil.model import Rendering

ROWS_PER_BATCH = 20_000  # DuckDB slows down badly on small batches
_CREDIT = "v1-credit"


@dataclass(frozen=True, slots=True)
class Rendered:
    """Some consecutive line items: for each rendering an array of JSON texts (Graph's with a final newline)."""

    texts: dict[Rendering, pa.Array]
    credit: pa.Array | None  # for v1: whether partner earned credit applies


class Renderer:
    """Renders lake files of one kind. Holds one DuckDB connection; not for several threads at once."""

    def __init__(self, table: LineItemTable, renderings: Collection[Rendering]) -> None:
        self._table = table
        self._renderings = [rendering for rendering in Rendering if rendering in renderings]
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
        for name, function in (("percent_to_rate", numbers.percent_to_rate), ("text_to_list", text_to_list)):
            self._connection.create_function(name, _on_distinct(function), [VARCHAR], VARCHAR, type=PythonUDFType.ARROW)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def render(self, lake_file: Path, escaped: Collection[str]) -> Iterator[Rendered]:
        """Yield the line items of a lake file in order; `escaped` names the columns that hold quotes or the like."""
        expressions = [
            f'{expression(self._table, rendering, escaped)} AS "{rendering.value}"' for rendering in self._renderings
        ]
        with_credit = Rendering.V1 in self._renderings
        if with_credit:
            expressions.append(f'{credit_expression(self._table)} AS "{_CREDIT}"')
        source = str(lake_file).replace("'", "''")
        query = f"SELECT {', '.join(expressions)} FROM read_parquet('{source}')"
        # `sql` streams; `execute` would hold the whole result (2.4 GB for a million line items).
        for batch in self._connection.sql(query).to_arrow_reader(ROWS_PER_BATCH):
            yield Rendered(
                {rendering: batch.column(rendering.value) for rendering in self._renderings},
                batch.column(_CREDIT) if with_credit else None,
            )


def expression(table: LineItemTable, rendering: Rendering, escaped: Collection[str]) -> str:
    """Return the SQL expression for one line item's JSON."""
    pieces: list[str] = []
    if rendering is Rendering.V1:
        pieces.extend(_v1_member(column, column.name in escaped) for column in table.v1_columns)
        pieces.append(_extra())
        constants = {
            "invoiceLineItemType": table.v1_line_item_type,
            "billingProvider": table.v1_billing_provider,
            "attributes": {"objectType": table.v1_object_type},
        }
        pieces.append(_literal("," + json.dumps(constants, separators=(",", ":"))[1:]))
    else:
        full = rendering is Rendering.GRAPH_FULL
        columns = table.graph_full if full else table.graph_basic
        pieces.extend(_graph_member(column, column.name in escaped) for column in columns)
        if full:
            pieces.append(_extra())
        pieces.append(_literal("}\n"))
    # The first attribute is PartnerId, which is never absent: its comma becomes the opening brace.
    pieces[0] = pieces[0].replace("',\"", "'{\"", 1)
    return f"concat({', '.join(pieces)})"


def credit_expression(table: LineItemTable) -> str:
    """Return the SQL condition for v1's hasPartnerEarnedCredit filter."""
    if "PartnerEarnedCreditPercentage" not in table.by_name:
        return "false"
    # By the text: the decimal beside it may have been rounded to nothing.
    earned = f"regexp_matches(PartnerEarnedCreditPercentage{TEXT_SUFFIX}, '^[0.]*[1-9]')"
    return f"coalesce({earned}, false) OR coalesce(HasPartnerEarnedCredit = 'true', false)"


def text_to_list(text: str) -> str:
    """Return the JSON array that v1 wants for a text that should hold one; any other text becomes its only member."""
    if not text:
        return "[]"
    try:
        members: Any = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        members = None
    return text if isinstance(members, list) else json.dumps([text], ensure_ascii=False, separators=(",", ":"))


def _graph_member(column: Column, escape: bool) -> str:
    """Graph emits every key: '' for a text that is not there, null for a number or date."""
    name = f',"{column.name}":'
    match column.type:
        case Type.NUMBER:
            return f"{_literal(name)}, coalesce({_stored(column)}, 'null')"
        case Type.DATE:
            return f"{_literal(name)}, coalesce({_quoted(column, escape)}, 'null')"
        case _:
            if escape:
                return f"{_literal(name)}, coalesce({_quoted(column, escape)}, '\"\"')"
            opened = _literal(name + '"')
            return f"{opened}, {_stored(column)}, '\"'"


def _v1_member(column: Column, escape: bool) -> str:
    """V1 leaves out what is absent. `||` with NULL is NULL, and concat passes over NULL."""
    name = _literal(f',"{column.v1}":')
    stored = _stored(column)
    match column.codec:
        case Codec.RATE:
            return f"{name} || percent_to_rate({stored})"
        case Codec.LIST:
            return f"{name} || text_to_list({stored})"
        case Codec.RESELLER:
            return f"{name} || CASE {stored} WHEN '' THEN '\"0\"' ELSE {_quoted(column, escape)} END"
        case Codec.CHARGE_TYPE:
            mapped = f"WHEN 'purchase' THEN '\"New\"' WHEN 'refund' THEN '\"Cancel\"' ELSE {_quoted(column, escape)}"
            return f"{name} || CASE lower({stored}) {mapped} END"
        case Codec.PRESENT:
            return f"{name} || coalesce({_quoted(column, escape)}, '\"\"')"
        case Codec.SAME:
            return f"{name} || {stored if column.type in (Type.NUMBER, Type.FLAG) else _quoted(column, escape)}"


def _stored(column: Column) -> str:
    return f'"{column.name}{TEXT_SUFFIX}"' if column.type is Type.NUMBER else f'"{column.name}"'


def _quoted(column: Column, escape: bool) -> str:
    return f'to_json("{column.name}")::VARCHAR' if escape else f"'\"' || \"{column.name}\" || '\"'"


def _extra() -> str:
    return f"',' || substr({EXTRA}, 2, length({EXTRA}) - 2)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _on_distinct(function: Any) -> Any:
    """Let DuckDB call a function of one text with a whole column; distinct texts are few."""

    def of_column(column: Any) -> pa.Array:
        codes = pc.dictionary_encode(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
        values = [function(text) for text in codes.dictionary.to_pylist()]
        return pa.array(values, pa.string()).take(codes.indices)

    return of_column
