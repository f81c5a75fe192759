"""What deserves a look in line items that are otherwise good: values that were destroyed, and those that no API serves.

An id that was destroyed refuses its line where the basic set of attributes has it, because those are the ids that line
items are matched by; everywhere else the text is kept as it is, and counted in a warning. Every text of every line item
is looked at, so most must be passed over at once: by its first byte and its length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow.compute as pc

from counterfoil.columns import Column, LineItemTable, Type, table_of
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.flagged import Flagged
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
_NEEDED, _LOST, _SHORTENED = "needed", "lost", "shortened"


class Findings:
    """Looks at the line items of one segment, and flags entries of their dictionaries."""

    def __init__(self, dataset: Dataset, flagged: Flagged) -> None:
        self._table, self._flagged = table_of(dataset.kind), flagged
        served = {"notInGraph": [column.graph for column in self._table.columns]}
        if not dataset.scope.is_billed:  # v1 serves unbilled data only
            served["notInV1"] = [column.v1 is not None for column in self._table.columns]
        self._unserved = [
            (f"{sort} {column.name}", number)
            for sort, flags in served.items()
            for number, (column, flag) in enumerate(zip(self._table.columns, flags, strict=True))
            if not flag
        ]

    def look(self, batch: Batch, codes: np.ndarray, rows: np.ndarray) -> None:
        """Look at the texts in some rows, which are all that have entries not seen before."""
        columns, longest = _sought(self._table)
        starts, lengths = (its[rows].take(columns, axis=1) for its in (batch.items.starts, batch.items.lengths))
        firsts = batch.items.text.array[np.maximum(starts, 0)]
        suspected = (starts >= 0) & (lengths > 0) & (lengths <= longest[np.arange(len(columns)), firsts])
        places = np.flatnonzero(suspected.any(axis=0)).tolist()
        suspects = ValueSpans(batch.items.text, np.where(suspected, starts, -1), lengths)
        for place, texts in zip(places, suspects.columns(places), strict=True):
            number = int(columns[place])
            column, encoded = self._table.columns[number], pc.dictionary_encode(texts)
            flagged: dict[str, list[int]] = {}
            for code, text in enumerate(encoded.dictionary.to_pylist()):
                for sort in _verdicts(text, column):
                    flagged.setdefault(sort, []).append(code)
            for sort, its in flagged.items():
                found = rows[np.isin(encoded.indices.fill_null(-1).to_numpy(), its)]
                self._flagged.add(sort, number, codes[self._flagged.group_of[number], found])

    def lost(self, batch: Batch, codes: np.ndarray, among: np.ndarray, on_refused: OnRefused) -> np.ndarray:
        """Return which of some line items lack an id that is needed, and tell `on_refused` of them."""
        found = np.zeros(len(batch), dtype=bool)
        for column, flags in self._flagged.rows(_NEEDED, codes):
            name = self._table.columns[column].name
            for row in np.flatnonzero(flags & among & ~found):
                text = batch.column(name)[int(row)].as_py()
                reason = why_lost(text, is_id=True)
                assert reason is not None  # that is why it was flagged
                on_refused(int(batch.lines[row]), Refused(reason, name, text, REMEDY))
                found[row] = True
        return found

    def counts(self, batch: Batch, codes: np.ndarray) -> Counter[str]:
        """Return how many line items deserve a look, by the warning about them: its sort, and an attribute."""
        found: Counter[str] = Counter()
        for sort in (_LOST, _SHORTENED):
            for column, flags in self._flagged.rows(sort, codes):
                found[f"{sort} {self._table.columns[column].name}"] = int(np.count_nonzero(flags))
        for warning, column in self._unserved:
            there = (batch.items.starts[:, column] >= 0) & (batch.items.lengths[:, column] > 0)
            found[warning] = int(np.count_nonzero(there))
        return +found


@lru_cache(maxsize=4)
def _sought(table: LineItemTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns whose texts may be lost, and how long one is at most that begins with a byte and is."""
    columns = [number for number, column in enumerate(table.columns) if column.type is Type.TEXT]
    longest = np.zeros((len(columns), 256), dtype=np.int32)
    for its, column in zip(longest, columns, strict=True):
        if table.columns[column].is_id:
            its[list(ID_BEGINS.encode())] = LOST_ID_LENGTH_MAX
        its[list(TEXT_BEGINS.encode())] = LOST_LENGTH_MAX
    return np.array(columns, dtype=np.int32), longest


def _verdicts(text: str, column: Column) -> Iterator[str]:
    if why_lost(text, is_id=column.is_id) is not None:
        yield _NEEDED if column.is_id and column.basic else _LOST
    if column.is_id and not column.digits and len(text) <= _SHORT and text.isdecimal():
        yield _SHORTENED
