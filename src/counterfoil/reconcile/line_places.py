"""Finding one line item of a side: by its number, from 1, or by the beginning of its SHA-256.

Published line items have their digests beside them, so only these are read; of any other side each is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import EXTRA, table_of
from counterfoil.errors import UsageError
from counterfoil.line_items.canonical import digest
from counterfoil.line_items.lake import DIGEST
from counterfoil.model import Kind
from counterfoil.reconcile.sides.side import Reading, SidePart

Attributes = Mapping[str, str | None]
Found = tuple[int, Attributes]
_AT_ONCE: Final = 100_000


def _all_names(kind: Kind) -> list[str]:
    return [*(column.name for column in table_of(kind).columns), EXTRA]


def line_by_number(reading: Reading, number: int, progress: Callable[[int], None]) -> Found:
    """Return the line item of this number; raises UsageError where there are not so many."""
    before = 0
    for batch in reading.batches(_all_names(reading.side.kind)):
        if number <= before + batch.num_rows:
            [row] = batch.slice(number - before - 1, 1).to_pylist()
            return number, row
        before += batch.num_rows
        progress(batch.num_rows)
    raise UsageError(
        f"{reading.side.name} holds {before:,} line items, and no number {number:,}.",
        remedy="Line items are counted from 1, in the order of the side.",
    )


def line_by_digest(reading: Reading, wanted: str, progress: Callable[[int], None]) -> Found:
    """Return the line item whose digest begins so; raises UsageError where there is none, or several that differ."""
    found: list[Found] = []
    for number, row in _with_digest(reading, wanted, progress):
        if found and digest(found[0][1]) != digest(row):
            raise UsageError(
                f"Several digests of {reading.side.name} begin with {wanted}: those of line items {found[0][0]:,} and "
                f"{number:,}.",
                remedy="Give more of its digits.",
            )
        found.append((number, row))
    if not found:
        raise UsageError(
            f"No line item of {reading.side.name} has a digest that begins with {wanted}.",
            remedy="Digests are those of the canonical form, as `counterfoil explain` shows them.",
        )
    return found[0]


def _with_digest(reading: Reading, wanted: str, progress: Callable[[int], None]) -> Iterator[Found]:
    """Yield the line items whose digest begins so, by the stored digests where there are such."""
    names = _all_names(reading.side.kind)
    parts = reading.side.parts
    if not (reading.takes_all and parts and all(part.digests for part in parts)):
        before = 0
        for batch in reading.batches(names):
            for at, row in enumerate(batch.to_pylist()):
                if digest(row).hex().startswith(wanted):
                    yield before + at + 1, row
            before += batch.num_rows
            progress(batch.num_rows)
        return
    before = 0
    for part in parts:
        for place, batch in reading.stretches(part, [DIGEST], line_items=_AT_ONCE):
            for at in _beginning_so(batch.column(0), wanted):
                yield before + place + at + 1, _row_at(reading, part, names, place + at)
            progress(batch.num_rows)
        before += part.line_items


def _beginning_so(digests: pa.Array, wanted: str) -> list[int]:
    whole_bytes = bytes.fromhex(wanted[: len(wanted) // 2 * 2])
    near: list[int] = pc.indices_nonzero(pc.starts_with(digests.cast(pa.binary()), whole_bytes)).to_pylist()
    return [at for at in near if digests[at].as_py().hex().startswith(wanted)]


def _row_at(reading: Reading, part: SidePart, names: list[str], at: int) -> Attributes:
    for place, batch in reading.stretches(part, names, line_items=_AT_ONCE, wants=lambda begin, end: begin <= at < end):
        if place <= at < place + batch.num_rows:
            [row] = batch.slice(at - place, 1).to_pylist()
            found: Attributes = row
            return found
    raise AssertionError("a line item whose digest was read is there")
