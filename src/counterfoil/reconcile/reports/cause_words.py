"""What a report calls each cause, and the sentence that says what it means.

Written for somebody who has to approve a bill and has never seen a line item. `LEFT` and `RIGHT` in a sentence become
the titles of the two sides. `Missing` is missing on the right, which came; the left is what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from counterfoil.reconcile.explaining.differences import Cause


class CauseWords(NamedTuple):
    """The name of a cause in a report, and what it means."""

    title: str
    meaning: str


_WORDS: Final[Mapping[Cause, CauseWords]] = {
    Cause.QUANTITY: CauseWords("Quantity", "More or fewer seats, or more or less use."),
    Cause.UNIT_PRICE: CauseWords("Unit price", "The list price of one unit differs."),
    Cause.PRORATION: CauseWords("Proration", "Another part of the month or year is charged."),
    Cause.EARNED_CREDIT: CauseWords(
        "Partner earned credit", "The partner earned credit is on one side only, or its percentage differs."
    ),
    Cause.CREDIT: CauseWords("Credit", "Money given back, or use that a credit covers."),
    Cause.DISCOUNT: CauseWords("Discount", "The discount or promotion on the list price differs."),
    Cause.EXCHANGE_RATE: CauseWords("Exchange rate", "The rate from the currency of the prices to that of the bill."),
    Cause.ROUNDING: CauseWords("Rounding", "What rounding to cents adds or takes away differs."),
    Cause.TAX: CauseWords("Tax", "All of the difference of tax. The other causes are before tax."),
    Cause.UNEXPLAINED: CauseWords("Unexplained", "No rule explains this part. Ask whoever issued the bill."),
    Cause.DUPLICATE: CauseWords("Duplicate", "The same line item stands more often on one side."),
    Cause.LATE_USAGE: CauseWords("Late usage", "Use of an earlier month, reported after that month was closed."),
    Cause.OTHER_PERIOD: CauseWords("Other period", "The charge is dated outside the period that is compared."),
    Cause.CANCELLED: CauseWords("Cancelled", "A cancellation or refund that is on one side only."),
    Cause.NEW: CauseWords("New line items", "Line items that only RIGHT has."),
    Cause.VANISHED: CauseWords("Missing line items", "Line items that only LEFT has."),
    Cause.KEY_CHANGED: CauseWords(
        "Moved", "The same charge, under another customer, subscription or product. The total stays the same."
    ),
    Cause.CONVERSION: CauseWords("Conversion", "One product was exchanged for another, such as an upgrade."),
}


def words_of(cause: Cause, left: str, right: str) -> CauseWords:
    """Return the words for a cause between two sides of these titles."""
    # Each text has one placeholder at most, so nothing in a title is taken for another.
    return CauseWords(*(_named(text, left, right) for text in _WORDS[cause]))


def titles_of_causes(left: str, right: str) -> dict[str, str]:
    """Return what every cause is called between two sides of these titles."""
    return {cause.value: words_of(cause, left, right).title for cause in Cause}


def _named(text: str, left: str, right: str) -> str:
    before, found, after = text.partition("LEFT")
    if found:
        return f"{before}{left}{after}"
    before, found, after = text.partition("RIGHT")
    return f"{before}{right}{after}" if found else text
