"""Sides that are no two views of one thing: refused with what to change, before anything is matched.

The trap that this is against: two sides with nothing in common compare without an error, and every line of the one is
`vanished` and every line of the other `new`. Whoever reads that takes it for an answer.
"""

from __future__ import annotations

from typing import Final

from counterfoil.columns import table_of
from counterfoil.errors import SideError
from counterfoil.periods import BillingPeriod
from counterfoil.reconcile.comparing.choosing import Surveys, is_billed
from counterfoil.reconcile.comparing.comparison import Comparing
from counterfoil.reconcile.comparing.surveys import Survey
from counterfoil.reconcile.sides.side import Side

_IN_THE_MONTH_MIN: Final = 4  # one line item of so many, where most are of another month


def refuse_other_kinds(comparing: Comparing | None, left: Side, right: Side) -> None:
    """Raise SideError for sides of two kinds, unless those are compared, and for a ledger where none is asked for."""
    ledger = next((side for side in (left, right) if side.ledger is not None), None)
    if ledger is not None and comparing not in {None, Comparing.LEDGER}:
        raise SideError(
            f"{ledger.name} is a ledger, which is not compared as {comparing}.",
            remedy="Compare it as a ledger.",
            parameter=f"comparing={Comparing.LEDGER}",
        )
    if ledger is None and comparing is Comparing.LEDGER:
        raise SideError(
            f"Neither {left.name} nor {right.name} is a ledger.",
            remedy="Name the ledger as ledger:FILE, with the mapping that says what its columns are.",
            parameter="mapping",
        )
    if left.kind is right.kind or comparing in {Comparing.PLAN, Comparing.LEDGER}:
        return
    raise SideError(
        f"{left.name} holds {left.kind} line items, and {right.name} {right.kind} line items.",
        remedy="Name two sides of one kind; metered charges against the usage behind them are another comparison.",
        parameter=f"comparing={Comparing.PLAN}",
    )


def refuse_what_is_no_answer(comparing: Comparing, surveys: Surveys, period: BillingPeriod | None, asked: str) -> None:
    """Raise SideError with what to change, for sides that must not be compared as this."""
    left, right = surveys
    _refuse_currencies(left, right)
    _refuse_partners(left, right)
    if comparing is Comparing.REVISIONS:
        _refuse_datasets(left, right)
    if comparing is Comparing.UNBILLED_BILLED:
        _refuse_bills(left, right)
    if period is not None:
        for survey in surveys:
            if table_of(survey.side.kind).date in survey.held:  # a ledger may tell no date
                _refuse_period(survey, str(period), asked)
    if comparing is not Comparing.LEDGER and not left.customers & right.customers:
        raise SideError(
            f"{left.side.name} and {right.side.name} have no customer in common, so nothing could be compared.",
            remedy="Check that both are of the same partner, month and reseller.",
        )


def _refuse_currencies(left: Survey, right: Survey) -> None:
    if left.currency != right.currency:
        raise SideError(
            f"{left.side.name} is in {left.currency}, and {right.side.name} in {right.currency}: amounts in two "
            "currencies cannot be compared.",
            remedy="Name sides in one currency, or the currency that counts where a side has several.",
            parameter="currency",
        )


def _refuse_partners(left: Survey, right: Survey) -> None:
    mine, theirs = left.partners - {""}, right.partners - {""}
    if mine and theirs and not mine & theirs:
        raise SideError(
            f"{left.side.name} is of the partner {min(mine)}, and {right.side.name} of {min(theirs)}.",
            remedy="Name two sides of one partner.",
            parameter="partner",
        )


def _refuse_datasets(left: Survey, right: Survey) -> None:
    mine, theirs = left.side, right.side
    if mine.scope is not None and theirs.scope is not None and mine.scope != theirs.scope:
        raise SideError(
            f"{mine.name} is {mine.scope}, and {theirs.name} is {theirs.scope}: these are two datasets, and revisions "
            "are states of one.",
            remedy="Name two revisions of one dataset, or an unbilled month and its invoice.",
        )
    if mine.revision and mine.revision == theirs.revision:
        raise SideError(
            f"{mine.name} and {theirs.name} are the same revision, {mine.revision}.",
            remedy="Name another revision; `counterfoil show` lists them.",
        )
    invoices = left.invoices - {""}, right.invoices - {""}
    if all(invoices) and not invoices[0] & invoices[1]:
        raise SideError(
            f"{mine.name} is of the invoice {min(invoices[0]).upper()}, and {theirs.name} of "
            f"{min(invoices[1]).upper()}: these are two datasets, and revisions are states of one.",
            remedy="Name two states of one invoice, or an unbilled month and its invoice.",
        )


def _refuse_bills(left: Survey, right: Survey) -> None:
    if is_billed(left) == is_billed(right):
        state = "billed" if is_billed(left) else "unbilled"
        raise SideError(
            f"{left.side.name} and {right.side.name} are both {state}.",
            remedy="Name an unbilled month and the invoice that bills it, or compare them as two revisions.",
            parameter=f"comparing={Comparing.REVISIONS}",
        )


def _refuse_period(survey: Survey, month: str, asked: str) -> None:
    """Refuse a side of which most line items are of another month, and few or none of this one."""
    months = survey.months()
    within = months.get(month, 0)
    most = max(months, key=lambda each: (months[each], each))
    if within and (asked or most == month or within * _IN_THE_MONTH_MIN >= survey.line_items):
        return
    few = f"{within:,} of {survey.line_items:,} line items" if within else "no line item"
    dated = f"are of {most}" if most else f"have no {table_of(survey.side.kind).date}"
    raise SideError(
        f"{survey.side.name} holds {few} of {month}; most of its line items {dated}.",
        remedy="Name the side of that month, or the month that both are about.",
        parameter="period",
    )
