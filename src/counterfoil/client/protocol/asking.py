"""What to ask a source for, checked before anything is sent.

Both APIs offer two unbilled periods, the running month and the one before. A month given as `YYYY-MM` is turned into
one of these words by the business clock; the source's own clock decides which month the word means. `last` names
another month each month, so an `Ask` remembers which one it meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from counterfoil.errors import UsageError
from counterfoil.model import AttributeSet, Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.wire.graph import ExportRequest, Period

Word = TypeVar("Word", bound=StrEnum)


class Api(StrEnum):
    """The two APIs that a source may speak."""

    GRAPH = "graph"
    V1 = "v1"


@dataclass(frozen=True, slots=True)
class Ask(ExportRequest):
    """An export request, and for an unbilled period the month (`YYYY-MM`) that it meant when it was made.

    `ahead` is how far the clock that it was made by is ahead of this machine's: zero, except in tests.
    """

    month: str = ""
    ahead: timedelta = field(default=timedelta(), compare=False, repr=False)


def word_of(words: type[Word], given: str) -> Word:
    """Return one of an enumeration's words, given as it is or as its text; raises UsageError."""
    try:
        return words(given)
    except ValueError:
        raise UsageError(f"{given!r} is none of {', '.join(words)}.") from None


def ask_billed(kind: Kind | str, invoice: str, attributes: AttributeSet | str = AttributeSet.FULL) -> Ask:
    """Ask for the line items of one invoice; raises UsageError for a value that cannot be right."""
    return Ask(word_of(Kind, kind), word_of(AttributeSet, attributes), invoice=Scope.billed(invoice).invoice)


def ask_unbilled(
    kind: Kind | str, period: str, currency: str, attributes: AttributeSet | str = AttributeSet.FULL, *, now: datetime
) -> Ask:
    """Ask for what is not yet invoiced of `current`, `last` (or `previous`), or a month as `YYYY-MM`.

    `now` is an aware datetime: a month that is neither the current nor the last one by then raises UsageError, as
    does any other value that cannot be right.
    """
    this_month = BillingPeriod.containing(now)
    scope = Scope.unbilled(this_month, currency)
    word = _period(period, this_month)
    month = this_month if word is Period.CURRENT else this_month.last
    return Ask(
        word_of(Kind, kind),
        word_of(AttributeSet, attributes),
        period=word,
        currency=scope.currency,
        month=str(month),
        ahead=now.astimezone(UTC) - utc_now(),
    )


def business_now(ask: ExportRequest, now: datetime) -> datetime:
    """Return the time by the clock that a request was made by; `now` is by this machine's."""
    return now + ask.ahead if isinstance(ask, Ask) else now


def as_of(ask: ExportRequest, now: datetime) -> ExportRequest:
    """Return the request with the word that means its month now; raises UsageError where no word does any more."""
    if not isinstance(ask, Ask) or not ask.month:
        return ask
    return replace(ask, period=_period(ask.month, BillingPeriod.containing(business_now(ask, now))))


def month_of(ask: ExportRequest, now: datetime) -> str:
    """Return the month (`YYYY-MM`) that an unbilled request means."""
    if isinstance(ask, Ask) and ask.month:
        return ask.month
    this_month = BillingPeriod.containing(now)
    return str(this_month if ask.period is Period.CURRENT else this_month.last)


def _period(text: str, this_month: BillingPeriod) -> Period:
    words = {"current": Period.CURRENT, "last": Period.LAST, "previous": Period.LAST}
    if (word := words.get(text.lower())) is not None:
        return word
    try:
        month = BillingPeriod.parse(text)
    except UsageError as error:
        raise UsageError(
            error.message, remedy="Give current, last, or a month as YYYY-MM.", parameter="period"
        ) from None
    if month == this_month:
        return Period.CURRENT
    if month == this_month.last:
        return Period.LAST
    raise UsageError(
        f"Unbilled line items of {month} cannot be asked for.",
        remedy=f"Sources offer {this_month} (current) and {this_month.last} (last) only.",
    )
