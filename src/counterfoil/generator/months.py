"""The month a file is about, its days and its exchange rate; never the clock's month.

An unbilled scope says its month. An invoice does not: its month is drawn from its id alone, so that the
reconciliation and the usage of one invoice agree on it, whatever their seeds.
"""

from __future__ import annotations

from calendar import monthrange
from decimal import Decimal
from typing import Self

from counterfoil.generator import amounts
from counterfoil.generator.draws import Draws
from counterfoil.model import Scope
from counterfoil.periods import BillingPeriod

PRICING_CURRENCY = "USD"
_FIRST_INVOICED = 2025 * 12  # January 2025, as a count of months
_MONTHS_INVOICED = 22
_RATE_PLACES = 12
# About what a dollar buys; the digits behind are drawn. An unknown currency counts as one to one.
_PER_DOLLAR = {
    "AUD": 1_530_000, "BRL": 5_400_000, "CAD": 1_370_000, "CHF": 880_000, "CNY": 7_150_000, "CZK": 22_700_000,
    "DKK": 6_840_000, "EUR": 920_000, "GBP": 780_000, "HUF": 361_000_000, "INR": 84_100_000, "JPY": 149_000_000,
    "KRW": 1_370_000_000, "MXN": 18_300_000, "NOK": 10_700_000, "NZD": 1_660_000, "PLN": 3_950_000,
    "SEK": 10_400_000, "ZAR": 18_100_000,
}  # fmt: skip


class Month(BillingPeriod):
    """One calendar month, with what a file of that month needs."""

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return the month of a scope."""
        if not scope.is_billed:
            return cls.parse(scope.period)
        count = _FIRST_INVOICED + Draws("month of invoice", scope.invoice).below(_MONTHS_INVOICED)
        return cls(count // 12, count % 12 + 1)

    def shifted(self, months: int) -> Month:
        """Return the month so many months later, kept within the years 1 to 9999."""
        count = self.year * 12 + self.month - 1 + months
        count = min(max(count, 12), 9999 * 12 + 11)
        return Month(count // 12, count % 12 + 1)

    @property
    def length_days(self) -> int:
        """How many days it has."""
        return monthrange(self.year, self.month)[1]

    def day(self, number: int) -> str:
        """Return the date of a day, without a time; counts from 1."""
        return f"{self}-{number:02}"

    def start(self) -> str:
        """Return the first moment."""
        return f"{self.day(1)}T00:00:00Z"

    def end(self) -> str:
        """Return the last second."""
        return f"{self.day(self.length_days)}T23:59:59Z"

    def rate(self, pricing: str, billing: str) -> Decimal:
        """Return the exchange rate of the month: 1 within a currency, else a number of twelve decimals."""
        if pricing == billing:
            return Decimal(1)
        around = _PER_DOLLAR.get(billing, 1_000_000) * 10**_RATE_PLACES // _PER_DOLLAR.get(pricing, 1_000_000)
        moved = 950_000_000 + Draws("rate", pricing, billing, str(self)).below(100_000_000)
        # An odd last digit: the text never ends in a zero that somebody could drop unseen.
        return amounts.scaled(around * moved // 10**9 | 1, _RATE_PLACES)
