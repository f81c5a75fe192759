"""Why two charges that were matched differ."""

from __future__ import annotations

from decimal import Decimal

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.differences import Cause, Causes, Difference
from counterfoil.reconcile.explaining.factors import factor_amounts
from counterfoil.reconcile.explaining.parts import Parts, parts_of
from counterfoil.reconcile.explaining.tax import add_tax


def explain(left: Charge, right: Charge, *, unit: Decimal = exact.CENT) -> Difference:
    """Return the causes of right less left. No causes: they come to the same, to the last digit, for the same reasons.

    `unit` is the amount that formulas round to: 0.01, or 1 for a currency without cents. Raises UsageError if it is no
    power of ten.
    """
    causes = causes_of(left, right, unit)
    return causes.of((left,), (right,))


def causes_of(left: Charge, right: Charge, unit: Decimal) -> Causes:
    """Find the causes of right less left; see `explain`."""
    check_unit(unit)
    causes = Causes()
    a, b = parts_of(left, right, unit)
    for cause, amount in factor_amounts(a, b, unit).items():
        if amount:
            causes.add(cause, amount, _note(cause, a, b, left, right))
    misstated = exact.subtract(b.misstated, a.misstated)
    causes.add(Cause.UNEXPLAINED, misstated, "the amount does not follow from price, quantity and rate")
    add_tax(causes, left, right, unit)
    add_outside_total(causes, exact.subtract(right.outside_total, left.outside_total))
    return causes


def add_outside_total(causes: Causes, amount: Decimal) -> None:
    """Add what totals hold beside net and tax."""
    causes.add(Cause.UNEXPLAINED, amount, "the total is not net and tax")


def check_unit(unit: Decimal) -> None:
    """Raise UsageError unless this is 1, 0.1, 0.01 ..."""
    sign, digits, exponent = unit.as_tuple()
    if sign or digits != (1,) or not isinstance(exponent, int) or exponent > 0:
        raise UsageError(
            f"{unit} is not the smallest amount of a currency.", remedy="Give 0.01, or 1.", parameter="unit"
        )


def _note(cause: Cause, a: Parts, b: Parts, left: Charge, right: Charge) -> str:
    if cause is Cause.ROUNDING:
        if a.rounding is b.rounding:
            return f"{a.rounding} on both sides, of different amounts"
        return f"{a.rounding} on the left, {b.rounding} on the right"
    priced_in = left.pricing_currency, right.pricing_currency
    if cause is Cause.UNIT_PRICE and all(priced_in) and priced_in[0].casefold() != priced_in[1].casefold():
        return f"priced in {priced_in[0]} on the left, in {priced_in[1]} on the right"
    return ""
