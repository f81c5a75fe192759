"""A comparison as an Excel workbook: a summary with a bridge, tables by customer and subscription, and the line items.

Its sums are formulas with their results stored beside, so a program that does not compute shows them too. The largest
100,000 differences are in it; the tables of the result have all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from counterfoil.errors import SideError
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.comparing.found_difference import GroupDifference
from counterfoil.reconcile.explaining import Cause
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.reports.bridge_rows import Bridge, bridge_of
from counterfoil.reconcile.reports.headline import headline, lead
from counterfoil.reconcile.reports.line_rows import TOLD, line_rows
from counterfoil.reconcile.reports.margin_sheet import write_margins
from counterfoil.reconcile.reports.report_book import EXACT_WIDTH, ROWS_MAX, ReportBook, new_book
from counterfoil.reconcile.reports.report_facts import facts, stages_in_words, words_used
from counterfoil.reconcile.reports.side_words import SideWords, words_of_sides
from counterfoil.reconcile.reports.summary_sheet import LINES, write_chart_data, write_summary
from counterfoil.reconcile.side_totals import By, columns_of_key

LINES_MAX: Final = 100_000
_GROUPINGS: Final = (By.CUSTOMER, By.SUBSCRIPTION)
_GROUPS_MAX: Final = ROWS_MAX - 10
_WIDE: Final = 38  # an id


def write_comparison_workbook(comparison: Comparison, path: Path | str) -> None:
    """Write the workbook.

    Raises UsageError where there is something of that name already or no folder, and CounterfoilError if it cannot be
    written. Then there is no file.
    """
    left, right = words_of_sides(comparison)
    bridge = bridge_of(comparison, left.title, right.title)
    title = headline(comparison, (left, right), bridge.difference)
    sentences = [each for each in lead(comparison, [(row.words.title, row.amount) for row in bridge.rows]) if each]
    with new_book(Path(path), title) as book:
        summary = book.sheet("Summary", (44, 20, EXACT_WIDTH, 13, 20))
        for by in _GROUPINGS:
            _write_groups(book, comparison, by, bridge, (left, right))
        if comparison.margins is not None:
            write_margins(book, comparison.margins, comparison.currency)
        first_rows = _write_lines(book, comparison, bridge, (left, right))
        _write_about(book, comparison, bridge, (left, right))
        warnings = [warning.text for warning in comparison.warnings]
        chart = write_chart_data(book, comparison, bridge, (left, right), first_row=len(sentences) + len(warnings) + 3)
        write_summary(
            book, summary, comparison, bridge, (left, right), [title, *sentences], warnings, first_rows, chart
        )


def _write_groups(
    book: ReportBook, comparison: Comparison, by: By, bridge: Bridge, sides: tuple[SideWords, SideWords]
) -> None:
    """Write a sheet with a row for each group that differs, and a column for each cause."""
    try:
        groups = comparison.by(by)
    except SideError:  # a side with the basic attribute set lacks it
        return
    causes = [Cause(row.cause) for row in bridge.rows]
    key, name = columns_of_key(by, comparison.kind)
    of_left, of_right = (_heading(words, comparison.currency) for words in sides)
    apart = f"Difference, {comparison.currency}"
    headings = [key, name, of_left, of_right, apart, "Exact difference", *(row.words.title for row in bridge.rows)]
    sheet = book.sheet(f"By {by}", [_WIDE, 32, 18, 18, 18, EXACT_WIDTH, *[16] * len(causes)])
    book.headings(sheet, 0, headings, lines=3, frozen_columns=2)
    rows = [*groups[:_GROUPS_MAX], *_others(comparison, groups)]
    for row, group in enumerate(rows, 1):
        book.text(sheet, row, 0, group.key)
        book.text(sheet, row, 1, group.name)
        book.number(sheet, row, 2, group.left)
        book.number(sheet, row, 3, group.right)
        book.number(sheet, row, 4, group.difference)
        book.exact_text(sheet, row, 5, group.difference)
        for at, cause in enumerate(causes, 6):
            if amount := group.causes.get(cause):
                book.number(sheet, row, at, amount)
    sums: dict[int, Decimal] = {2: comparison.left.total, 3: comparison.right.total, 4: comparison.difference}
    for at, cause in enumerate(causes, 6):
        sums[at] = exact.total(group.causes.get(cause, Decimal(0)) for group in rows)
    book.sums(sheet, len(rows), sums, len(headings))


def _heading(words: SideWords, currency: str) -> str:
    return f"{words.title} ({words.state}, {words.proof}), {currency}"


def _others(comparison: Comparison, groups: Sequence[GroupDifference]) -> Iterator[GroupDifference]:
    """Yield the rows of what is not there by name, so that each column has its whole sum."""
    rest = groups[_GROUPS_MAX:]
    if rest:
        causes = {
            cause: exact.total(each.causes.get(cause, Decimal(0)) for each in rest) for cause in comparison.causes
        }
        lefts, rights = exact.total(each.left for each in rest), exact.total(each.right for each in rest)
        words = f"{len(rest):,} more with differences"
        yield GroupDifference(key="", name=words, left=lefts, right=rights, causes=causes)
    left = exact.subtract(comparison.left.total, exact.total(each.left for each in groups))
    right = exact.subtract(comparison.right.total, exact.total(each.right for each in groups))
    if left or right:
        yield GroupDifference(key="", name="All without a difference", left=left, right=right)


def _write_lines(
    book: ReportBook, comparison: Comparison, bridge: Bridge, sides: tuple[SideWords, SideWords]
) -> dict[str, int]:
    """Write the largest differences; returns the row of the first one of each cause, counted from 0."""
    causes = [row.cause for row in bridge.rows]
    titles = {row.cause: row.words.title for row in bridge.rows}
    of_left, of_right = (_heading(words, comparison.currency) for words in sides)
    amounts = (of_left, of_right, f"Difference, {comparison.currency}", "Exact difference")
    headings = ["Number", *TOLD, "Dates", "Matched as", *amounts, *titles.values(), "Attributes that differ", "Notes"]
    widths = [9, 28, _WIDE, _WIDE, 32, 10, 18, 24, 26, 18, 18, 18, EXACT_WIDTH, *[14] * len(causes), 40, 80]
    sheet = book.sheet(LINES, widths)
    book.headings(sheet, 0, headings, lines=3, frozen_columns=2)
    first_rows: dict[str, int] = {}
    sums = {at: Decimal(0) for at in (9, 10, 11, *range(13, 13 + len(causes)))}
    row = 0
    for row, line in enumerate(line_rows(comparison, LINES_MAX, titles), 1):
        sheet.write_number(row, 0, line.number)
        for at, text in enumerate(line.told, 1):
            book.text(sheet, row, at, text)
        cells = [(9, line.left), (10, line.right), (11, line.amount)]
        cells += [(13 + causes.index(cause), amount) for cause, amount in line.causes]
        for at, amount in cells:
            if amount is not None:
                book.number(sheet, row, at, amount)
                sums[at] = exact.add(sums[at], amount)
        book.exact_text(sheet, row, 12, line.amount)
        book.text(sheet, row, 13 + len(causes), line.attributes)
        book.text(sheet, row, 14 + len(causes), line.notes)
        for cause, _ in line.causes:
            first_rows.setdefault(cause, row)
    book.sums(sheet, row, sums, len(headings))
    return first_rows


def _write_about(book: ReportBook, comparison: Comparison, bridge: Bridge, sides: tuple[SideWords, SideWords]) -> None:
    sheet = book.sheet("About", (36, 60, 60))
    book.headings(sheet, 0, ("What", sides[0].title, sides[1].title))
    left_out = comparison.found - min(comparison.found, LINES_MAX)
    remarks: Iterable[tuple[str, ...]] = (
        *facts(comparison, *sides),
        *((f"Matched: {stage}", f"{count:,}") for stage, count in stages_in_words(comparison)),
        ("Differences that are not in this workbook", f"{left_out:,}. The tables in Parquet and CSV have all."),
        ("Numbers", "Excel holds 15 digits of a number. The exact amounts are the texts beside them."),
        *(("How to read this", text) for text in comparison.conventions),
        *words_used(bridge, *sides),
    )
    for row, told in enumerate(remarks, 1):
        for at, text in enumerate(told):
            book.text(sheet, row, at, text, book.wrapped)
