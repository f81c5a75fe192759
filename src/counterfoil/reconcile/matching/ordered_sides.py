"""A side as streams of lines in the order of their places, whether it was stored so or is sorted first."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.line_items.lake import DIGEST
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.sorting import RUN_LINES, SECTION_LINES, OrderCheck, Run, sorted_runs
from counterfoil.reconcile.matching.windows import Section, Stream, plain
from counterfoil.reconcile.sides.side import Reading, SidePart, Wants

_MARK: Final = re.compile(rb"[^\0]")
_SECTION_LINES_MIN: Final = 2_000
_WINDOW_LINES: Final = 50_000  # of a stream, if there are few
_LINES_AT_ONCE: Final = 200_000  # of all streams together
_MARKED_LINES: Final = 10_000


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
            self._runs = sorted_runs(self._counted(), self._width, keys.alone, folder, run_lines=RUN_LINES)
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
        section, window = _at_once(streams)
        runs = [run(section) for run in self._runs]
        parts = [self._sections(at, self.columns, section) for at in range(len(self.parts))]
        return [Stream(sections, self._width, window) for sections in (*runs, *parts)]

    def digests(self, skipped: Collection[int], streams: int) -> list[Stream]:
        """Return the streams of places and digests, some parts left out."""
        names = (*self._keys.place, DIGEST)
        section, window = _at_once(streams)
        chosen = [at for at in range(len(self.parts)) if at not in skipped]
        return [Stream(self._sections(at, names, section), self._width, window) for at in chosen]

    def marked(self, marks: bytearray, skipped: Collection[int], streams: int) -> list[Stream]:
        """Return the streams of the lines with a mark, which is a byte for each line that is not 0."""
        section, window = _at_once(streams)
        chosen = [at for at in range(len(self.parts)) if at not in skipped]
        its = [self._marked(at, marks, section) for at in chosen]
        return [Stream(sections, self._width, min(window, _MARKED_LINES)) for sections in its]

    def skipped_digests(self, skipped: Collection[int]) -> Iterator[pa.Array]:
        """Yield the digests of some parts."""
        for at in sorted(skipped):
            for section in self._sections(at, (DIGEST,), SECTION_LINES):
                yield section.batch.column(0)

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
            for _, batch in reading.stretches(part, self._keys.place, line_items=SECTION_LINES):
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

    def _sections(
        self, at: int, names: Sequence[str], line_items: int, wants: Wants | None = None
    ) -> Iterator[Section]:
        begin = self._begins[at]
        for place, batch in self._reading.stretches(self.parts[at], names, line_items=line_items, wants=wants):
            yield Section(batch, begin + place)

    def _marked(self, at: int, marks: bytearray, line_items: int) -> Iterator[Section]:
        begin = self._begins[at]

        def has_marks(first: int, end: int) -> bool:
            return _MARK.search(marks, begin + first, begin + end) is not None

        for section in self._sections(at, self.columns, line_items, has_marks):
            assert isinstance(section.numbers, int)
            first, end = section.numbers, section.numbers + len(section)
            if numbers := marked(marks, first, end):
                rows = pa.array([number - first for number in numbers], pa.int64())
                yield Section(plain(section.batch.take(rows)), pa.array(numbers, pa.int64()))


def marked(marks: bytearray, first: int = 0, end: int = sys.maxsize) -> list[int]:
    """Return the places of the marks from one place to another. A loop over all bytes would take a second for 10M."""
    return [found.start() for found in _MARK.finditer(marks, first, end)]


def _at_once(streams: int) -> tuple[int, int]:
    """Return how many lines a section has, and how many are read at once: many pay, and all streams hold some."""
    most = _LINES_AT_ONCE // max(1, streams)
    return max(_SECTION_LINES_MIN, min(SECTION_LINES, most)), max(_SECTION_LINES_MIN, min(_WINDOW_LINES, most))
