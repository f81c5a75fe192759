"""A batch: some line items as they were read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from counterfoil.columns import EXTRA, LineItemTable
from counterfoil.datasets import digest, records
from counterfoil.datasets.value_spans import ValueSpans


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


def _watched(table: LineItemTable) -> list[str]:
    """The columns that the checks, the totals and the sort key read."""
    required = [column.name for column in table.columns if column.required]
    others = ["PartnerId", "CustomerId", "InvoiceNumber", "SubscriptionId", table.currency, table.date, *table.totals]
    return list(dict.fromkeys([*required, *others, EXTRA]))
