"""What a comparison with a ledger says on a terminal of what was earned, and of what leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from counterfoil.cli.output import Output
from counterfoil.money import Money

if TYPE_CHECKING:
    from counterfoil.reconcile import Comparison, Margin


def show_margins(comparison: Comparison, output: Output, *, top: int | None) -> None:
    """Print revenue, cost and margin: of all, then of the customers and products that earn least.

    Without sale prices in a ledger it prints nothing.
    """
    margins = comparison.margins
    if margins is None:
        return
    _print("Margin", [_row(margins.total, "", comparison.currency)], output)
    for heading, groups in (("customer", margins.by_customer()), ("product", margins.by_product())):
        _section(groups, heading, comparison.currency, output, top)


def _section(groups: Sequence[Margin], heading: str, currency: str, output: Output, top: int | None) -> None:
    listed = groups[:top]
    of = f" ({len(listed)} of {len(groups)}, the least first)" if len(listed) < len(groups) else ""
    _print(f"Margin by {heading}{of}", [_row(each, heading, currency) for each in listed], output)


def _print(title: str, rows: Sequence[Mapping[str, object]], output: Output) -> None:
    output.text("", "")
    output.text("", title)
    output.rows(rows)


def _row(margin: Margin, heading: str, currency: str) -> dict[str, object]:
    named: dict[str, object] = {heading: margin.name or margin.key or "(none)"} if heading else {}
    return named | {
        "revenue": Money(margin.revenue, currency),
        "cost": Money(margin.cost, currency),
        "margin": Money(margin.margin, currency),
        "boughtNotSold": Money(margin.bought_not_sold, currency),
        "soldNotBought": Money(margin.sold_not_bought, currency),
    }
