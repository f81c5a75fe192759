"""What the values of a ledger's columns look like, so that a mapping can be drafted from them and not from names alone.

Some rows are looked at. What they do not decide is asked and never guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from counterfoil.line_items.dates import local_reading
from counterfoil.line_items.values import UNSEEN, NumberText, Refused
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerRow
from counterfoil.reconcile.sides.ledgers.ledger_values import CURRENCY_SIGNS, LedgerForms

_GUID: Final = re.compile(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)
_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_LOCAL: Final = re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{4}(?:[ T].*)?", re.ASCII)
_MOST: Final = 0.9  # an empty or odd value among many does not make a column something else


@dataclass(slots=True)
class SampledColumn:
    """The values that are told in a column, in the order of its rows."""

    heading: str
    values: list[str] = field(default_factory=list)

    @property
    def are_guids(self) -> bool:
        """Whether nearly all values are GUIDs."""
        return self._most(bool(_GUID.fullmatch(value)) for value in self.values)

    @property
    def are_currencies(self) -> bool:
        """Whether all values could be the codes of a few currencies."""
        return bool(self.values) and all(_CODE.fullmatch(each) for each in self.values) and len(set(self.values)) <= 8

    @property
    def are_amounts(self) -> bool:
        """Whether nearly all values are numbers, whichever sign is before their decimals."""
        return self._most(isinstance(value, NumberText) or bool(decimals_of([value])) for value in self.values)

    @property
    def distinct(self) -> int:
        """How many values there are, in any letter case."""
        return len({value.casefold() for value in self.values})

    def _most(self, verdicts: Iterable[bool]) -> bool:
        found = list(verdicts)
        return bool(found) and sum(found) >= _MOST * len(found)


def sampled(headings: Iterable[str], rows: Iterable[LedgerRow]) -> list[SampledColumn]:
    """Return the columns, and what is in these rows of them."""
    columns = [SampledColumn(" ".join(heading.split())) for heading in headings]
    for row in rows:
        for column, cell in zip(columns, row.cells, strict=False):
            if text := cell.strip(UNSEEN):
                column.values.append(cell if isinstance(cell, NumberText) else text)
    return columns


def decimals_of(texts: Iterable[str]) -> str:
    """Return the signs that may be before the decimals of these amounts: both of `.,`, one, or none."""
    return "".join(sign for sign in ".," if all(_reads(LedgerForms(decimal=sign), text) for text in texts))


def needs_decimal(texts: Iterable[str]) -> bool:
    """Whether a mapping has to say which sign is before the decimals of these amounts."""
    return not all(_reads(LedgerForms(), text) for text in texts)


def _reads(forms: LedgerForms, text: str) -> bool:
    try:
        forms.amount(text, "")
    except Refused:
        return False
    return True


def currencies_in(texts: Iterable[str]) -> Counter[str]:
    """Return the currencies that the signs in amounts stand for, those that stand for one only."""
    found = Counter[str]()
    for text in texts:
        for sign, codes in CURRENCY_SIGNS.items():
            if len(codes) == 1 and not sign.isalpha() and sign in text:
                found[codes[0]] += 1
        found.update(code for code in re.findall(r"\b[A-Z]{3}\b", text))
    return found


def date_orders(texts: Iterable[str]) -> set[str]:
    """Return the orders, dmy or mdy, in which all local dates among these can be read; empty where there is none."""
    local = [text for text in texts if _LOCAL.fullmatch(text)]
    if not local:
        return set()
    orders = {"dmy": False, "mdy": True}
    return {
        name
        for name, month_first in orders.items()
        if all(local_reading(text, month_first=month_first) for text in local)
    }
