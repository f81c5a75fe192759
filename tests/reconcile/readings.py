"""Sides in memory: in any order, as batches of the size that a test wants, or stored in order with digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.line_items.canonical import digest
from counterfoil.line_items.lake import DIGEST
from counterfoil.model import Kind
from counterfoil.reconcile.sides.side import Reading, Side, SidePart, Wants

Item = Mapping[str, str]


def reading(items: Sequence[Item], kind: Kind, *, at_once: int = 1000, coded: bool = False) -> Reading:
    """Line items as a side that nobody published, so in any order; `coded` gives texts as dictionaries."""

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(items), at_once):
            yield _batch(items[begin : begin + at_once], names, coded=coded)

    return Reading(Side(name="a side", what="a side", origin="file", kind=kind, batches=batches))


class StoredSide:
    """Line items as a published side: each part in order, with digests. `items` are in the order of the side.

    `read` has the parts that were read, with the attributes.
    """

    def __init__(self, parts: Sequence[Sequence[Item]], kind: Kind, *, digests: bool = True) -> None:
        table = table_of(kind)
        place = ("CustomerId", "SubscriptionId", table.date)
        ordered = [
            sorted(part, key=lambda item: (*(item.get(name) or "" for name in place), digest(item))) for part in parts
        ]
        self.items = list(chain(*ordered))
        self.read: list[tuple[int, tuple[str, ...]]] = []
        self._parts = [self._part(at, part, digests=digests) for at, part in enumerate(ordered)]
        self._kind = kind

    @property
    def reading(self) -> Reading:
        """The side, to be read once more."""
        first = self.items[0]
        return Reading(
            Side(
                name="a stored side",
                what="a stored side",
                origin="published",
                kind=self._kind,
                batches=lambda _: iter(()),
                partner=first["PartnerId"],
                currency=first[table_of(self._kind).currency],
                parts=tuple(self._parts),
            )
        )

    def _part(self, at: int, items: Sequence[Item], *, digests: bool) -> SidePart:
        def stretches(
            names: Sequence[str], *, line_items: int, wants: Wants | None = None
        ) -> Iterator[tuple[int, pa.RecordBatch]]:
            self.read.append((at, tuple(names)))
            for begin in range(0, len(items), line_items):
                some = items[begin : begin + line_items]
                if wants is None or wants(begin, begin + len(some)):
                    yield begin, _batch(some, names, coded=True)

        return SidePart(
            line_items=len(items),
            stretches=stretches,
            identity=str(hash(tuple(sorted(map(digest, items))))),
            in_order=True,
            digests=digests,
        )


def _batch(items: Sequence[Item], names: Sequence[str], *, coded: bool) -> pa.RecordBatch:
    columns = []
    for name in names:
        if name == DIGEST:
            columns.append(pa.array([digest(item) for item in items], pa.binary(32)))
        else:
            column = pa.array([item.get(name) for item in items], pa.string())
            columns.append(column.dictionary_encode() if coded else column)
    return pa.record_batch(columns, list(names))
