"""What of a change of tax follows the amount, and what is another rate of tax. Both are `tax`; notes tell them apart.

No formula for tax is published, so a rate is what tax and net come to. Taxes are rounded, so rates that agree to a cent
are one rate.
"""

from __future__ import annotations

from decimal import Decimal

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.differences import Cause, Causes


def add_tax(causes: Causes, left: Charge, right: Charge, unit: Decimal) -> None:
    """Add right's tax less left's."""
    moved = exact.subtract(right.tax, left.tax)
    if not moved:
        return
    follows = _follows(left, right, moved, unit)
    causes.add(Cause.TAX, follows, f"{follows:f} follows the amount")
    rate = exact.subtract(moved, follows)
    causes.add(Cause.TAX, rate, f"{rate:f} is another rate of tax")


def _follows(left: Charge, right: Charge, moved: Decimal, unit: Decimal) -> Decimal:
    if left.net == right.net:
        return exact.ZERO
    if not left.net or not right.net:
        return moved
    ratio = exact.divide(right.net, left.net)
    places = max(exact.places_shown(unit), exact.places_shown(left.tax), exact.places_shown(right.tax))
    ahead = exact.to_places(exact.scale(left.tax, ratio), places)  # what right's tax would be at left's rate
    back = exact.to_places(exact.divide(exact.scale(right.tax, left.net), right.net), places)
    apart = exact.magnitude(exact.subtract(ahead, right.tax)), exact.magnitude(exact.subtract(back, left.tax))
    if min(apart) <= unit:
        return moved
    return exact.mean(exact.subtract(ahead, left.tax), exact.subtract(right.tax, back))
