"""What deserves a look in line items that are otherwise good: values that were destroyed, and those that no API serves.

An id that was destroyed refuses its line where the basic set of attributes has it, because those are the ids that line
items are matched by; everywhere else the text is kept as it is, and counted in a warning. Every text of every line item
is looked at, so most must be passed over at once: by its first byte and its length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from counterfoil.columns import Column, Type, table_of
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.coded import Coder
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.line_items.lost_values import (
    ID_BEGINS,
    LOST_ID_LENGTH_MAX,
    LOST_LENGTH_MAX,
    REMEDY,
    TEXT_BEGINS,
    why_lost,
)
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import Dataset

_SHORT: Final = 3  # digits that a spreadsheet leaves of 0007 at most: a SkuId has four at least


class Findings:
    """Looks at the line items of one segment."""

    def __init__(self, dataset: Dataset, coder: Coder) -> None:
        columns = table_of(dataset.kind).columns
        self._names = [column.name for column in columns]
        self._groups: list[_GroupFindings] = []
        for number, group in enumerate(coder.groups):
            its = [(place - group.columns[0], columns[place]) for place in group.columns if place < len(columns)]
            sought = [(place, column, [*_warnings_of(column, dataset)]) for place, column in its]
            if any(warnings for _, _, warnings in sought):
                self._groups.append(_GroupFindings(coder, number, sought))

    def lost(self, batch: Batch, codes: np.ndarray, among: np.ndarray, on_refused: OnRefused) -> np.ndarray:
        """Return which of some line items lack an id that is needed, and tell `on_refused` of them."""
        found = np.zeros(len(batch), dtype=bool)
        for group in self._groups:
            for name, flags in group.flags("needed"):
                for row in np.flatnonzero(flags[codes[group.number]] & among & ~found):
                    text = batch.column(name)[int(row)].as_py()
                    reason = why_lost(text, is_id=True)
                    assert reason is not None  # that is why it was flagged
                    on_refused(int(batch.lines[row]), Refused(reason, name, text, REMEDY))
                    found[row] = True
        return found

    def counts(self, codes: np.ndarray) -> Counter[str]:
        """Return how many line items deserve a look, by the warning about them: its sort, and an attribute."""
        found: Counter[str] = Counter()
        for group in self._groups:
            for sort in ("lost", "shortened", "notInGraph", "notInV1"):
                for name, flags in group.flags(sort):
                    found[f"{sort} {name}"] = int(np.count_nonzero(flags[codes[group.number]]))
        return +found


def _warnings_of(column: Column, dataset: Dataset) -> Iterator[str]:
    if column.type is Type.TEXT:
        yield "needed" if column.is_id and column.basic else "lost"
        if column.is_id and not column.digits:
            yield "shortened"
    if not column.graph:
        yield "notInGraph"
    if column.v1 is None and not dataset.scope.is_billed:  # v1 serves unbilled data only
        yield "notInV1"


class _GroupFindings:
    """The entries of one group of columns that deserve a look. Nearly always there is none."""

    def __init__(self, coder: Coder, number: int, sought: list[tuple[int, Column, list[str]]]) -> None:
        self.number = number
        self._coder, self._sought = coder, sought
        self._flags: dict[tuple[str, str], np.ndarray] = {}
        self._seen, self._times_cleared = 0, coder.times_cleared

    def flags(self, sort: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the attributes that this is to be said of, and whether it is of each entry."""
        dictionary = self._coder.dictionaries[self.number]
        if self._times_cleared != self._coder.times_cleared:
            self._flags.clear()
            self._seen, self._times_cleared = 0, self._coder.times_cleared
        if self._seen < len(dictionary):
            self._look(dictionary.since(self._seen).spans(len(dictionary.group.columns)), len(dictionary))
            self._seen = len(dictionary)
        for (found, name), flags in self._flags.items():
            if found == sort:
                yield name, flags

    def _look(self, new: ValueSpans, size: int) -> None:
        there = new.starts >= 0
        lengths = np.where(there, new.lengths, 0)
        firsts = np.where(lengths > 0, new.text.array[np.where(there, new.starts, 0)], 0)
        for key, flags in self._flags.items():
            self._flags[key] = np.concatenate([flags, np.zeros(size - len(flags), dtype=bool)])
        for place, column, warnings in self._sought:
            suspects = {sort: _suspects(sort, column, firsts[:, place], lengths[:, place]) for sort in warnings}
            if not any(len(rows) for rows in suspects.values()):
                continue
            texts = new.columns([place])[0]
            for sort, rows in suspects.items():
                sure = [row for row in rows.tolist() if _deserves(sort, column, texts[row].as_py())]
                if sure:
                    flags = self._flags.setdefault((sort, column.name), np.zeros(size, dtype=bool))
                    flags[np.array(sure) + self._seen] = True


def _deserves(sort: str, column: Column, text: str) -> bool:
    if sort in ("needed", "lost"):
        return why_lost(text, is_id=column.is_id) is not None
    return sort != "shortened" or text.isdecimal()


def _suspects(sort: str, column: Column, firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the rows whose text may deserve a look, by its first byte and its length."""
    if sort == "shortened":
        return np.flatnonzero((lengths >= 1) & (lengths <= _SHORT) & (firsts >= ord("0")) & (firsts <= ord("9")))
    if sort in ("notInGraph", "notInV1"):
        return np.flatnonzero(lengths)
    suspected = _TEXT_BEGINS[firsts] & (lengths <= LOST_LENGTH_MAX)
    if column.is_id:
        suspected |= _ID_BEGINS[firsts] & (lengths <= LOST_ID_LENGTH_MAX)
    return np.flatnonzero(suspected)


def _table(signs: str) -> np.ndarray:
    table = np.zeros(256, dtype=bool)
    table[list(signs.encode())] = True
    return table


_TEXT_BEGINS: Final = _table(TEXT_BEGINS)
_ID_BEGINS: Final = _table(ID_BEGINS)
