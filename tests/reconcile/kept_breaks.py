"""Breaks kept for tests: files named alike in each run of a month are compared, and the breaks kept beside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from counterfoil import reconcile
from counterfoil.reconcile import Comparing, breaks
from counterfoil.reconcile.breaks import RecordedBreaks
from counterfoil.reconcile.side_totals import shown
from tests.reconcile.sides import Item, lines_file, usage

OCTOBER, NOVEMBER = "2026-10", "2026-11"
CREDIT = {"ChargeType": "customerCredit", "UsageDate": "2026-11-05T00:00:00Z"}


def compared(
    folder: Path, left: Iterable[Item], right: Iterable[Item], *, period: str = OCTOBER, swapped: bool = False
) -> RecordedBreaks:
    """Write two files, named alike in each run of a period, compare them and keep the breaks beside them."""
    files = [lines_file(folder / f"{side}-{period}.jsonl", items) for side, items in (("left", left), ("right", right))]
    one, other = map(str, reversed(files) if swapped else files)
    with reconcile.compare(one, other, comparing=Comparing.REVISIONS, period=period) as made:
        return breaks.record(made, folder, by="tester")


def states(folder: Path) -> dict[int, tuple[str, str, str]]:
    return {each.number: (each.cause.value, shown(each.amount), each.state.value) for each in breaks.listed(folder)}


def more(amount: str, quantity: str, **told: str) -> dict[str, str]:
    """A line item of one unit price, 1, so that another quantity is the cause of a difference."""
    price = {"UnitPrice": "1", "EffectiveUnitPrice": "1", "Quantity": quantity, "PricingCurrency": "EUR"}
    return usage(amount) | price | {"PricingPreTaxTotal": amount} | told


TEN, TWELVE, FIFTEEN = more("10", "10"), more("12", "12"), more("15", "15")
SAME = more("7", "7", SubscriptionId="s9")
