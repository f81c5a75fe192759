"""The sheets that sum up a workbook: *Summary* in front, and a full table each by customer, product and so on.

*Summary* shows for each amount and currency the exact total, the total that Excel computes over the sheets of line
items, and the difference between them. Its tables show the largest, with a chart each; the full tables have no row of
totals, so that a sum over one of their columns is the total and not its double.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from xlsxwriter.utility import xl_range_abs, xl_rowcol_to_cell

from counterfoil import numbers
from counterfoil.client.output_files.breakdown import Breakdown, Grouping, GroupSums, groupings_of
from counterfoil.client.output_files.excel_cells import AMOUNT, CENTS
from counterfoil.client.output_files.line_sheets import EXACT_SUFFIX, LineSheets
from counterfoil.columns import table_of

SUMMARY: Final = "Summary"
SHOWN_MAX: Final = 10
DAYS_SHOWN_MAX: Final = 62
LABEL_LENGTH_MAX: Final = 48  # in *Summary*, where a longer one would leave a chart no room
_OTHERS: Final = "Others"
_NO_NAME: Final = "(none)"
_WIDTHS: Final = (38, 30, 10, 12)  # of id, name, currency and line items; amounts have another
_AMOUNT_WIDTH: Final = 20
_EXACT_WIDTH: Final = 34
_CHART_ROWS: Final = 17
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table of groups stands: its first and last row, and the column of the amount that is charted."""

    first_row: int
    last_row: int
    amount_at: int


class SummarySheets:
    """The sheets in front of the line items. They are made first, to stand there, and written last."""

    def __init__(self, book: Any, breakdown: Breakdown) -> None:
        self._book = book
        self._breakdown = breakdown
        self._totals = table_of(breakdown.kind).totals
        self._summary: Any = book.add_worksheet(SUMMARY)
        self._full = {each: book.add_worksheet(f"By {each.word}") for each in groupings_of(breakdown.kind)}
        self._bold = book.add_format({"bold": True})
        self._title = book.add_format({"bold": True, "font_size": 14})
        self._amount = book.add_format({"num_format": AMOUNT})
        self._cents = book.add_format({"num_format": CENTS})
        self._count = book.add_format({"num_format": "#,##0"})

    def write(self, lines: LineSheets) -> None:
        """Write them all, when every line item is written."""
        for grouping, sheet in self._full.items():
            self._write_full(sheet, grouping)
        sheet, currencies = self._summary, self._breakdown.currencies
        shown = {(by, currency): list(self._shown(by, currency)) for by in self._full for currency in currencies}
        with_exact = self._have_exact([group for groups in shown.values() for group in groups])
        widths = self._set_widths(sheet, with_exact)
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        row = self._write_totals(lines)
        for (grouping, currency), groups in shown.items():
            title = f"By {grouping.word}, in {currency or 'no currency'}"
            sheet.write_string(row, 0, title, self._title)
            table = self._write_table(sheet, row + 1, grouping, groups, with_exact=with_exact)
            if groups:
                told = f"{self._totals[-1]} by {grouping.word} ({currency})"
                self._insert_chart(row, len(widths) + 1, grouping, table, told)
            row = max(table.last_row, row + _CHART_ROWS) + 2

    def _write_totals(self, lines: LineSheets) -> int:
        """Write the totals; returns the first row below them."""
        sheet, found = self._summary, self._breakdown.total
        count = f"{found.line_items:,} line item{'s' * (found.line_items != 1)}"
        sheet.write_string(0, 0, f"Summary of {self._breakdown.kind.value}: {count}", self._title)
        headings = ("Amount", "Exact total", "Currency", "", "Excel's total", "Difference")
        for at, heading in enumerate(headings):
            sheet.write_string(2, at, heading, self._bold)
        row = 3
        for currency in self._breakdown.currencies:
            for name in self._totals:
                exact = found.totals[currency].get(name, _ZERO)
                rounded, _ = numbers.for_spreadsheet(exact)
                shown, _ = numbers.for_spreadsheet(lines.rounded_sums.get(currency, {}).get(name, _ZERO))
                apart, _ = numbers.for_spreadsheet(numbers.add(shown, -rounded))
                sheet.write_string(row, 0, name)
                sheet.write_string(row, 1, numbers.plain(exact))
                sheet.write_string(row, 2, currency)
                sheet.write_formula(row, 4, self._sum_formula(lines, name, currency), self._amount, shown)
                excels = xl_rowcol_to_cell(row, 4)
                sheet.write_formula(row, 5, f"={excels}-({_written(rounded)})", self._amount, apart)
                row += 1
        for remark in (
            "Exact totals are texts, digit for digit as in the receipt. Excel computes with 15 digits.",
            "Excel's total is computed over the sheets of line items; the difference is what its rounding makes.",
        ):
            sheet.write_string(row, 0, remark)
            row += 1
        return row + 1

    def _sum_formula(self, lines: LineSheets, name: str, currency: str) -> str:
        """Return the formula that sums an amount over all sheets of line items; of one currency, where there are more.

        A condition is quoted for Excel: `=` in front takes operators at the beginning of a currency for text.
        """
        at, currency_at = lines.column_at(name), lines.column_at(table_of(self._breakdown.kind).currency)
        wanted = currency.replace("~", "~~").replace("*", "~*").replace("?", "~?").replace('"', '""')
        parts = []
        for sheet, last_row in lines.sheets:
            last = max(last_row, 2) - 1
            amounts = f"'{sheet}'!{xl_range_abs(1, at, last, at)}"
            currencies = f"'{sheet}'!{xl_range_abs(1, currency_at, last, currency_at)}"
            is_only = len(self._breakdown.currencies) == 1
            parts.append(f"SUM({amounts})" if is_only else f'SUMIF({currencies},"={wanted}",{amounts})')
        return "=" + "+".join(parts)

    def _set_widths(self, sheet: Any, with_exact: frozenset[str]) -> list[int]:
        """Set the widths of a sheet's columns, and return them."""
        widths = [*_WIDTHS]
        for name in self._totals:
            widths += [_AMOUNT_WIDTH, *([_EXACT_WIDTH] if name in with_exact else [])]
        for at, width in enumerate(widths):
            sheet.set_column(at, at, width)
        return widths

    def _shown(self, grouping: Grouping, currency: str) -> Iterator[GroupSums]:
        """Yield the groups that *Summary* shows: the largest, or the latest days, and all others together."""
        found = self._breakdown.groups(grouping, currency)
        most = DAYS_SHOWN_MAX if grouping.is_by_day else SHOWN_MAX
        shown = found[-most:] if grouping.is_by_day else found[:most]
        rest = found[:-most] if grouping.is_by_day else found[most:]
        beyond = self._breakdown.others(grouping, currency)
        yield from shown
        if rest or beyond:
            others = GroupSums("", _OTHERS, currency, [_ZERO] * len(self._totals))
            for each in (*rest, *([beyond] if beyond else [])):
                others.merge(each)
            yield others

    def _write_full(self, sheet: Any, grouping: Grouping) -> None:
        rows: list[GroupSums] = []
        for currency in self._breakdown.currencies:
            rows += self._breakdown.groups(grouping, currency)
            beyond = self._breakdown.others(grouping, currency)
            if beyond is not None:
                label = f"{_OTHERS}, met after the first {self._breakdown.keys_max:,}"
                rows.append(GroupSums("", label, currency, beyond.sums, beyond.line_items))
        with_exact = self._have_exact(rows)
        widths = self._set_widths(sheet, with_exact)
        table = self._write_table(sheet, 0, grouping, rows, with_exact=with_exact)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, table.last_row, len(widths) - 1)
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})

    def _have_exact(self, rows: Sequence[GroupSums]) -> frozenset[str]:
        """Return the amounts of which a sum has more digits than Excel holds."""
        return frozenset(
            name
            for at, name in enumerate(self._totals)
            if any(numbers.for_spreadsheet(each.sums[at])[1] for each in rows)
        )

    def _write_table(
        self, sheet: Any, row: int, grouping: Grouping, rows: Sequence[GroupSums], *, with_exact: frozenset[str]
    ) -> _Table:
        at_of: Mapping[str, int] = self._write_headings(sheet, row, grouping, with_exact)
        amount = self._cents if sheet is self._summary else self._amount
        for each in rows:
            row += 1
            sheet.write_string(row, 0, each.key)
            sheet.write_string(row, 1, self._label(sheet, each))
            sheet.write_string(row, 2, each.currency)
            sheet.write_number(row, 3, each.line_items, self._count)
            for name, value in zip(self._totals, each.sums, strict=True):
                rounded, is_rounded = numbers.for_spreadsheet(value)
                sheet.write_number(row, at_of[name], rounded, amount)
                if is_rounded:
                    sheet.write_string(row, at_of[name] + 1, numbers.plain(value))
        return _Table(row - len(rows) + 1, row, at_of[self._totals[-1]])

    def _label(self, sheet: Any, group: GroupSums) -> str:
        label = group.label or group.key or _NO_NAME
        if sheet is not self._summary or len(label) <= LABEL_LENGTH_MAX:
            return label
        return f"{label[: LABEL_LENGTH_MAX - 3]}..."

    def _write_headings(self, sheet: Any, row: int, grouping: Grouping, with_exact: frozenset[str]) -> dict[str, int]:
        name = "Day" if grouping.is_by_day else grouping.label
        headings = [grouping.key, name, "Currency", "Line items"]
        at_of: dict[str, int] = {}
        for total in self._totals:
            at_of[total] = len(headings)
            headings += [total, *([total + EXACT_SUFFIX] if total in with_exact else [])]
        for at, heading in enumerate(headings):
            sheet.write_string(row, at, heading, self._bold)
        return at_of

    def _insert_chart(self, row: int, at: int, grouping: Grouping, table: _Table, title: str) -> None:
        chart = self._book.add_chart({"type": "column" if grouping.is_by_day else "bar"})
        chart.add_series(
            {
                "categories": [SUMMARY, table.first_row, 1, table.last_row, 1],
                "values": [SUMMARY, table.first_row, table.amount_at, table.last_row, table.amount_at],
                "gap": 50,
            }
        )
        chart.set_title({"name": title, "name_font": {"size": 12}})
        chart.set_legend({"none": True})
        if grouping.is_by_day:
            chart.set_x_axis({"label_position": "low"})
            chart.set_y_axis({"num_format": "#,##0", "major_gridlines": {"visible": True}})
        else:
            chart.set_y_axis({"reverse": True, "label_position": "low"})  # the largest on top
            chart.set_x_axis({"num_format": "#,##0", "major_gridlines": {"visible": True}, "label_position": "high"})
        chart.set_size({"width": 720, "height": 20 * _CHART_ROWS - 20})
        self._summary.insert_chart(row, at, chart)


def _written(value: Decimal) -> str:
    """Write a value of 15 digits as formulas have it: with a point, whatever the language."""
    return numbers.plain(value)
