"""Amounts as people read them: `3,754,295.27 EUR`. The only place where an amount is rounded to be shown.

What is shown is rounded half to even, to the decimals that the currency has. The exact value is always there beside
it: in JSON, in receipts, and where somebody asks for every digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from counterfoil import numbers

DECIMALS_USUAL: Final = 2
# ISO 4217, of the currencies that have not two decimals.
_DECIMALS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_ROUNDING: Final = Context(prec=200, Emin=-9999, Emax=9999, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in a currency; '' is no currency."""

    value: Decimal
    currency: str

    @property
    def is_rounded(self) -> bool:
        """Whether it has digits that are not shown."""
        return self._rounded() != self.value

    def shown(self, *, exact: bool = False) -> str:
        """Return it with its currency: rounded to the currency's decimals, or with every digit.

        Every digit is at least the currency's decimals; zeros behind those go.
        """
        if not exact or not self.is_rounded:
            return f"{self._rounded():,f} {self.currency}".rstrip()
        return f"{self.value:,f}".rstrip("0") + f" {self.currency}".rstrip()

    def _rounded(self) -> Decimal:
        rounded = self.value.quantize(Decimal(1).scaleb(-decimals_of(self.currency)), context=_ROUNDING)
        return rounded or rounded.copy_abs()  # never -0.00


def decimals_of(currency: str) -> int:
    """Return how many decimals amounts in a currency are shown with; two where the currency is not known."""
    return _DECIMALS.get(currency, DECIMALS_USUAL)


def money_of(totals: Mapping[str, Mapping[str, str]], column: str) -> list[Money]:
    """Return the sum of a column in each currency, from totals as receipts have them: `totals[currency][column]`."""
    return [Money(numbers.exact(sums[column]), currency) for currency, sums in totals.items() if column in sums]
