"""Windows: what both sides hold below a place (customer, subscription, date), complete on both, a little at a time.

Everything that is read here is sorted by its place, byte for byte, so a window ends below the smallest of the last
places that the streams have read so far. Within a window nothing is in order, and nothing needs to be. The trap: lines
of one place never part, so whoever has millions of lines at one place has them in one window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

Place = tuple[str, ...]


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


class Stream:
    """Pieces of one sorted part of a side, and those that are in no window yet."""

    def __init__(self, pieces: Iterable[Piece], width: int) -> None:
        self._pieces, self._width = iter(pieces), width
        self._held: deque[Piece] = deque()
        self.last: Place | None = None  # None once there is no more to read

    def read(self) -> None:
        """Hold one more piece."""
        piece = next(self._pieces, None)
        while piece is not None and not len(piece):
            piece = next(self._pieces, None)
        if piece is None:
            self.last = None
            return
        self._held.append(piece)
        self.last = piece.place(len(piece) - 1, self._width)

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
    for stream in streams:
        stream.read()
    while lasts := [stream.last for stream in streams if stream.last is not None]:
        limit = min(lasts)
        window = _taken(left, limit), _taken(right, limit)
        if any(window):
            yield window
        for stream in streams:
            if stream.last == limit:
                stream.read()
    window = _taken(left, None), _taken(right, None)
    if any(window):
        yield window


def _taken(streams: Sequence[Stream], limit: Place | None) -> Pieces:
    return [piece for stream in streams for piece in stream.take_below(limit)]
