"""Amounts as a report shows them: in cents that add up, each with its exact text beside it.

Rounding each amount by itself gives a column that does not sum to its own total. So a column is cut to cents first, and
the cents that are missing go to the amounts that lost most. An amount may thus be shown a cent beside its own rounding;
its exact text never is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from counterfoil.money import decimals_of
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.side_totals import shown

MINUS: Final = "\u2212"  # which screen readers speak, unlike a hyphen
_CONTEXT: Final = Context(prec=200, Emin=-9999, Emax=9999, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class ShownAmount:
    """An amount as it stands in a report: `exact`, and `cents`, which is what a reader adds up."""

    exact: Decimal
    cents: Decimal

    @property
    def text(self) -> str:
        """What is shown of a total: `1,234.56`, and a minus if it is negative."""
        return _written(self.cents)

    @property
    def signed(self) -> str:
        """What is shown of a difference: with its sign, also where the cents are 0.00 and the amount is not."""
        return _sign(self.cents or self.exact) + _unsigned(self.cents)

    @property
    def exact_text(self) -> str:
        """Every digit, as programs write numbers."""
        return shown(self.exact)

    @property
    def digits(self) -> str:
        """Every digit, as people read numbers; '' where the cents are all there is."""
        return "" if self.exact == self.cents else _written(Decimal(shown(self.exact)))

    @property
    def signed_digits(self) -> str:
        """`digits` of a difference: with its sign."""
        return _sign(self.exact) + self.digits.removeprefix(MINUS) if self.digits else ""

    @property
    def tone(self) -> str:
        """Which way it goes: `more`, `less` or `same`."""
        return "more" if self.exact > 0 else "less" if self.exact < 0 else "same"


def shown_by_itself(amount: Decimal, currency: str) -> ShownAmount:
    """Return an amount rounded half to even, to the decimals of its currency."""
    return ShownAmount(amount, _unsigned_zero(amount.quantize(_unit(currency), context=_CONTEXT)))


def shown_adding_up(amounts: Sequence[Decimal], currency: str, total: Decimal | None = None) -> list[ShownAmount]:
    """Return amounts in cents whose sum is `total`, itself in cents; by default the rounded exact sum.

    An exact zero stays zero unless nothing else can take the cents.
    """
    unit = _unit(currency)
    wanted = exact.total(amounts).quantize(unit, context=_CONTEXT) if total is None else total
    floors = [amount.quantize(unit, ROUND_FLOOR, _CONTEXT) for amount in amounts]
    missing = int(_CONTEXT.divide(exact.subtract(wanted, exact.total(floors)), unit))
    lost = [exact.subtract(amount, floor) for amount, floor in zip(amounts, floors, strict=True)]
    order = sorted(
        range(len(amounts)), key=lambda at: (not amounts[at], lost[at].copy_negate() if missing > 0 else lost[at], at)
    )
    step = unit if missing > 0 else unit.copy_negate()
    for turn in range(abs(missing)):
        at = order[turn % len(order)]
        floors[at] = exact.add(floors[at], step)
    return [ShownAmount(amount, _unsigned_zero(cents)) for amount, cents in zip(amounts, floors, strict=True)]


def _written(amount: Decimal) -> str:
    return (MINUS if amount < 0 else "") + _unsigned(amount)


def _sign(amount: Decimal) -> str:
    return "+" if amount > 0 else MINUS if amount < 0 else ""


def _unsigned(amount: Decimal) -> str:
    return f"{amount.copy_abs():,f}"


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-decimals_of(currency))


def _unsigned_zero(value: Decimal) -> Decimal:
    return value or value.copy_abs()
