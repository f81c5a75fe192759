"""One difference, and what one group comes to on either side: the parts that a comparison is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.model import Kind
from counterfoil.reconcile.explaining import Cause, CauseAmount
from counterfoil.reconcile.matching import Line, Stage
from counterfoil.reconcile.side_totals import shown

TABLES: Final = ("differences", "causes", "left_lines", "right_lines")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """What a customer, subscription, product ... comes to on each side, and the causes that sum to the difference."""

    key: str
    name: str
    left: Decimal
    right: Decimal
    causes: Mapping[Cause, Decimal] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal:
        """The total of the right less that of the left."""
        return numbers.subtract(self.right, self.left)

    def to_json(self) -> dict[str, object]:
        """Return the members of the group, amounts as texts with all their digits."""
        return {
            "key": self.key,
            "name": self.name,
            "left": shown(self.left),
            "right": shown(self.right),
            "difference": shown(self.difference),
            "causes": {cause.value: shown(amount) for cause, amount in self.causes.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDifference:
    """Line items that belong together and are not equal: what they differ in, and why they come to another amount.

    Lines that differ in words alone have no cause, nor an amount. `attributes` are the names of those that differ, for
    one line on either side. `number` counts the differences of a comparison from 1.
    """

    number: int
    stage: Stage
    left: tuple[Line, ...]
    right: tuple[Line, ...]
    amount: Decimal
    causes: tuple[CauseAmount, ...] = ()
    notes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    @property
    def customer(self) -> str:
        """The CustomerId, of the right where both sides have one."""
        return self.told("CustomerId")

    @property
    def subscription(self) -> str:
        """The SubscriptionId, of the right where both sides have one."""
        return self.told("SubscriptionId")

    @property
    def product(self) -> str:
        """The ProductId, of the right where both sides have one."""
        return self.told("ProductId")

    def told(self, attribute: str) -> str:
        """Return what the first line that tells the attribute says, of the right before the left; '' if none does."""
        for line in (*self.right, *self.left):
            if text := line.attributes.get(attribute):
                return text
        return ""

    def to_json(self) -> dict[str, object]:
        """Return the difference with all attributes of its lines, amounts as texts with all their digits."""
        return {
            "number": self.number,
            "stage": self.stage.value,
            "difference": shown(self.amount),
            "causes": [{"cause": each.cause.value, "amount": shown(each.amount)} for each in self.causes],
            "notes": list(self.notes),
            "attributes": list(self.attributes),
            "left": [_line_json(line) for line in self.left],
            "right": [_line_json(line) for line in self.right],
        }


def net_and_total(kind: Kind) -> tuple[str, str]:
    """Return the attributes that are compared: before tax, and with it. Usage line items have no tax."""
    names = table_of(kind).totals
    return names[0], names[-1]


def _line_json(line: Line) -> dict[str, object]:
    return {"lineItem": line.number, **{name: text for name, text in line.attributes.items() if text}}
