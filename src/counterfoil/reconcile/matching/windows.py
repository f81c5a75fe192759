"""Windows: what both sides hold below a place (customer, subscription, date), complete on both, a little at a time.

Everything that is read here is sorted by its place, byte for byte, so a window ends below the smallest of the last
places that the streams have read so far. Within a window nothing is in order, and nothing needs to be. The trap: lines
of one place never part, so whoever has millions of lines at one place has them in one window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import pyarrow as pa

Place = tuple[str, ...]
T = TypeVar("T")
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Section:
    """Some lines of a side in order: `numbers` are their places in the side's own order, from 0.

    The first columns of the batch are the place.
    """

    batch: pa.RecordBatch
    numbers: pa.Int64Array | int  # an int where they follow one another: the first

    def __len__(self) -> int:
        rows: int = self.batch.num_rows
        return rows

    def slice(self, begin: int, end: int) -> Self:
        """Return the lines from one place to another."""
        numbers = self.numbers + begin if isinstance(self.numbers, int) else self.numbers[begin:end]
        return type(self)(self.batch.slice(begin, end - begin), numbers)

    def numbers_of(self, rows: Sequence[int]) -> list[int]:
        """Return the numbers of some lines."""
        if isinstance(self.numbers, int):
            return [self.numbers + row for row in rows]
        found: list[int] = self.numbers.take(pa.array(rows, pa.int64())).to_pylist()
        return found

    def place(self, row: int, width: int) -> Place:
        """Return the place of a line; nothing is as empty."""
        return tuple(self.batch.column(at)[row].as_py() or "" for at in range(width))


Sections = list[Section]


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return plain texts in the place of dictionaries. A cast would look at every entry, used or not."""
    columns = [
        column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


class Stream:
    """Sections of one sorted part of a side, and those that are in no window yet; `lines` are read at once."""

    def __init__(self, sections: Iterable[Section], width: int, lines: int) -> None:
        self._sections, self._width, self._lines = iter(sections), width, lines
        self._held: deque[Section] = deque()
        self._coming: Future[Sections] | None = None
        self.last: Place | None = None  # None once there is no more to read

    def read(self, threads: ThreadPoolExecutor) -> None:
        """Hold more sections, while a thread reads those after them."""
        sections = self._coming.result() if self._coming else self._next()
        self._held.extend(sections)
        self.last = sections[-1].place(len(sections[-1]) - 1, self._width) if sections else None
        if sections:
            self._coming = threads.submit(self._next)

    def _next(self) -> Sections:
        sections, lines = [], 0
        while lines < self._lines and (section := next(self._sections, None)) is not None:
            if len(section):
                sections.append(section)
                lines += len(section)
        return sections

    def take_below(self, place: Place | None) -> Iterator[Section]:
        """Yield and let go the lines below a place, or all."""
        while self._held:
            section = self._held[0]
            count = len(section) if place is None else self._count_below(section, place)
            if count < len(section):
                self._held[0] = section.slice(count, len(section))
                if count:
                    yield section.slice(0, count)
                return
            self._held.popleft()
            yield section

    def _count_below(self, section: Section, place: Place) -> int:
        low, high = 0, len(section)
        if section.place(high - 1, self._width) < place:
            return high
        while low < high:
            middle = (low + high) // 2
            if section.place(middle, self._width) < place:
                low = middle + 1
            else:
                high = middle
        return low


def windows(left: Sequence[Stream], right: Sequence[Stream]) -> Iterator[tuple[Sections, Sections]]:
    """Yield the sections of both sides, window after window, in the order of their places."""
    streams = [*left, *right]
    with ThreadPoolExecutor(_THREADS, "counterfoil-matching") as threads:
        for stream in streams:
            stream.read(threads)
        while lasts := [stream.last for stream in streams if stream.last is not None]:
            limit = min(lasts)
            window = _taken(left, limit), _taken(right, limit)
            if any(window):
                yield window
            for stream in streams:
                if stream.last == limit:
                    stream.read(threads)
    window = _taken(left, None), _taken(right, None)
    if any(window):
        yield window


def made_ahead(made: Iterator[T]) -> Iterator[T]:
    """Yield what is made, each by a thread while the one before is in use."""
    with ThreadPoolExecutor(1, "counterfoil-ahead") as thread:
        coming = thread.submit(next, made, None)
        while (its := coming.result()) is not None:
            coming = thread.submit(next, made, None)
            yield its


def _taken(streams: Sequence[Stream], limit: Place | None) -> Sections:
    return [section for stream in streams for section in stream.take_below(limit)]
