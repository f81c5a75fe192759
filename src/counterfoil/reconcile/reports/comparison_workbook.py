"""A comparison as an Excel workbook: a summary with a bridge, tables by customer and subscription, and the line items.

Its sums are formulas with their results stored beside, so a program that does not compute shows them too. The largest
100,000 differences are in it; the tables of the result have all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from xlsxwriter.utility import xl_col_to_name

from counterfoil.errors import SideError
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.comparing.found_difference import FoundDifference, GroupDifference
from counterfoil.reconcile.reports.bridge_rows import Bridge, bridge_of
from counterfoil.reconcile.reports.difference_rows import dates_of, note_in_words, totals_of
from counterfoil.reconcile.reports.headline import headline, lead
from counterfoil.reconcile.reports.report_book import ROWS_MAX, ReportBook, new_book
from counterfoil.reconcile.reports.report_facts import MATCHED, facts, stages_in_words, words_used
from counterfoil.reconcile.reports.shown_amounts import added, less
from counterfoil.reconcile.reports.side_words import SideWords, words_of_sides
from counterfoil.reconcile.reports.summary_sheet import LINES, write_chart_data, write_summary
from counterfoil.reconcile.side_totals import By, columns_of_key

LINES_MAX: Final = 100_000
_GROUPINGS: Final = (By.CUSTOMER, By.SUBSCRIPTION)
_GROUPS_MAX: Final = ROWS_MAX - 10
_TOLD: Final = ("CustomerName", "CustomerId", "SubscriptionId", "ProductName", "SkuId", "ChargeType")
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
        summary = book.sheet("Summary", (44, 20, 34, 13, 20))
        for by in _GROUPINGS:
            _write_groups(book, comparison, by, bridge, (left, right))
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
    causes = [row.cause for row in bridge.rows]
    key, name = columns_of_key(by, comparison.kind)
    of_left, of_right = (_heading(words, comparison.currency) for words in sides)
    apart = f"Difference, {comparison.currency}"
    headings = [key, name, of_left, of_right, apart, "Exact difference", *(row.words.title for row in bridge.rows)]
    sheet = book.sheet(f"By {by}", [_WIDE, 32, 18, 18, 18, 30, *[16] * len(causes)])
    book.headings(sheet, 0, headings, frozen_columns=2)
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
        sums[at] = added(group.causes.get(cause, Decimal(0)) for group in rows)
    _write_sums(book, sheet, len(rows), sums, len(headings))


def _heading(words: SideWords, currency: str) -> str:
    return f"{words.title} ({words.state}, {words.proof}), {currency}"


def _others(comparison: Comparison, groups: Sequence[GroupDifference]) -> Iterator[GroupDifference]:
    """Yield the rows of what is not there by name, so that each column has its whole sum."""
    rest = groups[_GROUPS_MAX:]
    if rest:
        causes = {cause: added(each.causes.get(cause, Decimal(0)) for each in rest) for cause in comparison.causes}
        lefts, rights = added(each.left for each in rest), added(each.right for each in rest)
        words = f"{len(rest):,} more with differences"
        yield GroupDifference(key="", name=words, left=lefts, right=rights, causes=causes)
    left = less(comparison.left.total, added(each.left for each in groups))
    right = less(comparison.right.total, added(each.right for each in groups))
    if left or right:
        yield GroupDifference(key="", name="All without a difference", left=left, right=right)


def _write_sums(book: ReportBook, sheet: Any, rows: int, sums: Mapping[int, Decimal], columns: int) -> None:
    """Write sums below the rows, of those that a filter shows, and a filter above."""
    last = max(rows, 1)
    book.text(sheet, last + 1, 0, "Sum of the rows shown", book.bold)
    for at, total in sums.items():
        letter = xl_col_to_name(at)
        book.formula(sheet, last + 1, at, f"=SUBTOTAL(109,{letter}2:{letter}{last + 1})", total, book.sum)
    sheet.autofilter(0, 0, last, columns - 1)


def _write_lines(
    book: ReportBook, comparison: Comparison, bridge: Bridge, sides: tuple[SideWords, SideWords]
) -> dict[str, int]:
    """Write the largest differences; returns the row of the first one of each cause, counted from 0."""
    titles = {row.cause: row.words.title for row in bridge.rows}
    causes = [*titles]
    of_left, of_right = (_heading(words, comparison.currency) for words in sides)
    amounts = (of_left, of_right, f"Difference, {comparison.currency}", "Exact difference")
    headings = ["Number", *_TOLD, "Dates", "Matched as", *amounts, *(row.words.title for row in bridge.rows)]
    headings += ["Attributes that differ", "Notes"]
    widths = [9, 28, _WIDE, _WIDE, 32, 10, 18, 24, 26, 18, 18, 18, 30, *[14] * len(causes), 40, 80]
    sheet = book.sheet(LINES, widths)
    book.headings(sheet, 0, headings, frozen_columns=2)
    first_rows: dict[str, int] = {}
    sums = {at: Decimal(0) for at in (9, 10, 11, *range(13, 13 + len(causes)))}
    row = 0
    for row, found in enumerate(comparison.differences(limit=LINES_MAX), 1):
        sheet.write_number(row, 0, found.number)
        for at, text in enumerate(_texts(found, comparison), 1):
            book.text(sheet, row, at, text)
        for at, amount in _amounts(found, comparison, causes):
            book.number(sheet, row, at, amount)
            sums[at] = added((sums[at], amount))
        book.exact_text(sheet, row, 12, found.amount)
        book.text(sheet, row, 13 + len(causes), ", ".join(found.attributes))
        book.text(sheet, row, 14 + len(causes), "; ".join(note_in_words(each, titles) for each in found.notes))
        for each in found.causes:
            first_rows.setdefault(each.cause.value, row)
    _write_sums(book, sheet, row, sums, len(headings))
    return first_rows


def _texts(found: FoundDifference, comparison: Comparison) -> Iterator[str]:
    for name in _TOLD:
        yield found.told(name)
    yield dates_of(found, comparison.kind)
    yield MATCHED[found.stage]


def _amounts(found: FoundDifference, comparison: Comparison, causes: Sequence[str]) -> Iterator[tuple[int, Decimal]]:
    """Yield the amounts of a difference, and the columns that they stand in."""
    for at, amount in zip((9, 10), totals_of(found, comparison.kind), strict=True):
        if amount is not None:
            yield at, amount
    yield 11, found.amount
    for each in found.causes:
        yield 13 + causes.index(each.cause.value), each.amount


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
