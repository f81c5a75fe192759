"""The bridge from one total to the other: where each bar begins and ends, without a float.

The trap: two totals of millions that differ by cents would be bars of one length and nothing between them. So the scale
may begin beside zero. The bars of both totals are drawn torn then, and the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from counterfoil import numbers

WIDTH: Final = 10_000  # of the scale
_BAR_LEAST: Final = 20  # so that the smallest cause is seen
_ROOM: Final = Fraction(12, 100)  # left of the smallest total, of the span
_SPANS_FROM_ZERO: Final = 2  # farther from zero than so many times what differs, the scale begins beside zero


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar on a scale of 0 to WIDTH. It is torn where it does not begin at zero."""

    start: int
    width: int
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The bars of both totals, and of each step between them in the order given."""

    left: Bar
    steps: tuple[Bar, ...]
    right: Bar
    is_torn: bool


def waterfall(left: Decimal, steps: Sequence[Decimal], right: Decimal) -> Waterfall:
    """Return the bridge from left to right; the steps sum to right minus left."""
    path = [left]
    for step in steps:
        path.append(numbers.add(path[-1], step))
    every = [Fraction(value) for value in (*path, right)]
    low, high = min(every), max(every)
    span = high - low
    is_torn = low > span * _SPANS_FROM_ZERO
    low = low - (span or low) * _ROOM if is_torn else min(low, Fraction(0))
    high = max(high, Fraction(0))
    scale = Fraction(WIDTH) / (high - low) if high > low else Fraction(0)

    def bar(start: Fraction, end: Fraction, *, is_torn: bool = False) -> Bar:
        first, last = sorted((start, end))
        at, width = int((first - low) * scale), max(_BAR_LEAST, int((last - first) * scale))
        return Bar(min(at, WIDTH - width), width, is_torn)

    zero = low if is_torn else Fraction(0)
    return Waterfall(
        bar(zero, Fraction(left), is_torn=is_torn),
        tuple(bar(Fraction(before), Fraction(after)) for before, after in pairwise(path)),
        bar(zero, Fraction(right), is_torn=is_torn),
        is_torn,
    )


def from_zero(amounts: Sequence[Decimal]) -> list[Bar]:
    """Return bars from zero, which is at the left unless some amount is below it."""
    low = min((Fraction(amount) for amount in amounts if amount < 0), default=Fraction(0))
    high = max((Fraction(amount) for amount in amounts if amount > 0), default=Fraction(0))
    scale = Fraction(WIDTH) / (high - low) if high > low else Fraction(0)
    bars = []
    for amount in amounts:
        first, last = sorted((Fraction(0), Fraction(amount)))
        at, width = int((first - low) * scale), max(_BAR_LEAST, int((last - first) * scale)) if amount else 0
        bars.append(Bar(min(at, WIDTH - width), width))
    return bars


def two_sided(amounts: Sequence[Decimal]) -> list[Bar]:
    """Return bars to both sides of the middle of the scale: what is less to the left, what is more to the right."""
    middle = WIDTH // 2
    largest = max((abs(Fraction(amount)) for amount in amounts), default=Fraction(0))
    bars = []
    for amount in amounts:
        width = max(_BAR_LEAST, int(middle * abs(Fraction(amount)) / largest)) if amount else 0
        bars.append(Bar(middle - width if amount < 0 else middle, width))
    return bars
