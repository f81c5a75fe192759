"""Why a charge is on one side only, and charges that moved to another customer, subscription or product.

The trap is the order of the reasons: the first that fits is given. A credit for September in October's invoice is a
credit, and late use that is also a new customer's is late use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.differences import Cause, CauseAmount, Causes, Difference
from counterfoil.reconcile.explaining.pairs import add_outside_total, causes_of

REASONS = (
    Cause.DUPLICATE,
    Cause.CREDIT,
    Cause.LATE_USAGE,
    Cause.OTHER_PERIOD,
    Cause.CANCELLED,
    Cause.NEW,
    Cause.VANISHED,
)
_CREDIT = re.compile("credit", re.IGNORECASE)
_TAKEN_BACK = re.compile("cancel|refund|return", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a line item without a partner tells beside its numbers, and what the other side has of its customer.

    `day` is UsageDate, or ChargeStartDate of a licence. `period` is the first and the last day of what is compared, or
    None where it has no period. `has_twin` says that an identical line item was matched already.
    """

    charge_type: str = ""
    credit_reason_code: str = ""
    day: date | None = None
    period: tuple[date, date] | None = None
    has_twin: bool = False
    customer_on_other_side: bool = True
    subscription_on_other_side: bool = True


def reason_for(charge: Charge, circumstances: Circumstances, *, on_the_right: bool) -> tuple[Cause, str]:
    """Return why this charge is on one side only, and a note for the reader, which may be empty."""
    told = circumstances
    if told.has_twin:
        return Cause.DUPLICATE, "an identical line item was matched already"
    if told.credit_reason_code:
        return Cause.CREDIT, f"CreditReasonCode {told.credit_reason_code}"
    if _CREDIT.search(told.charge_type):
        return Cause.CREDIT, f"ChargeType {told.charge_type}"
    if told.day is not None and told.period is not None:
        first, last = told.period
        if told.day < first and charge.metered:
            return Cause.LATE_USAGE, f"used on {told.day}, before {first}"
        if not first <= told.day <= last:
            return Cause.OTHER_PERIOD, f"of {told.day}, outside {first} to {last}"
    if _TAKEN_BACK.search(told.charge_type):
        return Cause.CANCELLED, f"ChargeType {told.charge_type}"
    return Cause.NEW if on_the_right else Cause.VANISHED, _whose(told)


def _whose(told: Circumstances) -> str:
    if not told.customer_on_other_side:
        return "the other side has nothing of this customer"
    if not told.subscription_on_other_side:
        return "the other side has nothing of this subscription"
    return "the other side has other line items of this subscription"


def explain_one_sided(charge: Charge, reason: Cause, *, on_the_right: bool, note: str = "") -> Difference:
    """Return a charge without a partner as a difference: its net has the reason, its tax is tax.

    Raises UsageError for a cause that is no reason for a charge on one side.
    """
    if reason not in REASONS:
        raise UsageError(
            f"{reason} is no reason for a charge on one side.",
            remedy=f"Give one of {', '.join(REASONS)}.",
            parameter="reason",
        )
    causes = Causes()
    causes.add(reason, _signed(charge.net, on_the_right=on_the_right), note)
    causes.add(Cause.TAX, _signed(charge.tax, on_the_right=on_the_right), "of a charge on one side")
    add_outside_total(causes, _signed(charge.outside_total, on_the_right=on_the_right))
    return causes.of((), (charge,)) if on_the_right else causes.of((charge,), ())


def explain_moved(left: Charge, right: Charge, attribute: str, *, unit: Decimal = exact.CENT) -> Difference:
    """Return a charge whose key changed: `key changed` of 0, and whatever else its numbers differ by.

    It moves no money in all, but from one customer, subscription or product to another.
    """
    found = causes_of(left, right, unit).of((left,), (right,))
    moved = CauseAmount(Cause.KEY_CHANGED, exact.ZERO)
    note = f"{Cause.KEY_CHANGED}: {attribute} differs"
    return Difference((left,), (right,), (*found.causes, moved), (*found.notes, note))


def _signed(amount: Decimal, *, on_the_right: bool) -> Decimal:
    return amount if on_the_right else exact.negated(amount)
