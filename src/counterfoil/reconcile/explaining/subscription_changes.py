"""A change of a subscription in mid-term: the rest is refunded in one line item, the new state charged in another.

Both are on one side. The refund, with its sign turned, is what was charged before, so the two are explained as a pair:
-1 x 3.87 and 2 x 3.87 is one seat more. A conversion is from one product to another, whose factors cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.differences import Cause, Causes, Difference
from counterfoil.reconcile.explaining.pairs import add_outside_total, causes_of


def explain_change(first: Charge, second: Charge, *, on_the_right: bool, unit: Decimal = exact.CENT) -> Difference:
    """Return the causes of a change of seats or of price, given its refund and its charge in either order."""
    refund, charge = (second, first) if second.net < first.net else (first, second)
    causes = causes_of(refund.reversed(), charge, unit)
    if not on_the_right:
        causes = causes_of(charge, refund.reversed(), unit)
    return _of_side(causes, (refund, charge), on_the_right=on_the_right)


def explain_conversion(charges: Sequence[Charge], *, on_the_right: bool) -> Difference:
    """Return the refunds and charges of a conversion as one difference: their net is `conversion`, their tax is tax.

    A partial upgrade may have several of each. Raises UsageError for no charges at all.
    """
    if not charges:
        raise UsageError("A conversion has no charges.", remedy="Give refunds and charges.", parameter="charges")
    sums = {
        Cause.CONVERSION: exact.total(charge.net for charge in charges),
        Cause.TAX: exact.total(charge.tax for charge in charges),
    }
    causes = Causes()
    for cause, amount in sums.items():
        causes.add(cause, amount if on_the_right else exact.negated(amount))
    outside = exact.total(charge.outside_total for charge in charges)
    add_outside_total(causes, outside if on_the_right else exact.negated(outside))
    return _of_side(causes, tuple(charges), on_the_right=on_the_right)


def _of_side(causes: Causes, charges: tuple[Charge, ...], *, on_the_right: bool) -> Difference:
    return causes.of((), charges) if on_the_right else causes.of(charges, ())
