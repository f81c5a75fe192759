"""What a scenario is made of: a change to one line item, the lines it leaves on each side, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from counterfoil.generator.draws import Draws
from counterfoil.generator.scenarios.exact_fractions import cut, day_text, days_in, written
from counterfoil.generator.scenarios.true_causes import TAX, Causes
from counterfoil.generator.spelling import Line

# Charges that stand alone: neither halves of a change nor something taken back.
_PLAIN_CHARGES = {"cycleCharge", "New", "Purchase", "renew"}
_MIRRORED = {"new": "vanished", "vanished": "new"}


class LineSort(StrEnum):
    """What a line item charges for, and so by which formula."""

    LICENCE = "licence"
    METERED = "metered"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class InjectionSite:
    """What an injection may draw from, and the month of its file."""

    draws: Draws
    year: int
    month: int

    @property
    def length_days(self) -> int:
        """How many days the month has."""
        return days_in(self.year, self.month)

    def day(self, number: int, months_on: int = 0) -> str:
        """Write a day of the month, or of one before or after."""
        return day_text(self.year, self.month + months_on, number)

    def last_day(self, months_on: int = 0) -> str:
        """Write the last day of the month, or of one before or after."""
        year, month = divmod(self.year * 12 + self.month - 1 + months_on, 12)
        return day_text(year, month + 1, days_in(year, month + 1))


@dataclass(frozen=True, slots=True)
class Injected:
    """The lines that differ, by side, and their causes: right less left.

    With `keeps` the line item itself stays on both sides, and these stand beside it.
    """

    left: tuple[Line, ...]
    right: tuple[Line, ...]
    causes: Causes
    keeps: bool = False

    def mirrored(self) -> Injected:
        """Return the same with the sides exchanged: every amount changes its sign, and what was new has vanished."""
        causes = {_MIRRORED.get(cause, cause): -amount for cause, amount in self.causes.items()}
        return Injected(self.right, self.left, causes, self.keeps)


Injection = Callable[[Line, InjectionSite], Injected | None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A difference by name. `injections` say how it is made of a line item; None from one: not of this line item.

    One that `mirrors` has its sides exchanged in half of the places.
    """

    name: str
    summary: str
    injections: Mapping[LineSort, Injection]
    mirrors: bool = True

    def inject(self, line: Line, site: InjectionSite) -> Injected | None:
        """Make it of a line item; None where it cannot be."""
        injection = self.injections.get(sort_of(line))
        if injection is None or not is_plain(line, site):
            return None
        found = injection(line, site)
        return found.mirrored() if found and self.mirrors and site.draws.one_in(2) else found


def sort_of(line: Line) -> LineSort:
    """Return what a generated line item charges for."""
    if "UsageDate" in line:
        return LineSort.USAGE
    return LineSort.METERED if line["MeterDescription"] else LineSort.LICENCE


def is_plain(line: Line, site: InjectionSite) -> bool:
    """Whether a line item is an ordinary charge of the month, at a price."""
    day = text_of(line, "UsageDate" if "UsageDate" in line else "ChargeStartDate")
    quantity = number(line, "Quantity" if "UsageDate" in line else "BillableQuantity")
    return (
        line["ChargeType"] in _PLAIN_CHARGES
        and day[:7] == site.day(1)[:7]
        and quantity > 0
        and number(line, "EffectiveUnitPrice") > 0
    )


def number(line: Line, name: str) -> Fraction:
    """Read a number exactly."""
    return Fraction(text_of(line, name))


def text_of(line: Line, name: str) -> str:
    """Read a text that is there."""
    text = line[name]
    assert text is not None, name
    return text


def tax_rate(line: Line) -> Fraction:
    """Return the rate of tax of a reconciliation line item, which no attribute states, to a thousandth."""
    net = number(line, "Subtotal")
    return Fraction(round(number(line, "TaxTotal") / net * 1000), 1000) if net else Fraction(0)


def with_net(line: Line, net: Fraction, rate: Fraction) -> Line:
    """Give a reconciliation line item this net amount, and tax at this rate."""
    tax = cut(net * rate)
    return line | {"Subtotal": written(net, 2), "TaxTotal": written(tax, 2), "Total": written(net + tax, 2)}


def tax_moved(before: Line, after: Line) -> Fraction:
    """Return the tax of the right less that of the left; usage has none."""
    return number(after, TAX_NAME) - number(before, TAX_NAME) if TAX_NAME in before else Fraction(0)


def of_one_side(cause: str, *lines: Line, net: str) -> dict[str, Fraction]:
    """Return the causes of lines that are on the right only: their net amount, by its attribute, and their tax."""
    causes = {cause: sum((number(line, net) for line in lines), Fraction(0))}
    if TAX_NAME in lines[0]:
        causes[TAX] = sum((number(line, TAX_NAME) for line in lines), Fraction(0))
    return {name: amount for name, amount in causes.items() if amount}


TAX_NAME = "TaxTotal"
