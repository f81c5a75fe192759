"""The lines of both sides that have no identical line on the other, window after window.

Where both sides have stored digests, places and digests are read first, and whole lines only where some differ. Parts
that both sides hold are left out. The trap: a line without a partner may be one more copy of a line in such a part, so
then, and only then, the digests of those parts are read as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.line_items.lake import DIGEST
from counterfoil.reconcile.matching.identity import Surplus, surplus
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import Line
from counterfoil.reconcile.matching.ordered_sides import OrderedSide
from counterfoil.reconcile.matching.staging import Unmatched
from counterfoil.reconcile.matching.windows import Piece, Pieces, windows

_ALONE, _TWIN = 1, 2  # marks of lines without a partner; a twin is one more copy of a line that has one
_LOOKED_UP_AT_ONCE: Final = 500_000
T = TypeVar("T")


class Seen:
    """The customers and subscriptions of a side; `unread` yields what was left out, and is asked only when needed."""

    def __init__(self, unread: Callable[[], Iterator[Pieces]]) -> None:
        self._hashes = set[int]()  # of texts that may be many
        self._unread: Callable[[], Iterator[Pieces]] | None = unread

    def add(self, pieces: Pieces) -> None:
        """Note the places of some lines; in a piece they are in order."""
        for piece in pieces:
            codes = [_codes(piece.batch.column(at)) for at in range(2)]
            new = pc.or_(*(pc.not_equal(each[1:], each[:-1]) for each in codes))
            rows = pa.array([0, *(row + 1 for row in pc.indices_nonzero(new).to_pylist())], pa.int64())
            places = (piece.batch.column(at).take(rows).cast(pa.string()).fill_null("").to_pylist() for at in range(2))
            for customer, subscription in zip(*places, strict=True):
                self._hashes.update(_hashes(customer, subscription))

    def has(self, attributes: Mapping[str, str]) -> tuple[bool, bool]:
        """Tell whether the customer is there, and whether the subscription is."""
        customer, subscription = _hashes(attributes["CustomerId"], attributes["SubscriptionId"])
        if subscription not in self._hashes and self._unread is not None:
            unread, self._unread = self._unread, None
            for pieces in unread():
                self.add(pieces)
        return customer in self._hashes, subscription in self._hashes


class Partnerless:
    """Finds what is not identical. `pairs` counts what is, complete after the last window; `seen` is by side."""

    def __init__(self, left: OrderedSide, right: OrderedSide, keys: LineKeys, *, words: bool) -> None:
        self.pairs = 0
        self._sides, self._keys = (left, right), keys
        self._by_digest = left.has_digests and right.has_digests and not words
        self._names = tuple(name for name in left.columns if not (words and name in keys.words))
        self._skipped = _shared_parts(left, right) if self._by_digest else (frozenset[int](), frozenset[int]())
        self.seen = (_seen(left, self._skipped[0]), _seen(right, self._skipped[1]))

    def windows(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        """Yield the lines without a partner, and apart from them the twins."""
        yield from self._digested() if self._by_digest else self._compared()

    def marks(self) -> tuple[bytearray, bytearray]:
        """Return a byte for each line of either side, 0 where it has an identical partner; both sides have digests."""
        assert self._by_digest, "a side has no digests"
        marks = bytearray(self._sides[0].line_items), bytearray(self._sides[1].line_items)
        alone = _Alone() if self._skipped[0] else None
        self.pairs = sum(self._sides[0].parts[at].line_items for at in self._skipped[0])
        streams = sum(side.streams for side in self._sides)
        sides = zip(self._sides, self._skipped, strict=True)
        for window in windows(*(side.digests(skipped, streams) for side, skipped in sides)):
            for pieces, found, its in zip(window, self._surplus(window, (DIGEST,)), marks, strict=True):
                for mark, rows in ((_ALONE, found.rows), (_TWIN, found.twins)):
                    for piece, some in _by_piece(pieces, rows):
                        numbers = piece.numbers_of(some)
                        for number in numbers:
                            its[number] = mark
                        if alone is not None and mark == _ALONE:
                            alone.add(its, numbers, piece.batch.column(DIGEST).take(pa.array(some, pa.int64())))
        if alone is not None:
            alone.find_twins(self._sides[0].skipped_digests(self._skipped[0]))
        return marks

    def _digested(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        marks = self.marks()
        streams = sum(side.streams for side in self._sides)
        each = zip(self._sides, marks, self._skipped, strict=True)
        for window in windows(*(side.marked(its, skipped, streams) for side, its, skipped in each)):
            lines, twins = Unmatched(), Unmatched()
            for pieces, its, mine, copies in _each_side(window, marks, lines, twins):
                for piece in pieces:
                    for line in _lines(piece, range(len(piece)), self._keys):
                        (copies if its[line.number - 1] == _TWIN else mine).append(line)
            yield lines, twins

    def _compared(self) -> Iterator[tuple[Unmatched, Unmatched]]:
        streams = sum(side.streams for side in self._sides)
        for window in windows(*(side.all_lines(streams) for side in self._sides)):
            lines, twins = Unmatched(), Unmatched()
            for pieces, found, mine, copies in _each_side(window, self._surplus(window, self._names), lines, twins):
                for rows, into in ((found.rows, mine), (found.twins, copies)):
                    for piece, some in _by_piece(pieces, rows):
                        into.extend(_lines(piece, some, self._keys))
            yield lines, twins

    def _surplus(self, window: tuple[Pieces, Pieces], names: Sequence[str]) -> tuple[Surplus, Surplus]:
        for seen, pieces in zip(self.seen, window, strict=True):
            seen.add(pieces)
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
    window: tuple[Pieces, Pieces], its: tuple[T, T], lines: Unmatched, twins: Unmatched
) -> Iterator[tuple[Pieces, T, list[Line], list[Line]]]:
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


def _seen(side: OrderedSide, skipped: frozenset[int]) -> Seen:
    return Seen(lambda: side.places(skipped))


def _codes(column: pa.Array) -> pa.Array:
    return column.indices.fill_null(-1) if pa.types.is_dictionary(column.type) else column.fill_null("")


def _hashes(customer: str, subscription: str) -> tuple[int, int]:
    return hash(customer.lower()), hash((customer.lower(), subscription.lower()))


def _by_piece(pieces: Pieces, rows: list[int]) -> Iterator[tuple[Piece, list[int]]]:
    """Yield the pieces that have rows, which count over all pieces, with their own rows."""
    waiting, begin = sorted(rows, reverse=True), 0
    for piece in pieces:
        some: list[int] = []
        while waiting and waiting[-1] < begin + len(piece):
            some.append(waiting.pop() - begin)
        if some:
            yield piece, some
        begin += len(piece)


def _lines(piece: Piece, rows: Sequence[int], keys: LineKeys) -> Iterator[Line]:
    chosen = piece.batch.select(list(keys.names))
    if len(rows) < len(piece):
        chosen = chosen.take(pa.array(rows, pa.int64()))
    columns = (column.cast(pa.string()).fill_null("").to_pylist() for column in chosen.columns)
    for number, texts in zip(piece.numbers_of(rows), zip(*columns, strict=True), strict=True):
        yield Line(number + 1, dict(zip(keys.names, texts, strict=True)))
