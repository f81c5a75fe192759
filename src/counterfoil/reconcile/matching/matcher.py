"""Matches two sides: counts what is identical, and takes the rest through the stages."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from counterfoil.model import Kind
from counterfoil.reconcile.matching.leftovers import Leftovers
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import Line, MatchedLines, Stage
from counterfoil.reconcile.matching.ordered_sides import OrderedSide
from counterfoil.reconcile.matching.partnerless import Partnerless
from counterfoil.reconcile.matching.staging import at_one_place, duplicates, everywhere, moved
from counterfoil.reconcile.sides.side import Reading


class Matching:
    """The groups of two sides; iterate once. `counts` are groups by stage, `line_items` the lines of left and right.

    Counts are complete after the last group.
    """

    def __init__(self, left: Reading, right: Reading, keys: LineKeys, *, words: bool, scratch: Path) -> None:
        self.counts = Counter[Stage]()
        self.line_items = (0, 0)
        self._readings, self._keys, self._words, self._scratch = (left, right), keys, words, scratch
        self._partnerless: Partnerless | None = None

    def __iter__(self) -> Iterator[MatchedLines]:
        """Yield each group that is not identical; raises SideError and InputError for sides that cannot be read."""
        for matched in self._groups():
            self.counts[matched.stage] += 1
            yield matched

    def other_side_has(self, line: Line, *, on_the_right: bool) -> tuple[bool, bool]:
        """Tell of a line of the right or the left whether the other side knows its customer, and its subscription.

        It is certain once lines of one side are yielded, which come last.
        """
        assert self._partnerless is not None, "nothing was matched yet"
        return self._partnerless.seen[not on_the_right].has(line.attributes)

    def _groups(self) -> Iterator[MatchedLines]:
        keys = self._keys
        folder = Path(tempfile.mkdtemp(prefix="matching-", dir=self._scratch))
        try:
            left, right = (
                OrderedSide(reading, keys, folder / f"side-{index}") for index, reading in enumerate(self._readings)
            )
            self.line_items = (left.line_items, right.line_items)
            found = self._partnerless = Partnerless(left, right, keys, words=self._words)
            with (
                Leftovers(keys, keys.within, folder / "customers") as of_customers,
                Leftovers(keys, keys.without_ids, folder / "others") as others,
            ):
                for lines, twins in found.windows():
                    yield from duplicates(twins)
                    yield from at_one_place(lines, keys)
                    of_customers.add(lines)
                self.counts[Stage.WORDS if self._words else Stage.IDENTICAL] += found.pairs
                for lines in of_customers.parts():
                    yield from everywhere(lines, keys)
                    others.add(lines)
                for lines in others.parts():
                    yield from moved(lines, keys)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def match(left: Reading, right: Reading, kind: Kind, *, words: bool = False, scratch: Path) -> Matching:
    """Return the matched lines of two sides of one kind, to iterate over once.

    With `words` lines that are equal but for what carries no money are counted only, as `Stage.WORDS`: an unbilled and
    a billed line differ in their invoice's number at least. `scratch` is a folder for what outgrows memory.
    """
    return Matching(left, right, LineKeys(kind), words=words, scratch=scratch)
