"""What a reader is told before the figures, and which conventions the figures rest on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from counterfoil.model import Kind
from counterfoil.money import Money
from counterfoil.reconcile.comparing.choosing import Surveys
from counterfoil.reconcile.comparing.comparison import Comparing, ReportWarning
from counterfoil.reconcile.comparing.surveys import Survey
from counterfoil.reconcile.explaining import arithmetic as exact

_LISTED_MAX: Final = 5

CONVENTIONS: Final = (
    "Always right minus left. Causes are amounts before tax, and all of the tax is in the cause tax.",
    "What two factors do together is halved between them.",
    "Which of several line items with one key belong together is decided by their amount, quantity and price.",
    "Where several sets of list price, days and credits explain a price, the first of the smallest sets is taken.",
    "Tax that follows the amount is the mean of both sides' rates; what is left is another rate of tax.",
    "A line item on one side has the first reason that fits, in the order of the documentation.",
)


def warnings_of(
    comparing: Comparing, surveys: Surveys, period: tuple[date, date] | None, *, partnered: tuple[int, int]
) -> Iterator[ReportWarning]:
    """Yield what a reader must know. `partnered` is how many line items of each side found a partner."""
    for survey, found in zip(surveys, partnered, strict=True):
        if survey.side.ledger is not None:
            yield from (
                ReportWarning("ledger", f"{survey.side.name}: {told}") for told in survey.side.ledger.findings.told()
            )
        if 2 * found < survey.line_items:
            yield ReportWarning(
                "few-matched",
                f"Only {found:,} of {survey.line_items:,} line items of {survey.side.name} have a partner on the "
                "other side. Check that the two belong together.",
            )
    if comparing not in {Comparing.PLAN, Comparing.LEDGER} and surveys[0].held != surveys[1].held:
        less, more = sorted(surveys, key=lambda survey: len(survey.held))
        yield ReportWarning(
            "attribute-sets",
            f"{less.side.name} holds {len(less.held)} attributes and {more.side.name} {len(more.held)}; only those of "
            "both are compared.",
        )
    if period is not None:
        yield from _days_without(comparing, surveys, period)
        for survey in surveys:
            yield from _outside(survey, period)


def respelled(pairs: int) -> str:
    """Return the convention that pairs of line items were counted as equal by."""
    return (
        "Numbers, dates and ids that are written differently and mean the same, such as 24.0 and 24, count as equal. "
        f"Pairs of line items that are equal but for that: {pairs:,}."
    )


def _days_without(comparing: Comparing, surveys: Surveys, period: tuple[date, date]) -> Iterator[ReportWarning]:
    """Yield days that one side has use on and the other has none. Licences are charged on few days of a month."""
    if comparing is Comparing.LEDGER or any(survey.side.kind is not Kind.USAGE for survey in surveys):
        return
    first, last = (each.isoformat() for each in period)
    for survey, other in (surveys, surveys[::-1]):
        missing = sorted(day for day in other.days if first <= day <= last and day not in survey.days)
        if missing:
            more = f" and {len(missing) - _LISTED_MAX} more days" if len(missing) > _LISTED_MAX else ""
            yield ReportWarning(
                "days-missing",
                f"{survey.side.name} has no use on {', '.join(missing[:_LISTED_MAX])}{more}, and the other side has.",
            )


def _outside(survey: Survey, period: tuple[date, date]) -> Iterator[ReportWarning]:
    first, last = (each.isoformat() for each in period)
    outside = [group for day, group in survey.days.items() if day and not first <= day <= last]
    if outside:
        line_items = sum(group.line_items for group in outside)
        which = "1 line item is" if line_items == 1 else f"{line_items:,} line items are"
        amount = Money(exact.total(group.amounts[-1] for group in outside), survey.currency).shown()
        yield ReportWarning(
            "outside-period", f"{survey.side.name}: {which} dated outside {first} to {last}, {amount} together."
        )
