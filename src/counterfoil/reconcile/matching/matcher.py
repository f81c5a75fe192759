"""Matches two sides: counts what is identical, and takes the rest through the stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from counterfoil.model import Kind
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import Line, MatchedLines, Stage
from counterfoil.reconcile.matching.staging import Unmatched, at_one_place, duplicates, everywhere, moved
from counterfoil.reconcile.sides.side import Reading


class Matching:
    """The groups of two sides; iterate once. `counts` are groups by stage, `line_items` the lines of left and right.

    Counts are complete after the last group.
    """

    def __init__(self, left: Reading, right: Reading, keys: LineKeys, *, words: bool, scratch: Path) -> None:
        self.counts = Counter[Stage]()
        self.line_items = (0, 0)
        self._sides, self._keys, self._words, self._scratch = (left, right), keys, words, scratch
        self._seen: tuple[set[int], set[int]] = (set(), set())

    def __iter__(self) -> Iterator[MatchedLines]:
        """Yield each group that is not identical; raises SideError and InputError for sides that cannot be read."""
        for matched in self._groups():
            self.counts[matched.stage] += 1
            yield matched

    def other_side_has(self, line: Line, *, on_the_right: bool) -> tuple[bool, bool]:
        """Tell of a line of the right or the left whether the other side knows its customer, and its subscription.

        It is certain once lines of one side are yielded, which come last.
        """
        seen = self._seen[not on_the_right]
        customer, subscription = (line.attributes[name].lower() for name in ("CustomerId", "SubscriptionId"))
        return hash(customer) in seen, hash((customer, subscription)) in seen

    def _groups(self) -> Iterator[MatchedLines]:
        lines, twins = self._without_identical()
        yield from duplicates(twins)
        yield from at_one_place(lines, self._keys)
        yield from everywhere(lines, self._keys)
        yield from moved(lines, self._keys)

    def _without_identical(self) -> tuple[Unmatched, Unmatched]:
        keys = self._keys
        groups: dict[str, tuple[list[Line], list[Line]]] = {}
        for index, reading in enumerate(self._sides):
            for line in _lines(reading, keys):
                self._note(line, index)
                identity = keys.without_words(line.attributes) if self._words else "\0".join(line.attributes.values())
                groups.setdefault(identity, ([], []))[index].append(line)
        self.line_items = (self._sides[0].line_items, self._sides[1].line_items)
        lines, twins = Unmatched(), Unmatched()
        for lefts, rights in groups.values():
            pairs = min(len(lefts), len(rights))
            self.counts[Stage.WORDS if self._words else Stage.IDENTICAL] += pairs
            chosen = twins if pairs else lines
            chosen.left += lefts[pairs:]
            chosen.right += rights[pairs:]
        return lines, twins

    def _note(self, line: Line, index: int) -> None:
        customer, subscription = (line.attributes[name].lower() for name in ("CustomerId", "SubscriptionId"))
        self._seen[index].update((hash(customer), hash((customer, subscription))))


def match(left: Reading, right: Reading, kind: Kind, *, words: bool = False, scratch: Path) -> Matching:
    """Return the matched lines of two sides of one kind, to iterate over once.

    With `words` lines that are equal but for what carries no money are counted only, as `Stage.WORDS`: an unbilled and
    a billed line differ in their invoice's number at least. `scratch` is a folder for what outgrows memory.
    """
    return Matching(left, right, LineKeys(kind), words=words, scratch=scratch)


def _lines(reading: Reading, keys: LineKeys) -> Iterator[Line]:
    number = 0
    for batch in reading.batches(keys.names):
        for row in zip(*(_texts(column) for column in batch.columns[: len(keys.names)]), strict=True):
            number += 1
            yield Line(number, dict(zip(keys.names, row, strict=True)))


def _texts(column: pa.Array) -> list[str]:
    found: list[str] = column.cast(pa.string()).fill_null("").to_pylist()
    return found
