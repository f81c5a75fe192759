"""What is compared, and over which month, where nobody says it: found from what the sides are and what they hold."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from counterfoil.errors import UsageError, member_of
from counterfoil.periods import BillingPeriod
from counterfoil.reconcile.comparing.comparison import Comparing
from counterfoil.reconcile.comparing.surveys import Survey

Surveys = tuple[Survey, Survey]


def comparing_of(text: Comparing | str) -> Comparing:
    """Return what somebody asks to compare; raises UsageError for what is nothing of the kind."""
    return member_of(Comparing, text, f"{text!r} is no comparison.", "comparing")


def inferred(surveys: Surveys) -> Comparing:
    """Return the comparison that fits these sides of one kind.

    An invoice against what is not billed is `unbilled-billed`. Our copy against somebody else's is `copy`. Two states
    of one thing are `revisions`. One's own ledger against the provider's bill is `ledger`.
    """
    left, right = surveys
    if left.side.ledger is not None or right.side.ledger is not None:
        return Comparing.LEDGER
    if is_billed(left) != is_billed(right):
        return Comparing.UNBILLED_BILLED
    return Comparing.REVISIONS if left.side.origin == right.side.origin else Comparing.COPY


def is_billed(survey: Survey) -> bool:
    """Whether the line items of a side are those of an invoice."""
    scope = survey.side.scope
    return scope.is_billed if scope is not None else bool(survey.invoices - {""})


def period_of(asked: str, surveys: Surveys) -> BillingPeriod | None:
    """Return the month that is compared: the one asked for, that of an unbilled side, or that of most line items.

    None where no line item has a date. Raises UsageError for a text that is no month.
    """
    if asked:
        return BillingPeriod.parse(asked)
    for survey in surveys:
        if survey.side.scope is not None and survey.side.scope.period:
            return BillingPeriod.parse(survey.side.scope.period)
    together = surveys[0].months()
    for month, line_items in surveys[1].months().items():
        together[month] = together.get(month, 0) + line_items
    for month in sorted(together, key=lambda each: (-together[each], each)):
        try:
            return BillingPeriod.parse(month)
        except UsageError:
            continue
    return None


def days_of(period: BillingPeriod) -> tuple[date, date]:
    """Return the first and the last day of a month."""
    _, last = monthrange(period.year, period.month)
    return date(period.year, period.month, 1), date(period.year, period.month, last)
