"""Exact sums of line items by customer, product, subscription and day, in memory that does not grow with the file.

The first 20,000 customers are counted one by one, and likewise products, subscriptions and days; those met later go
together to one row of others. So every row is the exact sum of all its line items, and all rows add up to the total.
Amounts of two currencies are never added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import pyarrow as pa

from counterfoil import numbers
from counterfoil.client.output_files.headings import texts_of
from counterfoil.columns import table_of
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind

KEYS_MAX: Final = 20_000
KEY_LENGTH_MAX: Final = 255  # a longer one is no id, and is counted among the others
_DAY_LENGTH: Final = len("2026-11-20")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What line items are added up by: the attribute with its id, and the one with its name (the same, if none)."""

    word: str
    key: str
    label: str

    @property
    def is_by_day(self) -> bool:
        """Whether its keys are days, which are listed in their order."""
        return self.word == "day"


@dataclass(slots=True)
class GroupSums:
    """The line items of one group: how many, and the exact sum of each amount, in the order of the kind's totals."""

    key: str
    label: str
    currency: str
    sums: list[Decimal]
    line_items: int = 0

    def add(self, amounts: Sequence[Decimal]) -> None:
        """Add one line item."""
        self.line_items += 1
        self.sums = [numbers.add(mine, more) for mine, more in zip(self.sums, amounts, strict=True)]

    def merge(self, other: GroupSums) -> None:
        """Add all of another group."""
        self.line_items += other.line_items
        self.sums = [numbers.add(mine, more) for mine, more in zip(self.sums, other.sums, strict=True)]


def groupings_of(kind: Kind) -> tuple[Grouping, ...]:
    """Return what the line items of a kind are added up by."""
    return (
        Grouping("customer", "CustomerId", "CustomerName"),
        Grouping("product", "ProductId", "ProductName"),
        Grouping("subscription", "SubscriptionId", "SubscriptionDescription"),
        Grouping("day", table_of(kind).date, table_of(kind).date),
    )


@dataclass(slots=True)
class Breakdown:
    """Sums of line items by each grouping of their kind, and over all."""

    kind: Kind
    keys_max: int = KEYS_MAX
    total: Totals = field(default_factory=Totals)
    _groups: dict[tuple[str, str, str], GroupSums] = field(default_factory=dict)
    _others: dict[tuple[str, str], GroupSums] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add line items, given as columns of checked texts."""
        table = table_of(self.kind)
        self.total.add_batch(self.kind, batch)
        currencies = texts_of(batch, table.currency).to_pylist()
        columns = [texts_of(batch, name).to_pylist() for name in table.totals]
        amounts = [[numbers.exact(text or "0") for text in row] for row in zip(*columns, strict=True)]
        for grouping in groupings_of(self.kind):
            keys = texts_of(batch, grouping.key).to_pylist()
            labels = texts_of(batch, grouping.label).to_pylist()
            for key, label, currency, row in zip(keys, labels, currencies, amounts, strict=True):
                self._group_of(grouping, key, label, currency).add(row)

    def _group_of(self, grouping: Grouping, key: str, label: str, currency: str) -> GroupSums:
        if grouping.is_by_day:
            key = label = key[:_DAY_LENGTH]
        name = (grouping.word, currency, key or label)
        found = self._groups.get(name)
        if found is not None:
            return found
        nothing = [Decimal(0)] * len(table_of(self.kind).totals)
        if self._counts.get(grouping.word, 0) >= self.keys_max or len(name[2]) > KEY_LENGTH_MAX:
            return self._others.setdefault(name[:2], GroupSums("", "", currency, nothing))
        self._counts[grouping.word] = self._counts.get(grouping.word, 0) + 1
        return self._groups.setdefault(name, GroupSums(key, label[:KEY_LENGTH_MAX], currency, nothing))

    @property
    def currencies(self) -> list[str]:
        """The currencies met, in their order."""
        return sorted(self.total.totals)

    def groups(self, grouping: Grouping, currency: str) -> list[GroupSums]:
        """Return the groups in one currency: days in their order, others by the size of their last amount."""
        found = [sums for name, sums in self._groups.items() if name[:2] == (grouping.word, currency)]
        if grouping.is_by_day:
            return sorted(found, key=lambda each: each.key)
        return sorted(found, key=lambda each: (-abs(each.sums[-1]), each.key, each.label))

    def others(self, grouping: Grouping, currency: str) -> GroupSums | None:
        """Return what was not counted one by one, if there is anything."""
        return self._others.get((grouping.word, currency))
