"""Sides in memory, as batches of the size that a test wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from counterfoil.model import Kind
from counterfoil.reconcile.sides.side import Reading, Side


def reading(items: Sequence[Mapping[str, str]], kind: Kind, *, at_once: int = 1000, coded: bool = False) -> Reading:
    """Line items as a side that nobody published, so in any order; `coded` gives texts as dictionaries."""

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(items), at_once):
            some = items[begin : begin + at_once]
            columns = [pa.array([item.get(name) for item in some], pa.string()) for name in names]
            yield pa.record_batch([each.dictionary_encode() if coded else each for each in columns], list(names))

    return Reading(Side(name="a side", what="a side", origin="file", kind=kind, batches=batches))
