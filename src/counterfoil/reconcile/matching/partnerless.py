"""The lines of both sides that have no identical line on the other, window after window.

Where both sides have stored digests, places and digests are read first, and whole lines only where some differ. Parts
that both sides hold are left out. The trap: a line without a partner may be one more copy of a line in such a part, so
then, and only then, the digests of those parts are read as well.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.line_items.lake import DIGEST
from counterfoil.reconcile.matching.identity import Surplus, surplus
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import Line
from counterfoil.reconcile.matching.ordered_sides import OrderedSide, marked
from counterfoil.reconcile.matching.staging import Unmatched
from counterfoil.reconcile.matching.windows import Section, Sections, made_ahead, plain, windows

_ALONE, _TWIN = 1, 2  # marks of lines without a partner; a twin is one more copy of a line that has one
_LOOKED_UP_AT_ONCE: Final = 500_000
T = TypeVar("T")


class Partnerless:
    """Finds what is not identical. `pairs` counts what is, complete after the last window."""

    def __init__(self, left: OrderedSide, right: OrderedSide, keys: LineKeys, *, words: bool) -> None:
        self.pairs = 0
        self._sides, self._keys = (left, right), keys
        self._by_digest = left.has_digests and right.has_digests and not words
        self._names = tuple(name for name in left.columns if not (words and name in keys.words))
        self._skipped = _shared_parts(left, right) if self._by_digest else (frozenset[int](), frozenset[int]())

    def windows(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        """Yield the lines without a partner, and apart from them the twins."""
        yield from self._digested() if self._by_digest else self._compared()

    def numbers(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the lines without a partner, from 1, by side."""
        if self._by_digest:
            left, right = ([place + 1 for place in marked(marks)] for marks in self._marks())
            return left, right
        found: tuple[list[int], list[int]] = [], []
        for lines, twins in self._compared():
            for numbers, its, copies in ((found[0], lines.left, twins.left), (found[1], lines.right, twins.right)):
                numbers += [line.number for line in (*its, *copies)]
        return sorted(found[0]), sorted(found[1])

    def _marks(self) -> tuple[bytearray, bytearray]:
        """Return a byte for each line of either side, 0 where it has an identical partner."""
        marks = bytearray(self._sides[0].line_items), bytearray(self._sides[1].line_items)
        alone = _Alone() if self._skipped[0] else None
        self.pairs = sum(self._sides[0].parts[at].line_items for at in self._skipped[0])
        streams = sum(side.streams for side in self._sides)
        sides = zip(self._sides, self._skipped, strict=True)
        all_windows = windows(*(side.digests(skipped, streams) for side, skipped in sides))
        for window, surpluses in made_ahead((window, self._surplus(window, (DIGEST,))) for window in all_windows):
            for sections, found, its in zip(window, surpluses, marks, strict=True):
                for mark, rows in ((_ALONE, found.rows), (_TWIN, found.twins)):
                    for section, some in _by_section(sections, sorted(rows)):
                        numbers = section.numbers_of(some)
                        for number in numbers:
                            its[number] = mark
                        if alone is not None and mark == _ALONE:
                            alone.add(its, numbers, section.batch.column(DIGEST).take(pa.array(some, pa.int64())))
        if alone is not None:
            alone.find_twins(self._sides[0].skipped_digests(self._skipped[0]))
        return marks

    def _digested(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        marks = self._marks()
        streams = sum(side.streams for side in self._sides)
        each = zip(self._sides, marks, self._skipped, strict=True)
        for window in windows(*(side.marked(its, skipped, streams) for side, its, skipped in each)):
            lines, twins = Unmatched(), Unmatched()
            for sections, its, mine, copies in _each_side(window, marks, lines, twins):
                for line in _lines_at(sections, range(sum(map(len, sections))), self._keys):
                    (copies if its[line.number - 1] == _TWIN else mine).append(line)
            yield lines, twins

    def _compared(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        streams = sum(side.streams for side in self._sides)
        all_windows = windows(*(side.all_lines(streams) for side in self._sides))
        for window, surpluses in made_ahead((window, self._surplus(window, self._names)) for window in all_windows):
            lines, twins = Unmatched(), Unmatched()
            for sections, found, mine, copies in _each_side(window, surpluses, lines, twins):
                copied = set(found.twins)
                rows = sorted((*found.rows, *copied))
                for row, line in zip(rows, _lines_at(sections, rows, self._keys), strict=True):
                    (copies if row in copied else mine).append(line)
            yield lines, twins

    def _surplus(self, window: tuple[Sections, Sections], names: Sequence[str]) -> tuple[Surplus, Surplus]:
        found = surplus(*window, names)
        self.pairs += sum(map(len, window[0])) - len(found[0].rows) - len(found[0].twins)
        return found


class _Alone:
    """Lines that seem to be without a partner, until the parts that both sides hold are looked at."""

    def __init__(self) -> None:
        self._lines: list[tuple[bytearray, list[int], pa.Array]] = []

    def add(self, marks: bytearray, numbers: list[int], digests: pa.Array) -> None:
        self._lines.append((marks, numbers, digests))

    def find_twins(self, digests: Iterator[pa.Array]) -> None:
        """Mark the lines that are copies of others."""
        if not self._lines:
            return
        wanted = pa.concat_arrays([each for _, _, each in self._lines]).unique()
        found = pa.array([], wanted.type)
        for some in _gathered(digests):
            found = pa.concat_arrays([found, wanted.filter(pc.is_in(wanted, some))])
        if not len(found):
            return
        for marks, numbers, its in self._lines:
            for number, is_twin in zip(numbers, pc.is_in(its, found).to_pylist(), strict=True):
                if is_twin:
                    marks[number] = _TWIN


def _gathered(arrays: Iterator[pa.Array]) -> Iterator[pa.Array]:
    waiting: list[pa.Array] = []
    for array in arrays:
        waiting.append(array)
        if sum(map(len, waiting)) >= _LOOKED_UP_AT_ONCE:
            yield pa.concat_arrays(waiting)
            waiting = []
    if waiting:
        yield pa.concat_arrays(waiting)


def _each_side(
    window: tuple[Sections, Sections], its: tuple[T, T], lines: Unmatched, twins: Unmatched
) -> Iterator[tuple[Sections, T, list[Line], list[Line]]]:
    yield window[0], its[0], lines.left, twins.left
    yield window[1], its[1], lines.right, twins.right


def _shared_parts(left: OrderedSide, right: OrderedSide) -> tuple[frozenset[int], frozenset[int]]:
    """Return the parts of each side that the other side holds as well, as often."""
    there = defaultdict[str, list[int]](list)
    for at, part in enumerate(right.parts):
        there[part.identity].append(at)
    pairs = [
        (at, there[part.identity].pop()) for at, part in enumerate(left.parts) if part.identity and there[part.identity]
    ]
    return frozenset(at for at, _ in pairs), frozenset(at for _, at in pairs)


def _by_section(sections: Sections, rows: Sequence[int]) -> Iterator[tuple[Section, list[int]]]:
    """Yield the sections that have rows, which count over all sections and ascend, with their own rows."""
    begin = at = 0
    for section in sections:
        end = bisect_left(rows, begin + len(section), at)
        if end > at:
            yield section, [row - begin for row in rows[at:end]]
        begin, at = begin + len(section), end


def _lines_at(sections: Sections, rows: Sequence[int], keys: LineKeys) -> Iterator[Line]:
    """Yield the lines of some rows, which count over all sections and ascend."""
    numbers: list[int] = []
    batches: list[pa.RecordBatch] = []
    for section, some in _by_section(sections, rows):
        numbers += section.numbers_of(some)
        batches.append(plain(section.batch.select(list(keys.names)).take(pa.array(some, pa.int64()))))
    if batches:
        columns = pa.concat_batches(batches).columns
        texts = zip(*(_texts(column.fill_null("")) for column in columns), strict=True)
        for number, its in zip(numbers, texts, strict=True):
            yield Line(number + 1, dict(zip(keys.names, its, strict=True)))


def _texts(column: pa.Array) -> list[str]:
    """Return the texts of a column without nulls: `to_pylist` takes three times as long."""
    if not len(column):
        return []
    _, offsets, data = column.buffers()
    ends = memoryview(offsets).cast("i")[column.offset : column.offset + len(column) + 1].tolist()
    held = memoryview(data or b"")[ends[0] : ends[-1]].tobytes()
    begin = ends[0]
    if held.isascii():
        text = held.decode()
        return [text[first - begin : end - begin] for first, end in pairwise(ends)]
    return [held[first - begin : end - begin].decode() for first, end in pairwise(ends)]
