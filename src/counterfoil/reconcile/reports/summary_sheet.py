"""The sheet in front of a comparison's workbook: headline, warnings, causes with a running total, and a bridge.

The bridge is stacked bars on a base that is not drawn, because Excel's own kind of waterfall cannot be read by other
programs. What it draws is computed by formulas from the summary, on the sheet *Chart data*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from counterfoil import numbers
from counterfoil.reconcile.comparing.comparison import Comparison
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.reports.bridge_rows import Bridge
from counterfoil.reconcile.reports.report_book import ReportBook, in_excel
from counterfoil.reconcile.reports.side_words import SideWords

LINES: Final = "Lines"
_SUMMARY: Final = "Summary"
_DATA: Final = "Chart data"
_SERIES: Final = (("Total", "#51627A"), ("More", "#A84A00"), ("Less", "#0A6A80"))
_ROW_HEIGHT: Final = 26  # of the chart, in pixels for each bar
_ZERO: Final = Decimal(0)


def write_summary(
    book: ReportBook,
    sheet: Any,
    comparison: Comparison,
    bridge: Bridge,
    sides: tuple[SideWords, SideWords],
    sentences: Sequence[str],
    warnings: Sequence[str],
    first_rows: Mapping[str, int],
    chart: Any,
) -> None:
    """Write the sheet. `first_rows` has the row of *Lines* that the first difference of each cause is in, from 0."""
    book.text(sheet, 0, 0, sentences[0], book.title)
    row = 1
    for text in warnings:
        book.text(sheet, row, 0, f"Read this first. {text}", book.warning)
        row += 1
    for text in sentences[1:]:
        book.text(sheet, row, 0, text)
        row += 1
    row += 1
    amount = f"Amount, {comparison.currency}"
    book.headings(sheet, row, ("Why", amount, "Exact amount", "Differences", "Running total"))
    first = row + 1
    book.text(sheet, first, 0, _titled(sides[0]), book.bold)
    book.number(sheet, first, 1, comparison.left.total)
    book.exact_text(sheet, first, 2, comparison.left.total)
    book.formula(sheet, first, 4, f"=B{first + 1}", comparison.left.total)
    running = comparison.left.total
    for row, each in enumerate(bridge.rows, first + 1):
        running = exact.add(running, each.amount.exact)
        if each.cause in first_rows:
            place = f"internal:'{LINES}'!A{first_rows[each.cause] + 1}"
            sheet.write_url(row, 0, place, book.link, each.words.title, each.words.meaning[:255])
        else:
            book.text(sheet, row, 0, each.words.title)
        book.number(sheet, row, 1, each.amount.exact)
        book.exact_text(sheet, row, 2, each.amount.exact)
        sheet.write_number(row, 3, each.differences, book.count)
        book.formula(sheet, row, 4, f"=E{row}+B{row + 1}", running)
    row = first + len(bridge.rows) + 1
    book.text(sheet, row, 0, _titled(sides[1]), book.bold)
    book.formula(sheet, row, 1, f"=SUM(B{first + 1}:B{row})", comparison.right.total, book.sum)
    book.exact_text(sheet, row, 2, comparison.right.total)
    sheet.write_number(row, 3, comparison.found, book.count)
    book.formula(sheet, row, 4, f"=E{row}", comparison.right.total, book.sum)
    book.text(sheet, row + 1, 0, "Difference", book.bold)
    book.formula(sheet, row + 1, 1, f"=B{row + 1}-B{first + 1}", comparison.difference, book.sum)
    book.exact_text(sheet, row + 1, 2, comparison.difference)
    book.text(sheet, row + 2, 0, "Excel's sum less the exact total", book.soft)
    stated = numbers.plain(in_excel(comparison.right.total))
    book.formula(sheet, row + 2, 1, f"=ROUND(B{row + 1}-({stated}),6)", _ZERO)
    book.text(sheet, row + 4, 0, "A cause leads to its first line item. All causes but tax are before tax.", book.soft)
    sheet.insert_chart(first - 1, 6, chart, {"description": "The bridge from one total to the other, as in the table."})


def write_chart_data(
    book: ReportBook, comparison: Comparison, bridge: Bridge, sides: tuple[SideWords, SideWords], *, first_row: int
) -> Any:
    """Write what the bridge draws, and return its chart. `first_row` is the row of the left total, from 0."""
    sheet = book.sheet(_DATA, (44, 18, 18, 18, 18))
    start = _start(comparison, bridge)
    book.text(sheet, 0, 0, "Bars begin at")
    book.number(sheet, 0, 1, start)
    for at, heading in enumerate(("Bar", "Base, not drawn", *(name for name, _ in _SERIES))):
        book.text(sheet, 1, at, heading, book.bold)
    titles = [sides[0].title, *(each.words.title for each in bridge.rows), sides[1].title]
    for row, (title, bar) in enumerate(zip(titles, _bars(comparison, bridge, start, first_row), strict=True), 2):
        book.text(sheet, row, 0, title)
        for at, (formula, result) in enumerate(bar, 1):
            book.formula(sheet, row, at, formula, result)
    return _chart(book, len(titles), is_torn=bridge.waterfall.is_torn)


def _start(comparison: Comparison, bridge: Bridge) -> Decimal:
    """Return the amount at which the scale begins."""
    path = [comparison.left.total]
    for each in bridge.rows:
        path.append(exact.add(path[-1], each.amount.exact))
    low, high = min(path), max(path)
    torn_at = in_excel(exact.subtract(low, exact.subtract(high, low)))
    return torn_at if bridge.waterfall.is_torn and _ZERO < torn_at < low else min(low, _ZERO)


def _bars(
    comparison: Comparison, bridge: Bridge, start: Decimal, first_row: int
) -> Iterator[list[tuple[str, Decimal]]]:
    """Yield the formulas of base, total, more and less of each bar, with their results."""
    last_row = first_row + len(bridge.rows) + 1
    yield _total_bar(f"{_SUMMARY}!B{first_row + 1}", comparison.left.total, start)
    before = comparison.left.total
    for row, each in enumerate(bridge.rows, first_row + 2):
        after = exact.add(before, each.amount.exact)
        amount = each.amount.exact
        yield [
            (f"=MIN({_SUMMARY}!E{row - 1},{_SUMMARY}!E{row})-$B$1", exact.subtract(min(before, after), start)),
            ("=0", _ZERO),
            (f"=MAX({_SUMMARY}!B{row},0)", max(amount, _ZERO)),
            (f"=MAX(-{_SUMMARY}!B{row},0)", max(amount.copy_negate(), _ZERO)),
        ]
        before = after
    yield _total_bar(f"{_SUMMARY}!B{last_row + 1}", comparison.right.total, start)


def _total_bar(cell: str, total: Decimal, start: Decimal) -> list[tuple[str, Decimal]]:
    zero = max(start, _ZERO)
    return [
        (f"=MIN({cell},MAX($B$1,0))-$B$1", exact.subtract(min(total, zero), start)),
        (f"=ABS({cell}-MAX($B$1,0))", exact.subtract(total, zero).copy_abs()),
        ("=0", _ZERO),
        ("=0", _ZERO),
    ]


def _chart(book: ReportBook, bars: int, *, is_torn: bool) -> Any:
    chart = book.book.add_chart({"type": "bar", "subtype": "stacked"})
    last = bars + 1
    for at, (name, color) in enumerate((("Base", None), *_SERIES), 1):
        fill = {"color": color} if color else {"none": True}
        places = {"categories": [_DATA, 2, 0, last, 0], "values": [_DATA, 2, at, last, at]}
        chart.add_series({"name": name, **places, "fill": fill, "border": {"none": True}, "gap": 40})
    chart.set_legend({"none": True})
    chart.set_y_axis({"reverse": True, "label_position": "low"})
    # The numbers at a scale that does not begin at zero would be wrong.
    chart.set_x_axis({"num_format": ";;;" if is_torn else "#,##0", "major_gridlines": {"visible": not is_torn}})
    title = "From one total to the other" + (", on a scale that does not begin at zero" if is_torn else "")
    chart.set_title({"name": title, "name_font": {"size": 11}})
    chart.set_size({"width": 720, "height": 120 + _ROW_HEIGHT * bars})
    return chart


def _titled(words: SideWords) -> str:
    return f"{words.title} ({words.state}, {words.proof})"
