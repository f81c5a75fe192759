"""Which part of its charge cycle a charge covers. Dates are inclusive, as Microsoft writes them.

The trap: a cycle is a month or a year from one day to the day before it comes round, whatever its number of days; and
one bought on the 31st ends early in short months. This calendar is a deliberate duplicate of what the generator and the
ground know of months: see the package.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from counterfoil.reconcile.explaining.charges import WHOLE, ChargedDays

CYCLE_MONTHS = (1, 3, 12, 36)
_DAY = timedelta(days=1)


def charged_days(start: date | None, end: date | None) -> ChargedDays:
    """Return how many days of the cycle that ends with `end` are charged.

    Whole months, quarters, years and three years are whole; so are a charge without dates (perpetual software has no
    end) and one longer than every cycle. 31 January to 27 February is whole; 11 June to 9 July is 29 of 30 days.
    """
    if start is None or end is None or end < start or end == date.max:
        return WHOLE
    after = end + _DAY
    if any(_months_on(start, months) == after for months in CYCLE_MONTHS):
        return WHOLE
    days = (after - start).days
    for months in CYCLE_MONTHS:
        begin = _months_on(after, -months)
        cycle = (after - begin).days if begin else 0
        if days <= cycle:
            return ChargedDays(days, cycle)
    return WHOLE


def _months_on(day: date, months: int) -> date | None:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        return None
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
