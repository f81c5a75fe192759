"""Line items as records: one run of bytes for each, which is sorted and kept until it is sealed.

    record = the texts of all columns, each followed by U+0000, then one byte for each column that is null: its number,
             counted from 1

Moving one run of bytes is several times cheaper than moving a text in each of sixty columns.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from counterfoil.columns import EXTRA, LineItemTable
from counterfoil.datasets.value_spans import ValueSpans, offsets_of


def names_of(table: LineItemTable) -> list[str]:
    """Return the columns of a record in order: every column of the table, then Extra."""
    return [*(column.name for column in table.columns), EXTRA]


def unpacked(table: LineItemTable, records: pa.Array) -> pa.Table:
    """Return line items as columns of text."""
    names = names_of(table)
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.table(ValueSpans.of_records([records], len(names)).columns(range(len(names))), schema=schema)


def within(records: pa.Array, count_max: int, size_bytes_max: int) -> int:
    """Return how many of the first records stay below both limits."""
    offsets = offsets_of(records)
    below = int(np.searchsorted(offsets, offsets[0] + size_bytes_max, side="right")) - 1
    return min(below, count_max, len(records))


def size_of(records: pa.Array) -> int:
    """Return the bytes that the records take."""
    offsets = offsets_of(records)
    return int(offsets[-1] - offsets[0])
