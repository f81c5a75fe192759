"""A batch: some line items as they were read, and the quick tests that let most of them pass.

`doubtful` never refuses. It only marks the rows that the quick tests cannot accept; those go to the reference in
`values`, which accepts them or says why not. So the quick tests may be narrower than the rules, and never wider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, LineItemTable, Spelling, Type
from counterfoil.datasets import digest, records
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.line_items.fast_reader import PLAIN_NUMBER
from counterfoil.line_items.values import why_not_a_date

Texts = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some line items as records, what is needed of them while reading, and the line each came from."""

    table: LineItemTable
    records: pa.Array
    text_sizes: np.ndarray  # how much of each record are its texts
    digests: np.ndarray  # the SHA-256 of each, as rows of 32 bytes
    watched: pa.Table
    lines: np.ndarray  # int64, counted from 1 within the file

    @property
    def num_rows(self) -> int:
        """How many line items."""
        return len(self.lines)

    @property
    def items(self) -> pa.Table:
        """The line items as text columns: every column of the table, then Extra."""
        return records.unpacked(self.table, self.records)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column; one that is watched, or Extra."""
        return self.watched.column(name)

    def keep(self, mask: np.ndarray) -> Batch:
        """Return the rows where `mask` is true."""
        chosen = pa.array(mask)
        records, watched = self.records.filter(chosen), self.watched.filter(chosen)
        return Batch(self.table, records, self.text_sizes[mask], self.digests[mask], watched, self.lines[mask])


def of_located(table: LineItemTable, items: ValueSpans, lines: np.ndarray) -> Batch:
    """Build a batch from texts in some of the table's columns (and Extra)."""
    names = records.names_of(table)
    packed, sizes = items.records(len(names))
    watched = _watched(table)
    columns = items.columns([names.index(name) for name in watched])
    return Batch(table, packed, sizes, digest.digests_of(table, items), pa.table(columns, watched), lines)


def of_values(table: LineItemTable, values: Sequence[Mapping[str, str]], lines: Sequence[int]) -> Batch:
    """Build a batch from what the reference read: one mapping of column to text for each line item."""
    names = records.names_of(table)
    arrays = [pa.array([item.get(name) for item in values], pa.string()) for name in names]
    return of_located(table, ValueSpans.of_columns(arrays), np.array(lines, dtype=np.int64))


def _watched(table: LineItemTable) -> list[str]:
    """The columns that the checks, the totals and the sort key read."""
    required = [column.name for column in table.columns if column.required]
    others = ["PartnerId", "CustomerId", "InvoiceNumber", "SubscriptionId", table.currency, table.date, *table.totals]
    return list(dict.fromkeys([*required, *others, EXTRA]))


def of_columns(
    table: LineItemTable, columns: Sequence[tuple[Spelling, pa.Array]], lines: Sequence[int], extra: pa.Array | None
) -> tuple[Batch, np.ndarray]:
    """Build a batch from quickly read columns; also returns a mask of the rows the reference must look at.

    A column not given is absent in every row, and an empty number, date or flag is absent.
    """
    found: dict[str, pa.Array] = {}
    doubtful = np.zeros(len(lines), dtype=bool)
    unsure: np.ndarray | None
    for spelling, array in columns:
        column = spelling.column
        match column.type:
            case Type.NUMBER:
                stored, unsure = _numbers(spelling, array)
            case Type.DATE:
                stored, unsure = _by_unique(array, _date_or_none)
            case Type.FLAG:
                stored, unsure = _by_unique(array, _flag_or_none)
            case Type.TEXT:
                stored, unsure = _texts(spelling, array), None
        if unsure is not None:
            doubtful |= unsure
        found[column.name] = stored
    nothing = pa.nulls(len(lines), pa.string())
    arrays = [*(found.get(column.name, nothing) for column in table.columns), nothing if extra is None else extra]
    return of_located(table, ValueSpans.of_columns(arrays), np.asarray(lines, dtype=np.int64)), doubtful


def _texts(spelling: Spelling, array: pa.Array) -> pa.Array:
    if spelling.from_v1 and spelling.column.codec is Codec.RESELLER:
        return pc.if_else(pc.equal(array, "0"), "", array)
    return array


def _numbers(spelling: Spelling, array: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    empty = pc.equal(array, "")
    if pc.any(empty).as_py():
        array = pc.if_else(empty, pa.scalar(None, pa.string()), array)
    plain = pc.fill_null(pc.match_substring_regex(array, PLAIN_NUMBER), fill_value=True)
    unsure = ~plain.to_numpy(zero_copy_only=False)
    if spelling.from_v1 and spelling.column.codec is Codec.RATE:
        codes = pc.dictionary_encode(array)
        rates = [numbers.rate_to_percent(text) if _is_plain(text) else text for text in codes.dictionary.to_pylist()]
        array = pa.array(rates, pa.string()).take(codes.indices)
    return array, unsure if unsure.any() else None


def _is_plain(text: str) -> bool:
    return numbers.why_not_a_number(text) is None


def _date_or_none(text: str) -> str | None:
    return None if why_not_a_date(text) else text


def _flag_or_none(text: str) -> str | None:
    lowered = text.lower()
    return lowered if lowered in ("true", "false") else None


def _by_unique(array: pa.Array, accept: Callable[[str], str | None]) -> tuple[pa.Array, np.ndarray | None]:
    """Store what `accept` makes of each distinct text; an empty text is not a value; None leaves the row in doubt."""
    codes = pc.dictionary_encode(array)
    texts = codes.dictionary.to_pylist()
    stored = [accept(text) if text else None for text in texts]
    result = pa.array(stored, pa.string()).take(codes.indices)
    bad = [bool(text) and kept is None for text, kept in zip(texts, stored, strict=True)]
    if not any(bad):
        return result, None
    unsure = pa.array(bad, pa.bool_()).take(codes.indices)
    return result, pc.fill_null(unsure, fill_value=False).to_numpy(zero_copy_only=False)


def columns_of_kind(table: LineItemTable, names: Sequence[str]) -> list[Spelling | None]:
    """Return what each input name means, None for constants and unknown names."""
    return [table.spellings.get(name.lower()) for name in names]
