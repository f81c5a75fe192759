"""Cuts: what the first so many line items of several runs are, exactly, without reading the runs.

A cut says how many line items of each run come before it. The first keys of the pieces tell about where it is; only the
pieces there are read. Copies may be in any number: how many of them come before a cut matters, and not which.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter, sub

import numpy as np

from counterfoil.columns import LineItemTable
from counterfoil.datasets.coded import Coded, Coder
from counterfoil.datasets.order import Ordered, SortKeys, in_order
from counterfoil.datasets.runs import Run, read_in_order

_first_key = attrgetter("first")


def parts_of(table: LineItemTable, runs: Sequence[Run], line_items: int) -> list[list[Run]]:
    """Return what each part holds of the runs, where a part has so many line items."""
    cuts, total = Cuts(table, runs), sum(map(len, runs))
    places = [[0] * len(runs), *(cuts.after(count) for count in range(line_items, total, line_items))]
    return [_between(runs, begin, end) for begin, end in zip(places, [*places[1:], list(map(len, runs))], strict=True)]


def portions_of(table: LineItemTable, runs: Sequence[Run], size_bytes: int) -> Iterator[Ordered]:
    """Yield all line items of the runs in order, so many bytes at a time, or a single one that is larger."""
    unread = [list(runs)]
    while unread:
        its = unread.pop()
        count = sum(map(len, its))
        if count > 1 and sum(run.size_bytes for run in its) > size_bytes:
            middle = Cuts(table, its).after(count // 2)
            unread += [_between(its, middle, list(map(len, its))), _between(its, [0] * len(its), middle)]
        elif count:
            yield read_in_order(table, its)


def _between(runs: Sequence[Run], begins: Sequence[int], ends: Sequence[int]) -> list[Run]:
    return [run.between(begin, end) for run, begin, end in zip(runs, begins, ends, strict=True) if begin < end]


class Cuts:
    """Finds cuts in some runs, one after the other."""

    def __init__(self, table: LineItemTable, runs: Sequence[Run]) -> None:
        self._table, self._runs = table, runs
        pieces = sorted((piece.first, len(piece)) for run in runs for piece in run.pieces)
        self._keys = [key for key, _ in pieces]
        self._before = list(accumulate((count for _, count in pieces), initial=0))[:-1]
        self._astray = sum(max(map(len, run.pieces)) for run in runs)
        self._read: dict[tuple[int, int], tuple[int, Coded, SortKeys]] = {}

    def after(self, count: int) -> list[int]:
        """Return how many of each run's line items are among the first `count` of all."""
        if len(self._runs) == 1:
            return [count]
        self._read.clear()
        # No more line items are below a piece's first key than there are in the pieces before it, and not much fewer.
        low = bisect_right(self._before, count)
        high = bisect_right(self._before, count + self._astray)
        place = bisect_right(self._keys, count, low, high, key=lambda key: sum(self._below(key)))
        key = self._keys[place - 1]
        below, up_to = self._below(key), self._below(key, bisect_right)
        copies = list(map(sub, up_to, below))
        left = count - sum(below)
        if left > sum(copies):
            return self._beyond(key, up_to, left - sum(copies))
        before = [0, *accumulate(copies)][:-1]
        return [begin + min(each, max(0, left - less)) for begin, each, less in zip(below, copies, before, strict=True)]

    def _below(self, key: bytes, find: Callable[..., int] = bisect_left) -> list[int]:
        """Return how many of each run's line items are below a key; with `bisect_right`, those of the key as well."""
        positions = []
        for number in range(len(self._runs)):
            before, coded, keys = self._piece(number, key, find)
            positions.append(before + find(range(len(coded)), key, key=keys.of))
        return positions

    def _beyond(self, key: bytes, begins: Sequence[int], count: int) -> list[int]:
        """Cut after so many line items above a key and below the next piece's: each run has them in one piece."""
        coder, ends = Coder(self._runs[0].groups), []
        for number, begin in enumerate(begins):
            before, coded, _ = self._piece(number, key, bisect_right)
            coder.add_coded(coded.between(begin - before, len(coded)))
            ends.append(len(coder))
        rows = in_order(self._table, coder).rows[:count]
        taken = np.bincount(np.searchsorted(ends, rows, side="right"), minlength=len(ends))
        return [begin + more for begin, more in zip(begins, taken.tolist(), strict=True)]

    def _piece(self, number: int, key: bytes, find: Callable[..., int]) -> tuple[int, Coded, SortKeys]:
        """Read the piece of a run in which a key would be, and how many line items come before it."""
        run = self._runs[number]
        place = max(0, find(run.pieces, key, key=_first_key) - 1)
        if (number, place) not in self._read:
            [coded] = run.only(place).read()
            before = sum(map(len, run.pieces[:place]))
            self._read[number, place] = before, coded, SortKeys(self._table, coded)
        return self._read[number, place]
