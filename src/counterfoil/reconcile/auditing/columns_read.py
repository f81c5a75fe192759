"""A batch as rules see it: each distinct tuple of the attributes that a rule reads, and how often it is there.

Attributes repeat far more than line items do, so a rule is asked once for each distinct tuple. Numbers stand for texts
until a tuple is known to be distinct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.reconcile.auditing.rule import SIGN_MARK

Texts = tuple[str | None, ...]
_NOT_ZERO: Final = r"^[^eE]*[1-9]"
_CODES_LIMIT: Final = 2**62


@dataclass(frozen=True, slots=True)
class DistinctTuples:
    """The distinct tuples of a batch: their texts, how many line items have each, and which one is the first."""

    texts: list[Texts]
    counts: list[int]
    rows: list[int]
    _codes: pa.Array
    _of_tuple: list[int]

    def rows_of(self, at: Sequence[int]) -> pa.Array:
        """Return which line items of the batch, counted from 0, have one of these tuples."""
        wanted = pa.array([self._of_tuple[each] for each in at], pa.int64())
        return pc.indices_nonzero(pc.is_in(self._codes, wanted))


class BatchColumns:
    """The columns of a batch, each numbered once however many rules read it."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self._numbered: dict[str, tuple[pa.Array, int]] = {}
        self._signs: dict[str, pa.Array] = {}
        self._dictionaries: dict[str, list[str | None]] = {}

    def texts(self, name: str, rows: pa.Array | None = None) -> list[str | None]:
        """Return the texts of a column, of all line items or of some."""
        column = self._column(name)
        column = column if rows is None else column.take(rows)
        if not pa.types.is_dictionary(column.type):
            found: list[str | None] = column.to_pylist()
            return found
        # One by one, Arrow takes microseconds for a text of a dictionary.
        if name not in self._dictionaries:
            self._dictionaries[name] = [*column.dictionary.to_pylist(), None]
        texts = self._dictionaries[name]
        return [texts[at] for at in column.indices.fill_null(len(texts) - 1).to_pylist()]

    def distinct(self, names: Sequence[str]) -> DistinctTuples:
        """Return the distinct tuples of these columns."""
        codes, _ = self._together(names)
        rows = pa.array(range(self.batch.num_rows), pa.int64())
        table = pa.table({"code": codes, "row": rows})
        found = table.group_by("code", use_threads=False).aggregate([("row", "min"), ("row", "count")])
        first = found["row_min"].combine_chunks()
        texts = list(zip(*(self.texts(name, first) for name in names), strict=True))
        return DistinctTuples(
            texts, found["row_count"].to_pylist(), first.to_pylist(), codes, found["code"].to_pylist()
        )

    def repeated(self, names: Sequence[str]) -> int:
        """Return how many line items are equal to one before them in all of these columns."""
        count: int = self.batch.num_rows
        codes, size = None, 1
        for name in names:
            mine, mine_size = self._numbers(name)
            codes, size = (mine, mine_size) if codes is None else _combined(codes, size, mine, mine_size)
            codes, size = _compressed(codes)
            if size == count:
                return 0
        return count - size

    def _column(self, name: str) -> pa.Array:
        if not name.startswith(SIGN_MARK):
            return self.batch.column(name)
        if name not in self._signs:
            self._signs[name] = _signs(self.batch.column(name.removeprefix(SIGN_MARK)))
        return self._signs[name]

    def _together(self, names: Sequence[str]) -> tuple[pa.Array, int]:
        codes, size = self._numbers(names[0])
        for name in names[1:]:
            codes, size = _combined(codes, size, *self._numbers(name))
        return codes, size

    def _numbers(self, name: str) -> tuple[pa.Array, int]:
        if name not in self._numbered:
            column = self._column(name)
            coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            size = len(coded.dictionary) + 1
            self._numbered[name] = coded.indices.cast(pa.int64()).fill_null(size - 1), size
        return self._numbered[name]


def _signs(texts: pa.Array) -> pa.Array:
    """Return -1, 0 or 1 for each amount, as texts. A digit behind an exponent makes no zero an amount."""
    if pa.types.is_dictionary(texts.type):
        return _signs(texts.dictionary.cast(pa.string())).take(texts.indices)
    sign = pc.if_else(pc.starts_with(texts, "-"), "-1", "1")
    return pc.if_else(pc.match_substring_regex(texts, _NOT_ZERO), sign, pc.if_else(pc.equal(texts, ""), "", "0"))


def _combined(codes: pa.Array, size: int, more: pa.Array, more_size: int) -> tuple[pa.Array, int]:
    if size * more_size >= _CODES_LIMIT:
        codes, size = _compressed(codes)
    return pc.add(pc.multiply(codes, pa.scalar(more_size, pa.int64())), more), size * more_size


def _compressed(codes: pa.Array) -> tuple[pa.Array, int]:
    coded = codes.dictionary_encode()
    return coded.indices.cast(pa.int64()), len(coded.dictionary)
