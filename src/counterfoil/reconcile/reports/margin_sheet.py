"""The sheet of a workbook that says what was earned of each customer, for a ledger with sale prices."""

from __future__ import annotations

from typing import Final

from counterfoil.reconcile.ledger_matching.margins import Margins
from counterfoil.reconcile.reports.margin_rows import together
from counterfoil.reconcile.reports.report_book import EXACT_WIDTH, ROWS_MAX, ReportBook

_ROWS_MAX: Final = ROWS_MAX - 10


def write_margins(book: ReportBook, margins: Margins, currency: str) -> None:
    """Write revenue, cost and margin of each customer, the least first. Margins are formulas, and so are sums."""
    sheet = book.sheet("Margin", (38, 32, 18, 18, 18, EXACT_WIDTH, 18, 18))
    amounts = (f"{word}, {currency}" for word in ("Revenue", "Cost", "Margin"))
    leaks = (f"Bought, not sold, {currency}", f"Sold, not bought, {currency}")
    headings = ("CustomerId", "CustomerName", *amounts, "Exact margin", *leaks)
    book.headings(sheet, 0, headings, lines=2, frozen_columns=2)
    found = margins.by_customer()
    rest = found[_ROWS_MAX:]
    rows = [*found[:_ROWS_MAX], *([together(rest, f"{len(rest):,} more")] if rest else [])]
    for row, each in enumerate(rows, 1):
        book.text(sheet, row, 0, each.key)
        book.text(sheet, row, 1, each.name)
        book.number(sheet, row, 2, each.revenue)
        book.number(sheet, row, 3, each.cost)
        book.formula(sheet, row, 4, f"=C{row + 1}-D{row + 1}", each.margin)
        book.exact_text(sheet, row, 5, each.margin)
        book.number(sheet, row, 6, each.bought_not_sold)
        book.number(sheet, row, 7, each.sold_not_bought)
    total = margins.total
    sums = {2: total.revenue, 3: total.cost, 4: total.margin, 6: total.bought_not_sold, 7: total.sold_not_bought}
    book.sums(sheet, len(rows), sums, len(headings))
