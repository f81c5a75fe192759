"""What a side adds up to as one HTML file: its totals, and who costs how much of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.printable_text import counted, printable
from counterfoil.reconcile.reports.page_layout import write_page
from counterfoil.reconcile.reports.shown_amounts import ShownAmount, shown_adding_up, shown_by_itself
from counterfoil.reconcile.reports.side_words import SideWords, meanings_of, words_of_side
from counterfoil.reconcile.reports.waterfall import WIDTH, Bar, from_zero
from counterfoil.reconcile.side_totals import By, SideTotals, shown

_IN_WORDS: Final = {
    "Subtotal": "Before tax",
    "TaxTotal": "Tax",
    "Total": "With tax",
    "BillingPreTaxTotal": "Before tax",
}


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """One customer, product, day ...: its amounts in the order of the totals, and its share in words."""

    key: str
    name: str
    line_items: int
    amounts: tuple[ShownAmount, ...]
    share: str
    bar: Bar


def write_totals_page(totals: SideTotals, path: Path | str) -> None:
    """Write the page.

    Raises UsageError where there is something of that name already or no folder, and CounterfoilError if it cannot be
    written. Then there is no file.
    """
    words = words_of_side(totals.side)
    cards = [(_IN_WORDS[name], shown_by_itself(amount, totals.currency)) for name, amount in totals.totals.items()]
    gross = cards[-1][1]
    phrase = words.phrase[:1].upper() + words.phrase[1:] if words.phrase.startswith("the ") else words.phrase
    values = {
        "totals": totals,
        "currency": totals.currency,
        "title": f"{phrase} comes to {gross.text} {totals.currency}",
        "lead": list(_lead(totals)),
        "words": words,
        "cards": cards,
        "by": "" if totals.by is None else totals.by.value.replace("-", " "),
        "is_by_size": totals.by is not By.DAY,
        "rows": _rows(totals, [amount for _, amount in cards]),
        "width": WIDTH,
        "facts": list(_facts(totals, words)),
        "meanings": meanings_of([words]),
    }
    write_page(Path(path), "totals.html", values)


def _lead(totals: SideTotals) -> Iterator[str]:
    yield f"{counted(totals.line_items, 'line item')}, added up exactly."
    if totals.expected is None or totals.difference is None:
        return
    expected = f"{shown(totals.expected)} {totals.currency} was expected {_IN_WORDS[totals.gross_name].lower()}"
    if totals.is_as_expected:
        yield f"{expected}, and that is what it is, to the last digit."
    else:
        more = "more" if totals.difference > 0 else "less"
        yield f"{expected}. It is {shown(totals.difference.copy_abs())} {more}."


def _rows(totals: SideTotals, whole: list[ShownAmount]) -> list[TotalsRow]:
    groups = [*totals.groups, *([totals.others] if totals.others else [])]
    if not groups:
        return []
    columns = [
        shown_adding_up([group.amounts[name] for group in groups], totals.currency, total.cents)
        for name, total in zip(totals.totals, whole, strict=True)
    ]
    bars = from_zero([group.amounts[totals.gross_name] for group in groups])
    return [
        TotalsRow(
            group.key,
            group.name or group.key or "(none)",
            group.line_items,
            tuple(column[at] for column in columns),
            "" if group.share is None else f"{group.share} %",
            bars[at],
        )
        for at, group in enumerate(groups)
    ]


def _facts(totals: SideTotals, words: SideWords) -> Iterator[tuple[str, str]]:
    side = totals.side
    told = {
        "State": words.state,
        "Proof": words.proof,
        "Named as": side.name,
        "Source": side.what,
        "eTag": side.etag,
        "Revision": side.revision,
        "Line items": f"{totals.line_items:,}",
        **{f"Exact {name}": shown(amount) for name, amount in totals.totals.items()},
    }
    yield from ((what, printable(text)) for what, text in told.items() if text)
