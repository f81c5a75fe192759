"""A batch: some line items as they were read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from counterfoil.columns import EXTRA, LineItemTable
from counterfoil.datasets.value_spans import ValueSpans


def names_of(table: LineItemTable) -> list[str]:
    """Return the columns of a line item in order: every column of the table, then Extra."""
    return [*(column.name for column in table.columns), EXTRA]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some line items, and the line each came from. Good until the reader goes on."""

    table: LineItemTable
    items: ValueSpans  # in the table's columns, then Extra
    lines: np.ndarray  # int64, counted from 1 within the file

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> pa.StringArray:
        """Return a column of the table, or Extra."""
        return self.items.columns([names_of(self.table).index(name)])[0]

    def keep(self, mask: np.ndarray) -> Batch:
        """Return the rows where `mask` is true."""
        items = ValueSpans(self.items.text, self.items.starts[mask], self.items.lengths[mask])
        return Batch(self.table, items, self.lines[mask])
