"""Matches a ledger with a bill by key: sums that are equal are counted, and the others are yielded as pairs of sums.

Sides of many lines are cut into parts by their keys, on disk, so that the sums of one part are all that is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.errors import SideError
from counterfoil.reconcile.explaining import arithmetic
from counterfoil.reconcile.ledger_matching.key_sums import KEY, KeySum, SideSums, with_keys
from counterfoil.reconcile.ledger_matching.margins import Margins
from counterfoil.reconcile.matching import MatchedLines, Stage
from counterfoil.reconcile.sides.ledgers.ledger_keys import ids_that_count
from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerMapping
from counterfoil.reconcile.sides.side import Reading

_LINES_IN_A_PART: Final = 200_000
_PARTS_MAX: Final = 128
_WAYS: Final = (arithmetic.HALF_UP, arithmetic.HALF_EVEN, arithmetic.CUT, arithmetic.FLOOR)
_CENTS: Final = 2  # two decimals at least: an amount of 24 is one of 24.00
_ZERO: Final = Decimal(0)


class LedgerMatching:
    """The sums of a ledger and a bill that differ; iterate once. All else is complete after the last.

    `counts` are keys by stage, `with_partner` the lines of left and right whose key the other side has too, and
    `margins` what was earned, where the ledger has sale prices.
    """

    def __init__(
        self,
        left: Reading,
        right: Reading,
        mapping: LedgerMapping,
        *,
        scratch: Path,
        line_items: int,
        lines_in_a_part: int = _LINES_IN_A_PART,
    ) -> None:
        """Take both sides, made to tell alike; `line_items` is about how many they have together."""
        self.counts = Counter[Stage]()
        self.with_partner = (0, 0)
        self.margins = Margins() if mapping.has_sales else None
        self._sides, self._mapping, self._scratch = (left, right), mapping, scratch
        self._keys = ids_that_count(mapping.keys)
        self._parts = min(_PARTS_MAX, 1 + line_items // lines_in_a_part)
        self._sums = tuple(_sums_of(reading, mapping) for reading in self._sides)

    def __iter__(self) -> Iterator[MatchedLines]:
        """Yield what differs; raises SideError if the sides have no key in common."""
        for left, right in self._parts_of_both():
            sums = self._sums[0].summed(left), self._sums[1].summed(right)
            for key in sorted(sums[0].keys() | sums[1].keys()):
                matched = self._matched(sums[0].get(key), sums[1].get(key))
                if matched is not None:
                    yield matched
        if not any(self.with_partner):
            left_side, right_side = (reading.side for reading in self._sides)
            raise SideError(
                f"{left_side.name} and {right_side.name} have nothing in common by {self._told_keys}, so nothing could "
                "be compared.",
                remedy="Translate the ledger's ids under [values] of its mapping, or map fewer columns.",
                parameter="mapping",
            )

    @property
    def _told_keys(self) -> str:
        return ", ".join(self._mapping.matched_by)

    def _matched(self, left: KeySum | None, right: KeySum | None) -> MatchedLines | None:
        self._add_margin(left, right)
        if left is None or right is None:
            self.counts[Stage.ONE_SIDE] += 1
            of_left = () if left is None else (self._sums[0].line(left),)
            of_right = () if right is None else (self._sums[1].line(right),)
            return MatchedLines(Stage.ONE_SIDE, of_left, of_right)
        self.with_partner = (self.with_partner[0] + left.lines, self.with_partner[1] + right.lines)
        if _are_equal(left, right):
            self.counts[Stage.IDENTICAL] += 1
            return None
        self.counts[Stage.SAME_CHARGE] += 1
        mine, theirs = self._sums[0].line(left), self._sums[1].line(right)
        exact = _side_before_rounding(left, right)
        if exact is not None and (left, right)[exact].lines > 1:
            mine = self._sums[0].as_one_piece(mine, is_exact=exact == 0)
            theirs = self._sums[1].as_one_piece(theirs, is_exact=exact == 1)
        return MatchedLines(Stage.SAME_CHARGE, (mine,), (theirs,))

    def _add_margin(self, left: KeySum | None, right: KeySum | None) -> None:
        if self.margins is None:
            return
        at = 0 if self._sides[0].side.ledger is not None else 1
        ledger, bill = (left, right) if at == 0 else (right, left)
        named = (ledger, self._sums[at]) if bill is None else (bill, self._sums[1 - at])
        assert named[0] is not None
        revenue = ledger.sale if ledger else _ZERO
        cost = bill.net if bill else _ZERO
        self.margins.add(named[1].customer_of(named[0]), named[1].product_of(named[0]), revenue, cost)

    def _parts_of_both(self) -> Iterator[tuple[Iterable[pa.RecordBatch], Iterable[pa.RecordBatch]]]:
        read = [_keyed(reading, sums.names, self._keys) for reading, sums in zip(self._sides, self._sums, strict=True)]
        if self._parts == 1:
            yield read[0], read[1]
            return
        left, right = (
            _cut(batches, self._scratch / f"ledger-{name}", self._parts)
            for batches, name in zip(read, ("left", "right"), strict=True)
        )
        for mine, theirs in zip(left, right, strict=True):
            yield _read(mine), _read(theirs)


def _sums_of(reading: Reading, mapping: LedgerMapping) -> SideSums:
    side = reading.side
    return SideSums(side.kind, side.name, has_sales=side.ledger is not None and mapping.has_sales)


def _are_equal(left: KeySum, right: KeySum) -> bool:
    quantities = left.quantity, right.quantity
    return (left.net, left.tax, left.total) == (right.net, right.tax, right.total) and (
        None in quantities or quantities[0] == quantities[1]
    )


def _side_before_rounding(left: KeySum, right: KeySum) -> int | None:
    """Return which side's net is the other's before it was rounded; None if they differ by more, or in quantity."""
    if None not in (left.quantity, right.quantity) and left.quantity != right.quantity:
        return None
    for at, exact, rounded in ((0, left.net, right.net), (1, right.net, left.net)):
        unit = arithmetic.ONE.scaleb(-max(_CENTS, arithmetic.places_shown(rounded)), numbers.ROUNDING)
        if any(arithmetic.rounded(exact, unit, way) == rounded for way in _WAYS):
            return at
    return None


def _keyed(reading: Reading, names: Sequence[str], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    number = 1
    for batch in reading.batches(names):
        chosen = batch.select(list(names)) if batch.schema.names != list(names) else batch
        yield with_keys(chosen, keys, number)
        number += batch.num_rows


def _cut(batches: Iterator[pa.RecordBatch], folder: Path, parts: int) -> list[Path]:
    """Write lines to files by their key; what has one key is in one file."""
    folder.mkdir()
    paths = [folder / f"{part}.arrow" for part in range(parts)]
    writers: dict[int, pa.RecordBatchFileWriter] = {}
    with ExitStack() as opened:
        for batch in batches:
            coded = batch.column(KEY).dictionary_encode()
            of_keys = pa.array([_part_of(key, parts) for key in coded.dictionary.to_pylist()], pa.int32())
            part_of_line = of_keys.take(coded.indices)
            for part in pc.unique(part_of_line).to_pylist():
                lines = batch.filter(pc.equal(part_of_line, part))
                plain = pa.RecordBatch.from_arrays(list(map(_decoded, lines.columns)), names=lines.schema.names)
                if part not in writers:
                    writers[part] = opened.enter_context(pa.ipc.new_file(str(paths[part]), plain.schema))
                writers[part].write_batch(plain)
    return paths


def _part_of(key: str, parts: int) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") % parts


def _decoded(column: pa.Array) -> pa.Array:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _read(path: Path) -> Iterator[pa.RecordBatch]:
    if path.exists():
        with pa.memory_map(str(path)) as source:
            file = pa.ipc.open_file(source)
            for at in range(file.num_record_batches):
                yield file.get_batch(at)
        path.unlink()
