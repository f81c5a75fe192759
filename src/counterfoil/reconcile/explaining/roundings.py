"""The named ways in which a net amount is rounded, and which of them leads to the amount that a line states.

Microsoft documents two (cut the unit of a licence, cut metered use twice) and its own examples use three more. So a way
is found line by line, and where several fit the two sides of a pair share one: otherwise a single seat, which every way
fits, against ten seats that are cut per line would show a rounding where there is none.

Amounts are in the billing currency; `unit` is its smallest amount in Microsoft's formulas, 0.01.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from counterfoil.reconcile.explaining import arithmetic as exact


class Rounding(StrEnum):
    """A way of rounding quantity x price x rate. Per unit: before the quantity is applied; per line: after."""

    NONE = "not rounded"
    CUT_PER_UNIT = "cut per unit"
    CUT_PER_LINE = "cut per line"
    CUT_TWICE = "cut per line in each currency"
    HALF_UP_PER_UNIT = "half up per unit"
    HALF_UP_PER_LINE = "half up per line"
    FLOOR_PER_LINE = "down per line, also below zero"
    DIGITS = "to the digits shown"
    WITHIN_A_UNIT = "within a cent"
    NOT_TOLD = "not told"
    UNKNOWN = "by no known rule"


PER_UNIT = {Rounding.CUT_PER_UNIT: exact.CUT, Rounding.HALF_UP_PER_UNIT: exact.HALF_UP}
PER_LINE = {
    Rounding.CUT_PER_LINE: exact.CUT,
    Rounding.HALF_UP_PER_LINE: exact.HALF_UP,
    Rounding.FLOOR_PER_LINE: exact.FLOOR,
}
# The documented way first: where several fit both sides, it is taken. Metered use is never rounded per unit.
OF_LICENCES = (
    Rounding.CUT_PER_UNIT,
    Rounding.CUT_PER_LINE,
    Rounding.HALF_UP_PER_UNIT,
    Rounding.HALF_UP_PER_LINE,
    Rounding.CUT_TWICE,
    Rounding.FLOOR_PER_LINE,
)
OF_METERED_USE = (
    Rounding.CUT_TWICE,
    Rounding.CUT_PER_LINE,
    Rounding.HALF_UP_PER_LINE,
    Rounding.FLOOR_PER_LINE,
)


class Priced(NamedTuple):
    """A line whose quantity, price and rate are known; `price` and `quantity` as they are multiplied."""

    net: Decimal
    quantity: Decimal
    price: Decimal
    rate: Decimal
    metered: bool
    unit: Decimal

    @property
    def value(self) -> Decimal:
        """Quantity x price x rate, not rounded."""
        return exact.multiply(exact.multiply(self.quantity, self.price), self.rate)

    def by(self, rounding: Rounding) -> Decimal:
        """Return the net amount that this way gives."""
        if rounding in PER_UNIT:
            return exact.multiply(self.unit_by(rounding), self.quantity)
        if rounding in PER_LINE:
            return exact.rounded(self.value, self.unit, PER_LINE[rounding])
        if rounding is Rounding.CUT_TWICE:
            first = exact.rounded(exact.multiply(self.price, self.quantity), self.unit, exact.CUT)
            return exact.rounded(exact.multiply(first, self.rate), self.unit, exact.CUT)
        return self.value

    def unit_by(self, rounding: Rounding) -> Decimal:
        """Return what one unit comes to, for a way that rounds per unit."""
        return exact.rounded(exact.multiply(self.price, self.rate), self.unit, PER_UNIT[rounding])

    def fits(self, rounding: Rounding) -> bool:
        """Whether this way leads to the stated amount."""
        return self.by(rounding) == self.net

    def loosely(self) -> Rounding:
        """Name the way of a line that none of the known ones fits."""
        value = self.value
        if self.net == value:
            return Rounding.NONE
        if exact.rounds_to(value, self.net):
            return Rounding.DIGITS
        apart = exact.magnitude(exact.subtract(self.net, value))
        return Rounding.WITHIN_A_UNIT if apart < self.most_apart else Rounding.UNKNOWN

    @property
    def is_out_of_reach(self) -> bool:
        """Whether no way of rounding can lead to the stated amount: it is further away than any of them reaches."""
        reach = self.most_apart
        if not self.metered:  # which may be rounded per unit
            reach = exact.multiply(self.unit, max(exact.ONE, exact.magnitude(self.quantity)))
        return exact.magnitude(exact.subtract(self.net, self.value)) > reach

    @property
    def most_apart(self) -> Decimal:
        """What documented roundings can move an amount by at most.

        Metered use is cut in each currency, and once more where its effective price was made from a cut amount.
        """
        if not self.metered:
            return self.unit
        twice = exact.multiply(self.unit, Decimal(2))
        return exact.add(twice, exact.multiply(self.unit, exact.magnitude(self.rate)))


def ways_of(left: Priced, right: Priced) -> tuple[Rounding, Rounding]:
    """Return how each side was rounded: the first way that fits both, or the first for each."""
    if left.net == left.value and right.net == right.value:
        return Rounding.NONE, Rounding.NONE
    found: list[Rounding | None] = [Rounding.UNKNOWN if line.is_out_of_reach else None for line in (left, right)]
    if all(found):
        return Rounding.UNKNOWN, Rounding.UNKNOWN
    for rounding in OF_METERED_USE if left.metered or right.metered else OF_LICENCES:
        fits = [left.fits(rounding), right.fits(rounding)]
        if all(fits):
            return rounding, rounding
        found = [way or (rounding if fit else None) for way, fit in zip(found, fits, strict=True)]
    return found[0] or left.loosely(), found[1] or right.loosely()
