"""What to ask a source for, checked before anything is sent.

Both APIs know two unbilled periods, the running month and the one before, and no other. A month given as `YYYY-MM`
is turned into one of these words by the business clock; which month the source then takes, its own clock decides.
"""

from __future__ import annotations

from datetime import datetime

from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.wire.graph import ExportRequest, Period


def ask_billed(kind: Kind, invoice: str, attributes: AttributeSet = AttributeSet.FULL) -> ExportRequest:
    """Ask for the line items of one invoice; raises UsageError."""
    return ExportRequest(kind, attributes, invoice=Scope.billed(invoice).invoice)


def ask_unbilled(
    kind: Kind, period: str, currency: str, attributes: AttributeSet = AttributeSet.FULL, *, now: datetime
) -> ExportRequest:
    """Ask for what was not yet invoiced of `current`, `last` (or `previous`), or a month; raises UsageError."""
    this_month = BillingPeriod.containing(now)
    scope = Scope.unbilled(this_month, currency)
    return ExportRequest(kind, attributes, period=_period(period, this_month), currency=scope.currency)


def _period(text: str, this_month: BillingPeriod) -> Period:
    words = {"current": Period.CURRENT, "last": Period.LAST, "previous": Period.LAST}
    if (word := words.get(text.lower())) is not None:
        return word
    month = BillingPeriod.parse(text)
    if month == this_month:
        return Period.CURRENT
    if month == this_month.last:
        return Period.LAST
    raise UsageError(
        f"Unbilled line items of {month} cannot be asked for.",
        remedy=f"Sources offer {this_month} (current) and {this_month.last} (last) only.",
    )
