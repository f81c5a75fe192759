"""What was earned: what customers pay by the ledger, less what the provider charges, by customer and by product.

Two leaks are found: what was bought and not sold, and what was sold and not bought.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from counterfoil import numbers
from counterfoil.reconcile.side_totals import shown

_ZERO = Decimal(0)


@dataclass(slots=True)
class Margin:
    """Revenue and cost of one customer, of one product, or of all. Amounts are exact, and before tax as the ledger is.

    `bought_not_sold` is the cost of what has no revenue, `sold_not_bought` the revenue of what has no cost.
    """

    key: str = ""
    name: str = ""
    revenue: Decimal = _ZERO
    cost: Decimal = _ZERO
    bought_not_sold: Decimal = _ZERO
    sold_not_bought: Decimal = _ZERO

    @property
    def margin(self) -> Decimal:
        """Revenue less cost."""
        return numbers.subtract(self.revenue, self.cost)

    def add(self, revenue: Decimal, cost: Decimal) -> None:
        """Add what belongs together on both sides; a zero means that there is none."""
        self.revenue = numbers.add(self.revenue, revenue)
        self.cost = numbers.add(self.cost, cost)
        if not revenue:
            self.bought_not_sold = numbers.add(self.bought_not_sold, cost)
        if not cost:
            self.sold_not_bought = numbers.add(self.sold_not_bought, revenue)

    def to_json(self) -> dict[str, object]:
        """Return the amounts as texts with all their digits."""
        told: dict[str, object] = {"key": self.key, "name": self.name} if self.key or self.name else {}
        return told | {
            "revenue": shown(self.revenue),
            "cost": shown(self.cost),
            "margin": shown(self.margin),
            "boughtNotSold": shown(self.bought_not_sold),
            "soldNotBought": shown(self.sold_not_bought),
        }


@dataclass(slots=True)
class Margins:
    """The margin of all, and of each customer and product, in any letter case of their ids."""

    total: Margin = field(default_factory=Margin)
    customers: dict[str, Margin] = field(default_factory=dict)
    products: dict[str, Margin] = field(default_factory=dict)

    def add(self, customer: tuple[str, str], product: tuple[str, str], revenue: Decimal, cost: Decimal) -> None:
        """Add a charge of a customer for a product, each as id and name."""
        self.total.add(revenue, cost)
        for (key, name), margins in ((customer, self.customers), (product, self.products)):
            margin = margins.setdefault(key.lower(), Margin(key, name))
            margin.name = margin.name or name
            margin.add(revenue, cost)

    def by_customer(self) -> tuple[Margin, ...]:
        """Return the margin of each customer, the smallest first: that is where money is lost."""
        return _ordered(self.customers)

    def by_product(self) -> tuple[Margin, ...]:
        """Return the margin of each product, the smallest first."""
        return _ordered(self.products)

    def to_json(self, top: int | None = None) -> dict[str, object]:
        """Return the totals and both breakdowns, of at most `top` each."""
        return self.total.to_json() | {
            "byCustomer": [each.to_json() for each in self.by_customer()[:top]],
            "byProduct": [each.to_json() for each in self.by_product()[:top]],
        }


def _ordered(margins: dict[str, Margin]) -> tuple[Margin, ...]:
    return tuple(margins[key] for key in sorted(margins, key=lambda key: (margins[key].margin, key)))
