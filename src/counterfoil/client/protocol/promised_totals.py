"""The count and exact totals that a manifest or a page promises, and comparing what arrived with them.

What was not promised cannot be proven, and the receipt says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Final

from counterfoil import numbers
from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.messages import NOT_THE_SOURCE, SourceAnswer, is_whole_text
from counterfoil.errors import ProofError
from counterfoil.line_items.totals import Totals

_TOTAL_LENGTH_MAX: Final = 200
_COLUMNS_MAX: Final = 20


class GarbledError(ProofError):
    """The answer makes no sense; it may have been damaged on the way, so it is asked for again."""


class ChangedError(ProofError):
    """The source has other data than when the pull began; the pull can start over."""


def garbled(answer: SourceAnswer, what: str, why: str) -> GarbledError:
    """Return the error for an answer that is not `what` it should be, and why."""
    remedy = "Trying again is safe; if it stays so, the source does not speak this API."
    if answer.is_for_people:
        why, remedy = " but a page for people", NOT_THE_SOURCE
    return GarbledError(f"What should be {what} is not{why} ({answer.request_ids}).", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Promise:
    """The count and totals that a source gives for everything it delivers; None for what it does not give."""

    line_items: int | None = None
    currency: str | None = None
    totals: Mapping[str, str] | None = None

    def check(self, arrived: Totals) -> None:
        """Compare what arrived with the promise; raises ProofError that names the first difference."""
        if self.line_items is not None and self.line_items != arrived.line_items:
            raise ProofError(
                f"{arrived.line_items:,} line items arrived, and {self.line_items:,} were promised.", remedy=TRY_AGAIN
            )
        if self.totals is None:
            return
        if arrived.line_items and list(arrived.totals) != [self.currency or ""]:
            found = ", ".join(sorted(shown(code) for code in arrived.totals))
            raise ProofError(f"Amounts arrived in {found}, and were promised in {shown(self.currency or '')}.")
        sums = arrived.totals.get(self.currency or "", {})
        for column, text in self.totals.items():
            value = sums.get(column)
            if value is None and arrived.line_items:
                continue  # a total of a column that we do not sum
            if (value or Decimal(0)) != numbers.exact(text):
                raise ProofError(
                    f"The exact sum of {shown(column)} is {numbers.plain(value or Decimal(0))}, and "
                    f"{shown(text)} was promised.",
                    remedy=TRY_AGAIN,
                )

    def covers(self, columns: Sequence[str]) -> bool:
        """Whether the totals of all these columns were promised."""
        return self.totals is not None and set(columns) <= set(self.totals)


TRY_AGAIN: Final = "Trying again is safe."


def read_totals(listed: object) -> tuple[dict[str, str] | None, str | None]:
    """Read the totals a source promises: exact texts by column, and their currency; raises ProofError."""
    if listed is None:
        return None, None
    if not isinstance(listed, dict) or len(listed) > _COLUMNS_MAX:
        raise ProofError("The source's totals are not an object of texts by column.")
    totals = {str(name): value for name, value in listed.items()}
    currency = totals.pop("currency", "")
    for name, text in totals.items():
        if not is_total(text):
            raise ProofError(f"The source's total of {shown(name)} is {shown(str(text))!r}, and not a number.")
    if not all(map(is_whole_text, totals)):
        raise ProofError("The source's totals have a name that holds half a surrogate pair.")
    if not isinstance(currency, str) or not is_whole_text(currency):
        raise ProofError("The currency of the source's totals is not a text.")
    return totals, currency


def is_total(text: object) -> bool:
    """Whether a value is the text of an exact sum."""
    # Not why_not_a_number: a sum may be larger and longer than any amount.
    if not isinstance(text, str) or len(text) > _TOTAL_LENGTH_MAX or numbers.NUMBER.fullmatch(text) is None:
        return False
    try:
        numbers.exact(text)
    except DecimalException:
        return False
    return True
