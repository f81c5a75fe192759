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
class Piece:
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


Pieces = list[Piece]


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return plain texts in the place of dictionaries. A cast would look at every entry, used or not."""
    columns = [
        column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


class Stream:
    """Pieces of one sorted part of a side, and those that are in no window yet; `lines` are read at once."""

    def __init__(self, pieces: Iterable[Piece], width: int, lines: int) -> None:
        self._pieces, self._width, self._lines = iter(pieces), width, lines
        self._held: deque[Piece] = deque()
        self._coming: Future[Pieces] | None = None
        self.last: Place | None = None  # None once there is no more to read

    def read(self, threads: ThreadPoolExecutor) -> None:
        """Hold more pieces, while a thread reads those after them."""
        pieces = self._coming.result() if self._coming else self._next()
        self._held.extend(pieces)
        self.last = pieces[-1].place(len(pieces[-1]) - 1, self._width) if pieces else None
        if pieces:
            self._coming = threads.submit(self._next)

    def _next(self) -> Pieces:
        pieces, lines = [], 0
        while lines < self._lines and (piece := next(self._pieces, None)) is not None:
            if len(piece):
                pieces.append(piece)
                lines += len(piece)
        return pieces

    def take_below(self, place: Place | None) -> Iterator[Piece]:
        """Yield and let go the lines below a place, or all."""
        while self._held:
            piece = self._held[0]
            count = len(piece) if place is None else self._count_below(piece, place)
            if count < len(piece):
                self._held[0] = piece.slice(count, len(piece))
                if count:
                    yield piece.slice(0, count)
                return
            self._held.popleft()
            yield piece

    def _count_below(self, piece: Piece, place: Place) -> int:
        low, high = 0, len(piece)
        if piece.place(high - 1, self._width) < place:
            return high
        while low < high:
            middle = (low + high) // 2
            if piece.place(middle, self._width) < place:
                low = middle + 1
            else:
                high = middle
        return low


def windows(left: Sequence[Stream], right: Sequence[Stream]) -> Iterator[tuple[Pieces, Pieces]]:
    """Yield the pieces of both sides, window after window, in the order of their places."""
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


def _taken(streams: Sequence[Stream], limit: Place | None) -> Pieces:
    return [piece for stream in streams for piece in stream.take_below(limit)]
