"""Whether a difference is within what FOCUS allows between a bill and its usage: a note, which changes no exit code.

FOCUS 1.4 allows 100 of the currency's smallest units, or half a unit times the root of the line items, whichever is
more, before tax (FOCUS_Spec, `specification/appendix/rounding_variance_tolerance.md`). The trap: Microsoft cuts per
meter and subscription, so an honest bill can be beyond it.
"""

from __future__ import annotations

from decimal import Decimal
from math import isqrt
from typing import Final

from counterfoil.money import Money, decimals_of
from counterfoil.reconcile.explaining import arithmetic as exact

_UNITS: Final = 100
_SHOWN_PLACES: Final = 3  # beyond those that the currency has


def is_within_tolerance(difference: Money, line_items: int) -> bool:
    """Whether FOCUS allows a difference before tax, for so many line items."""
    units = _moved(exact.magnitude(difference.value), decimals_of(difference.currency))
    twice = exact.add(units, units)
    return units <= _UNITS or exact.multiply(twice, twice) <= line_items


def tolerance_note(difference: Money, line_items: int) -> str:
    """Return the verdict as a sentence."""
    # Half the root, cut to three decimals of a unit.
    root = isqrt(line_items * 10 ** (2 * _SHOWN_PLACES) // 4)
    limit = _moved(max(_moved(Decimal(root), -_SHOWN_PLACES), Decimal(_UNITS)), -decimals_of(difference.currency))
    verdict = "within" if is_within_tolerance(difference, line_items) else "beyond"
    allowed = Money(exact.trimmed(limit), difference.currency).shown(exact=True)
    return (
        f"The difference before tax is {verdict} what FOCUS 1.4 allows for {line_items:,} line items, {allowed}. "
        "Nothing is left out for that."
    )


def _moved(value: Decimal, places: int) -> Decimal:
    """Move the point, all digits kept."""
    return exact.multiply(value, exact.ONE.scaleb(places))
