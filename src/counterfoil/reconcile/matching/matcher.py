"""Matches two sides: counts what is identical, and takes the rest through the stages."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.errors import SideError
from counterfoil.model import Kind
from counterfoil.reconcile.matching.leftovers import LINES_HELD_MAX, Leftovers
from counterfoil.reconcile.matching.line_keys import LineKeys
from counterfoil.reconcile.matching.matched_lines import MatchedLines, Stage
from counterfoil.reconcile.matching.ordered_sides import OrderedSide
from counterfoil.reconcile.matching.partnerless import Partnerless
from counterfoil.reconcile.matching.staging import at_one_place, duplicates, everywhere, moved
from counterfoil.reconcile.sides.side import Reading


class Matching:
    """The groups of two sides; iterate once. `counts` are groups by stage, `line_items` the lines of left and right.

    Groups come in an order that depends on what their lines say alone. Counts are complete after the last group.
    """

    def __init__(self, left: Reading, right: Reading, keys: LineKeys, *, words: bool, scratch: Path) -> None:
        self.counts = Counter[Stage]()
        self.line_items = (0, 0)
        self._readings, self._keys, self._words, self._scratch = (left, right), keys, words, scratch

    def __iter__(self) -> Iterator[MatchedLines]:
        """Yield each group that is not identical; raises SideError and InputError for sides that cannot be read."""
        for matched in self._groups():
            self.counts[matched.stage] += 1
            yield matched

    def numbers(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the lines of left and right that are not identical, and count the others.

        It takes the place of iterating. Of sides with stored digests no line is read.
        """
        with self._folder() as folder:
            found = self._partnerless(folder)
            numbers = found.numbers()
            self._count_pairs(found)
            return numbers

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Make a folder for what outgrows memory, which is gone afterwards. Nobody checks the texts of a lake file."""
        folder = Path(tempfile.mkdtemp(prefix="matching-", dir=self._scratch))
        try:
            yield folder
        except UnicodeDecodeError as error:
            names = " or ".join(reading.side.name for reading in self._readings)
            raise SideError(
                f"{names} holds bytes that are not UTF-8.", remedy="Write its texts as UTF-8, and the file again."
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _partnerless(self, folder: Path) -> Partnerless:
        left, right = (
            OrderedSide(reading, self._keys, folder / f"side-{index}") for index, reading in enumerate(self._readings)
        )
        self.line_items = (left.line_items, right.line_items)
        return Partnerless(left, right, self._keys, words=self._words)

    def _count_pairs(self, found: Partnerless) -> None:
        self.counts[Stage.WORDS if self._words else Stage.IDENTICAL] += found.pairs

    def _place(self, matched: MatchedLines) -> tuple[str, ...]:
        """Return where a group of one place stands: windows end elsewhere when more is read at once."""
        attributes = (matched.left or matched.right)[0].attributes
        return tuple(attributes[name] for name in self._keys.place)

    def _groups(self) -> Iterator[MatchedLines]:
        keys = self._keys
        with self._folder() as folder:
            found = self._partnerless(folder)
            with (
                Leftovers(keys, keys.within, folder / "customers", held_max=LINES_HELD_MAX) as of_customers,
                Leftovers(keys, keys.without_ids, folder / "others", held_max=LINES_HELD_MAX) as others,
            ):
                for lines, twins in found.windows():
                    yield from sorted((*duplicates(twins), *at_one_place(lines, keys)), key=self._place)
                    of_customers.add(lines)
                self._count_pairs(found)
                for lines in of_customers.parts():
                    yield from everywhere(lines, keys)
                    others.add(lines)
                for lines in others.parts():
                    yield from moved(lines, keys)


def match(left: Reading, right: Reading, kind: Kind, *, words: bool = False, scratch: Path) -> Matching:
    """Return the matched lines of two sides of one kind, to iterate over once.

    With `words` lines that are equal but for what carries no money are counted only, as `Stage.WORDS`: an unbilled and
    a billed line differ in their invoice's number at least. `scratch` is a folder for what outgrows memory.
    """
    return Matching(left, right, LineKeys(kind), words=words, scratch=scratch)
