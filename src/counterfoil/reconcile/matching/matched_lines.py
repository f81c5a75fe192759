"""What matching finds: lines of both sides that belong together, and the stage that brought them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How lines were matched, from the finest to the coarsest; each takes what those before it left."""

    IDENTICAL = "identical"
    DUPLICATE = "duplicate"  # one more copy of a line whose twin was matched
    WORDS = "words"  # equal but for what carries no money: names, descriptions, tags, the invoice's number
    SAME_CHARGE = "same charge"
    OTHER_ORDER = "other order"
    CHANGE = "change"  # refund and charge of one side: other seats, an upgrade
    OTHER_DATES = "other dates"  # a licence charged for other days
    MOVED = "moved"  # equal, or one charge and no other, but for one id
    ONE_SIDE = "one side"


@dataclass(frozen=True, slots=True)
class Line:
    """A line item of a side: `number` is its place in the order in which the side is read, from 1.

    `attributes` has every attribute of its kind by Graph name, and `Extra`; absent and empty are both ''.
    """

    number: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MatchedLines:
    """Lines that belong together. A pair has one line on either side; a duplicate or an odd line stands on one side.

    A change has two or more lines, all on one side.
    """

    stage: Stage
    left: tuple[Line, ...]
    right: tuple[Line, ...]
