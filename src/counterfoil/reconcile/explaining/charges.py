"""What one side says of a charge, as far as money is concerned.

The trap: None is "not told", never zero. A ledger without prices has no price of 0, and one without rates no rate of 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cached_property

from counterfoil.errors import UsageError
from counterfoil.reconcile.explaining import arithmetic as exact


@dataclass(frozen=True)
class ChargedDays:
    """How many days of a charge cycle are charged: 29 of 30. Not reduced: a reader knows 28 of 30, not 14 of 15."""

    days: int = 1
    cycle: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.days <= self.cycle:
            raise UsageError(
                f"{self.days} of {self.cycle} days cannot be charged.",
                remedy="A charge covers at least one day, and no more than its cycle has.",
                parameter="charged_days",
            )

    @cached_property
    def ratio(self) -> Decimal:
        """The share of the cycle, to 200 digits."""
        return exact.divide(Decimal(self.days), Decimal(self.cycle))

    @property
    def whole(self) -> bool:
        """Whether all of the cycle is charged."""
        return self.days == self.cycle


WHOLE = ChargedDays()


@dataclass(frozen=True, slots=True)
class Charge:
    """The numbers of one line item, or of one line of a ledger, which may tell of fewer.

    `net` is Subtotal (BillingPreTaxTotal for daily usage), `price` EffectiveUnitPrice, `list_price` UnitPrice, `rate`
    PCToBCExchangeRate; `earned_credit` and `credit` are percentages, 0 to 100. Where `total` is not told, it is net and
    tax. A refund may carry its sign on the quantity or on the price: both are read. Raises UsageError for a value that
    is no finite Decimal, so that no float comes in.
    """

    net: Decimal
    quantity: Decimal | None = None
    list_price: Decimal | None = None
    price: Decimal | None = None
    rate: Decimal | None = None
    tax: Decimal = exact.ZERO
    total: Decimal | None = None
    metered: bool = False
    charged_days: ChargedDays = WHOLE
    earned_credit: Decimal = exact.ZERO
    credit: Decimal = exact.ZERO
    pricing_currency: str = ""

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, Decimal):
                if value.is_finite():
                    continue
            elif value is None and name in _MAY_BE_UNTOLD:
                continue
            raise UsageError(
                f"{name} is {value!r}, which is no exact number.",
                remedy="Give a finite Decimal, made from the text of the amount.",
                parameter=name,
            )

    @property
    def outside_total(self) -> Decimal:
        """What the total holds beside net and tax: 0, unless the line does not add up."""
        return exact.ZERO if self.total is None else exact.subtract(self.total, exact.add(self.net, self.tax))

    @property
    def gross(self) -> Decimal:
        """The total as stated, or net and tax."""
        return exact.add(self.net, self.tax) if self.total is None else self.total

    def reversed(self) -> Charge:
        """Return the charge that this one takes back: the same with the sign of its amounts turned."""
        return replace(
            self,
            net=exact.negated(self.net),
            tax=exact.negated(self.tax),
            total=None if self.total is None else exact.negated(self.total),
            quantity=None if self.quantity is None else exact.negated(self.quantity),
        )


_MAY_BE_UNTOLD = {"quantity", "list_price", "price", "rate", "total"}
_NUMBERS = tuple(each.name for each in fields(Charge) if "Decimal" in each.type)
