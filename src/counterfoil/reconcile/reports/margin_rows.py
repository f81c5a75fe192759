"""What was earned, for a ledger with sale prices: rows of revenue, cost and margin that add up as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.ledger_matching.margins import Margin
from counterfoil.reconcile.reports.shown_amounts import ShownAmount, shown_adding_up, shown_by_itself

MARGINS_SHOWN_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class MarginRow:
    """The margin of a customer or a product, of all others together, or of all."""

    key: str
    name: str
    revenue: ShownAmount
    cost: ShownAmount
    margin: ShownAmount
    bought_not_sold: ShownAmount
    sold_not_bought: ShownAmount


@dataclass(frozen=True, slots=True)
class MarginTable:
    """The margins of one grouping, the least first, and their sum."""

    word: str
    groups: int
    rows: tuple[MarginRow, ...]
    total: MarginRow


def margin_table(word: str, margins: Sequence[Margin], total: Margin, currency: str) -> MarginTable:
    """Return the table of the least margins; what is not there by name is one row."""
    listed = [*margins[:MARGINS_SHOWN_MAX]]
    if rest := margins[MARGINS_SHOWN_MAX:]:
        listed.append(together(rest, f"{len(rest):,} more"))
    whole = _rows([total], currency, None)[0]
    return MarginTable(word, len(margins), tuple(_rows(listed, currency, whole)), whole)


def together(margins: Sequence[Margin], name: str) -> Margin:
    """Return several margins as one."""
    sums = zip(*(_amounts(each) for each in margins), strict=True)
    return Margin("", name, *(exact.total(column) for column in sums))


def _amounts(margin: Margin) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return margin.revenue, margin.cost, margin.bought_not_sold, margin.sold_not_bought


def _rows(margins: Sequence[Margin], currency: str, total: MarginRow | None) -> list[MarginRow]:
    if not margins:
        return []
    columns = []
    for at, amounts in enumerate(zip(*(_amounts(each) for each in margins), strict=True)):
        if total is None:
            columns.append([shown_by_itself(amount, currency) for amount in amounts])
        else:
            whole = (total.revenue, total.cost, total.bought_not_sold, total.sold_not_bought)[at]
            columns.append(shown_adding_up(amounts, currency, whole.cents))
    return [
        MarginRow(
            each.key,
            each.name or each.key or "(none)",
            revenue,
            cost,
            ShownAmount(each.margin, exact.subtract(revenue.cents, cost.cents)),
            bought,
            sold,
        )
        for each, revenue, cost, bought, sold in zip(margins, *columns, strict=True)
    ]
