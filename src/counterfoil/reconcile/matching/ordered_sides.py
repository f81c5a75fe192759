"""A side as streams of lines in the order of their places, whether it was stored so or is sorted first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.line_items.lake import DIGEST
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.sorting import PIECE_LINES, OrderCheck, Run, sorted_runs
from counterfoil.reconcile.matching.windows import Piece, Pieces, Stream
from counterfoil.reconcile.sides.side import Reading, SidePart, Wants

_PIECE_LINES_MIN: Final = 2_000
_LINES_AT_ONCE: Final = 400_000  # of all streams together


class OrderedSide:
    """Reads a side in order. `folder` is for what has to be sorted on disk.

    `parts` are those that are stored in order, none where the side is sorted here; `line_items` counts all lines.
    """

    def __init__(self, reading: Reading, keys: LineKeys, folder: Path) -> None:
        self._reading, self._keys = reading, keys
        self._width = len(keys.place)
        self.parts: tuple[SidePart, ...] = ()
        self._begins: list[int] = []
        self._runs: list[Run] = []
        self.line_items = 0
        if not self._is_stored_in_order():
            self._runs = sorted_runs(self._counted(), self._width, keys.alone, folder)
        reading.line_items = self.line_items
        reading.refuse_none()

    @property
    def columns(self) -> tuple[str, ...]:
        """All attributes, those of the place first."""
        return (*self._keys.place, *(name for name in self._keys.names if name not in self._keys.place))

    @property
    def has_digests(self) -> bool:
        """Whether each line's digest can be read."""
        return bool(self.parts) and self._reading.takes_all and all(part.digests for part in self.parts)

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return len(self.parts) or len(self._runs)

    def all_lines(self, streams: int) -> list[Stream]:
        """Return the streams of all attributes; `streams` is how many are read together."""
        at_once = _at_once(streams)
        if not self.parts:
            return [Stream(run(at_once), self._width) for run in self._runs]
        return [Stream(self._pieces(at, self.columns, at_once), self._width) for at in range(len(self.parts))]

    def digests(self, skipped: Collection[int], streams: int) -> list[Stream]:
        """Return the streams of places and digests, some parts left out."""
        names = (*self._keys.place, DIGEST)
        chosen = [at for at in range(len(self.parts)) if at not in skipped]
        return [Stream(self._pieces(at, names, _at_once(streams)), self._width) for at in chosen]

    def marked(self, marks: bytearray, skipped: Collection[int], streams: int) -> list[Stream]:
        """Return the streams of the lines with a mark, which is a byte for each line that is not 0."""
        chosen = [at for at in range(len(self.parts)) if at not in skipped]
        return [Stream(self._marked(at, marks, _at_once(streams)), self._width) for at in chosen]

    def skipped_digests(self, skipped: Collection[int]) -> Iterator[pa.Array]:
        """Yield the digests of some parts."""
        for at in sorted(skipped):
            for piece in self._pieces(at, (DIGEST,), PIECE_LINES):
                yield piece.batch.column(0)

    def places(self, skipped: Collection[int]) -> Iterator[Pieces]:
        """Yield the places of the lines of some parts."""
        for at in sorted(skipped):
            for piece in self._pieces(at, self._keys.place, PIECE_LINES):
                yield [piece]

    def _counted(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reading.batches(self.columns):
            self.line_items += batch.num_rows
            yield batch.select(list(self.columns))

    def _is_stored_in_order(self) -> bool:
        """Tell whether all parts are, and note where each begins."""
        reading, counts = self._reading, list[int]()
        for part in reading.side.parts:
            if part.in_order and reading.takes_all:
                counts.append(part.line_items)
                continue
            check, lines = OrderCheck(), 0
            for _, batch in reading.stretches(part, self._keys.place, line_items=PIECE_LINES):
                check.add(batch.columns[: self._width])
                lines += batch.num_rows
                if not check.in_order:
                    return False
            counts.append(lines)
        if not counts:
            return False
        self.parts = reading.side.parts
        self._begins = [0, *accumulate(counts)]
        self.line_items = self._begins[-1]
        return True

    def _pieces(self, at: int, names: Sequence[str], line_items: int, wants: Wants | None = None) -> Iterator[Piece]:
        begin = self._begins[at]
        for place, batch in self._reading.stretches(self.parts[at], names, line_items=line_items, wants=wants):
            yield Piece(batch, begin + place)

    def _marked(self, at: int, marks: bytearray, line_items: int) -> Iterator[Piece]:
        begin = self._begins[at]

        def has_marks(first: int, end: int) -> bool:
            return marks.count(0, begin + first, begin + end) < end - first

        for piece in self._pieces(at, self.columns, line_items, has_marks):
            assert isinstance(piece.numbers, int)
            first, end = piece.numbers, piece.numbers + len(piece)
            if numbers := _marked(marks, first, end):
                rows = pa.array([number - first for number in numbers], pa.int64())
                yield Piece(piece.batch.take(rows), pa.array(numbers, pa.int64()))


def _marked(marks: bytearray, first: int, end: int) -> list[int]:
    if marks.count(0, first, end) == end - first:
        return []
    return [number for number in range(first, end) if marks[number]]


def _at_once(streams: int) -> int:
    return max(_PIECE_LINES_MIN, min(PIECE_LINES, _LINES_AT_ONCE // max(1, streams)))
