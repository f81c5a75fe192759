"""The first two sentences of a report: by how much the sides differ, and mostly why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from counterfoil.printable_text import counted
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.matching import Stage
from counterfoil.reconcile.reports.shown_amounts import MINUS, ShownAmount, shown_by_itself
from counterfoil.reconcile.reports.side_words import SideWords

_NAMED_MAX: Final = 3
Named = tuple[str, ShownAmount]  # what has an amount in a sentence, and the amount


def headline(comparison: Comparison, sides: tuple[SideWords, SideWords], difference: ShownAmount) -> str:
    """Return the sentence that says it all: which side is higher, and by how much."""
    currency = comparison.currency
    left, right = (words.phrase for words in sides)
    right = right[:1].upper() + right[1:] if right.startswith("the ") else right
    if difference.exact:
        # Less than a cent is told with every digit: nothing is "0.00 higher".
        amount = difference.text if difference.cents else difference.digits
        than = "higher" if difference.exact > 0 else "lower"
        return f"{right} is {amount.removeprefix(MINUS)} {currency} {than} than {left}"
    total = shown_by_itself(comparison.right.total, currency).text
    if comparison.is_equal:
        return f"{right} equals {left}, line item by line item: {total} {currency}"
    return f"{right} and {left} both come to {total} {currency}, but not with the same line items"


def lead(comparison: Comparison, causes: Sequence[Named], customers: Sequence[Named] = ()) -> list[str]:
    """Return the sentences below the headline. `causes` and `customers` are the largest first."""
    if comparison.is_equal:
        return [f"All {counted(comparison.stages.get(Stage.IDENTICAL, 0), 'line item')} of both sides are identical."]
    with_amount = [each for each in causes if each[1].exact]
    sentences = []
    if with_amount:
        rest = max(len(with_amount) - _NAMED_MAX, 0)
        more = f" {counted(rest, 'smaller cause')} make up the rest." if rest > 1 else ""
        more = more or (" One smaller cause makes up the rest." if rest else "")
        sentences.append(f"{'Mostly' if rest else 'Why'}: {_listed(with_amount)} {comparison.currency}.{more}")
    elif causes:
        sentences.append("Amounts moved, and nothing was added to them or taken away.")
    else:
        sentences.append(f"{counted(comparison.found, 'difference')} in words alone: every amount is the same.")
    sentences.append(_explained(comparison))
    if len(customers) > 1:
        sentences.append(f"Largest at {_listed(customers)} {comparison.currency}.")
    return sentences


def _listed(named: Sequence[Named]) -> str:
    return "; ".join(f"{title} {amount.signed}" for title, amount in named[:_NAMED_MAX])


def _explained(comparison: Comparison) -> str:
    unexplained = shown_by_itself(comparison.unexplained, comparison.currency)
    if unexplained.exact:
        amount = unexplained.signed if unexplained.cents else unexplained.signed_digits
        return f"Of this, {amount} {comparison.currency} is unexplained."
    parts = sum(total.differences for cause, total in comparison.causes.items() if cause == "unexplained")
    if parts:
        return f"{counted(parts, 'difference')} have unexplained parts, which sum to zero."
    return "Every cent is explained." if comparison.causes else ""
