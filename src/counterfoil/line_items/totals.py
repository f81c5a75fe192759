"""Counting line items, and summing their amounts exactly, by currency and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.line_items.line_shapes import PLAIN_NUMBER
from counterfoil.model import Kind

_SUMMED: Final = pa.decimal256(76, 40)  # 13 digits before the point, 40 after, and room for 10**23 of them


def summed_names(kind: Kind) -> tuple[str, ...]:
    """Return the columns that totals are made from: the currency, then the amounts."""
    table = table_of(kind)
    return (table.currency, *table.totals)


@dataclass(slots=True)
class Totals:
    """How many line items there are, and their exact sums: `totals[currency][column]`, '' for no currency.

    `without` counts, by column, the line items that have no amount there, and so are not in its sum.
    """

    line_items: int = 0
    totals: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    without: Counter[str] = field(default_factory=Counter, compare=False)

    @classmethod
    def of(cls, line_items: int, totals: Mapping[str, Mapping[str, str]]) -> Totals:
        """Return the totals that were written down as `line_items` and `plain_totals`; raises decimal's errors."""
        exact = {
            currency: {column: numbers.exact(text) for column, text in sums.items()}
            for currency, sums in totals.items()
        }
        return cls(line_items, exact)

    def add_batch(self, kind: Kind, batch: pa.RecordBatch) -> None:
        """Add line items, given at least as their `summed_names` in checked texts, which may be dictionaries."""
        currency, *columns = summed_names(kind)
        currencies = pc.unique(batch[currency])
        if len(currencies) == 1:
            self.without += Counter({name: batch[name].null_count for name in columns})
            sums = {name: _sum(batch[name].cast(pa.string())) for name in columns}
            self.merge(Totals(batch.num_rows, {currencies.cast(pa.string())[0].as_py() or "": sums}))
        else:
            self.add(batch[currency].to_pylist(), {name: batch[name].to_pylist() for name in columns})

    def add(self, currencies: Sequence[str | None], amounts: Mapping[str, Sequence[str | None]]) -> None:
        """Add line items one by one: the currency of each, and by column the text of each amount (None: no amount)."""
        self.line_items += len(currencies)
        self.without += Counter({column: sum(not text for text in texts) for column, texts in amounts.items()})
        distinct = set(currencies)
        for currency in sorted(distinct, key=lambda code: code or ""):
            sums = self.totals.setdefault(currency or "", {})
            for column, texts in amounts.items():
                mine = (
                    texts
                    if len(distinct) == 1
                    else [text for text, code in zip(texts, currencies, strict=True) if code == currency]
                )
                numbers.add_to(sums, column, numbers.total(text for text in mine if text))

    def merge(self, other: Totals) -> None:
        """Add what another counted."""
        self.line_items += other.line_items
        self.without += other.without
        for currency, sums in other.totals.items():
            mine = self.totals.setdefault(currency, {})
            for column, value in sums.items():
                numbers.add_to(mine, column, value)

    def plain_totals(self) -> dict[str, dict[str, str]]:
        """The sums by currency and column, written out in full."""
        return {
            currency: {column: numbers.plain(value) for column, value in sums.items()}
            for currency, sums in self.totals.items()
        }


def _sum(texts: pa.StringArray) -> Decimal:
    """Return the exact sum, with as many decimals as the longest addend has: as adding one by one would write it."""
    plain = pc.match_substring_regex(texts, PLAIN_NUMBER)  # digits that 256 bits can add
    odd = numbers.total(text for text in texts.filter(pc.invert(plain)).to_pylist() if text)
    texts = texts.filter(plain)
    point = pc.find_substring(texts, ".")
    decimals = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(pc.utf8_length(texts), point), 1))
    places = pc.max(decimals).as_py() or 0
    sign, digits, _ = (pc.sum(texts.cast(_SUMMED)).as_py() or Decimal(0)).as_tuple()
    whole = int("".join(map(str, digits))) // 10 ** (_SUMMED.scale - places) if any(digits) else 0
    return numbers.add(odd, Decimal((sign if whole else 0, tuple(map(int, str(whole))), -places)))
