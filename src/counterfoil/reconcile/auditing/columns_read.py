"""A batch as rules see it: each distinct tuple of the attributes that a rule reads, and its amounts as decimals.

Attributes repeat far more than line items do, so a rule is asked once for each distinct tuple. Numbers stand for texts
until a tuple is known to be distinct.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.excerpts import excerpt_and_name, excerpts_of
from counterfoil.reconcile.auditing.rule import own_name
from counterfoil.reconcile.text_decimals import decimals_of

Texts = tuple[str | None, ...]
_CODES_LIMIT: Final = 2**62


@dataclass(frozen=True, slots=True)
class DistinctTuples:
    """The distinct tuples of a batch: their texts, how many line items have each, and which one is the first.

    `sums`: of each column of addends that was given, what it adds up to for each tuple.
    """

    texts: list[Texts]
    counts: list[int]
    rows: list[int]
    _codes: pa.Array
    _of_tuple: list[int]
    _looked_at: pa.Array
    sums: list[list[Decimal]]

    def places(self) -> pa.Array:
        """Return which of the tuples each line item has, by its place in `texts`."""
        return pc.index_in(self._codes, pa.array(self._of_tuple, pa.int64()))

    def rows_of(self, at: Sequence[int]) -> pa.Array:
        """Return which line items of the batch, counted from 0, have one of these tuples."""
        wanted = pa.array([self._of_tuple[each] for each in at], pa.int64())
        return self._looked_at.filter(pc.is_in(self._codes, wanted))


class BatchColumns:
    """The columns of a batch of one kind, each numbered and parsed once however many rules read it."""

    def __init__(self, batch: pa.RecordBatch, kind: Kind) -> None:
        self.batch, self.kind = batch, kind
        self.line_items: int = batch.num_rows
        self._numbered: dict[str, tuple[pa.Array, int]] = {}
        self._excerpts: dict[str, pa.Array] = {}
        self._decimals: dict[tuple[str, pa.DataType], pa.Array] = {}
        self._dictionaries: dict[str, list[str | None]] = {}

    @cached_property
    def rows(self) -> pa.Array:
        """The number of each line item in the batch, from 0."""
        return pa.array(range(self.line_items), pa.int64())

    def texts(self, name: str, rows: pa.Array | None = None) -> list[str | None]:
        """Return the texts of a column, of all line items or of some."""
        column = self.column(name)
        column = column if rows is None else column.take(rows)
        if not pa.types.is_dictionary(column.type):
            found: list[str | None] = column.to_pylist()
            return found
        # One by one, Arrow takes microseconds for a text of a dictionary.
        if name not in self._dictionaries:
            self._dictionaries[name] = [*column.dictionary.to_pylist(), None]
        texts = self._dictionaries[name]
        return [texts[at] for at in column.indices.fill_null(len(texts) - 1).to_pylist()]

    def decimals(self, name: str, wanted: pa.DataType) -> pa.Array:
        """Return a column of numbers as decimals; null where there is none, or none that the type holds exactly."""
        key = name, wanted
        if key not in self._decimals:
            self._decimals[key] = decimals_of(self.column(name), wanted)
        return self._decimals[key]

    def mapped(self, names: Sequence[str], function: Callable[..., object], wanted: pa.DataType) -> pa.Array:
        """Return what a function makes of the texts of some columns; it is called once for each distinct tuple."""
        if len(names) > 1:
            found = self.distinct(names)
            results = pa.array([function(*texts) for texts in found.texts], wanted)
            return results.take(found.places())
        codes, _ = self._numbers(names[0])
        column = self.column(names[0])
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        return pa.array([function(text) for text in [*coded.dictionary.to_pylist(), None]], wanted).take(codes)

    def is_given(self, name: str) -> pa.Array:
        """Return whether each line item has a text that is not empty; never null."""
        column = self.column(name)
        if pa.types.is_dictionary(column.type):
            given = pc.not_equal(column.dictionary.cast(pa.string()), "").take(column.indices)
        else:
            given = pc.not_equal(column, "")
        return pc.fill_null(given, fill_value=False)

    def distinct(
        self, names: Sequence[str], looked_at: pa.Array | None = None, addends: Sequence[pa.Array] = ()
    ) -> DistinctTuples:
        """Return the distinct tuples of these columns among all line items, or only among those `looked_at`.

        `addends` are decimals, one for each line item that is looked at, of which no sum can exceed their widest type.
        """
        codes, _ = self._together(names)
        if looked_at is not None:
            codes = codes.take(looked_at)
        rows = self.rows if looked_at is None else looked_at
        added = {f"addend{at}": each for at, each in enumerate(addends)}
        wanted = [("row", "min"), ("row", "count"), *((name, "sum") for name in added)]
        found = pa.table({"code": codes, "row": rows, **added}).group_by("code", use_threads=False).aggregate(wanted)
        first = found["row_min"].combine_chunks()
        return DistinctTuples(
            list(zip(*(self.texts(name, first) for name in names), strict=True)),
            found["row_count"].to_pylist(),
            first.to_pylist(),
            codes,
            found["code"].to_pylist(),
            rows,
            [found[f"{name}_sum"].to_pylist() for name in added],
        )

    def repeated(self, names: Sequence[str]) -> int:
        """Return how many line items are equal to one before them in all of these columns.

        Only those that are equal in the columns so far are looked at in the next one.
        """
        rows, codes = self.rows, pa.repeat(pa.scalar(0, pa.int64()), self.line_items)
        for name in names:
            mine, size = _numbered(self.column(name).take(rows)) if len(rows) < self.line_items else self._numbers(name)
            codes, _ = _combined(codes, len(rows), mine, size)
            codes, distinct = _compressed(codes)
            if distinct == len(codes):
                return 0
            kept = _shared(codes)
            rows, codes = rows.filter(kept), _compressed(codes.filter(kept))[0]
        return len(rows) - len(codes.unique())

    def column(self, name: str) -> pa.Array:
        """Return a column, or an excerpt of it, as texts or as a dictionary of texts."""
        excerpt, attribute = excerpt_and_name(own_name(name, self.kind))
        if excerpt is None:
            return self.batch.column(attribute)
        if name not in self._excerpts:
            self._excerpts[name] = excerpts_of(excerpt, self.batch.column(attribute))
        return self._excerpts[name]

    def _together(self, names: Sequence[str]) -> tuple[pa.Array, int]:
        codes, size = self._numbers(names[0])
        for name in names[1:]:
            codes, size = _combined(codes, size, *self._numbers(name))
        return codes, size

    def _numbers(self, name: str) -> tuple[pa.Array, int]:
        if name not in self._numbered:
            self._numbered[name] = _numbered(self.column(name))
        return self._numbered[name]


def _numbered(column: pa.Array) -> tuple[pa.Array, int]:
    """Return a number for each text, and how many there may be; null is the last of them."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    size = len(coded.dictionary) + 1
    return coded.indices.cast(pa.int64()).fill_null(size - 1), size


def _combined(codes: pa.Array, size: int, more: pa.Array, more_size: int) -> tuple[pa.Array, int]:
    if size * more_size >= _CODES_LIMIT:
        codes, size = _compressed(codes)
    return pc.add(pc.multiply(codes, pa.scalar(more_size, pa.int64())), more), size * more_size


def _compressed(codes: pa.Array) -> tuple[pa.Array, int]:
    coded = codes.dictionary_encode()
    return coded.indices.cast(pa.int64()), len(coded.dictionary)


def _shared(codes: pa.Array) -> pa.Array:
    """Return whether another line item has the same code, for each of them."""
    counts = pc.value_counts(codes)
    alone = counts.field("values").filter(pc.equal(counts.field("counts"), 1))
    return pc.invert(pc.is_in(codes, alone))
