"""The sheets of a workbook with the line items themselves: Partner Center's columns, a row for each.

Every number is a number cell. Where Excel's 15 digits cannot hold one, a column beside it has the exact text; which
columns need that has to be known before the first row is written, so the line items are read twice. Line items beyond
Excel's rows go on in further sheets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.client.output_files.excel_cells import (
    AMOUNT,
    DAY,
    ROWS_MAX,
    SECOND,
    TEXT_LENGTH_MAX,
    date_cell,
    length_in_excel,
    number_cell,
    remembering,
)
from counterfoil.client.output_files.headings import Note, OmittedValues, columns_of, texts_of
from counterfoil.columns import Column, Type, table_of
from counterfoil.errors import UsageError
from counterfoil.model import Kind

EXACT_SUFFIX: Final = " (exact)"
_WIDTHS: Final = {Type.TEXT: 22, Type.NUMBER: 16, Type.DATE: 19, Type.FLAG: 8}
_EXACT_WIDTH: Final = 26
_SURELY_EXACT_LENGTH: Final = numbers.SPREADSHEET_DIGITS
_PRICES: Final = ("UnitPrice", "EffectiveUnitPrice", "PricingPreTaxTotal")
Write = Callable[[int, str], None]  # a text into a row


def rounded_columns(kind: Kind, batches: Iterable[pa.RecordBatch]) -> frozenset[str]:
    """Return the headings of the columns with a number that Excel's digits cannot hold."""
    open_ones = {heading: column for heading, column in columns_of(kind).items() if column.type is Type.NUMBER}
    found = set[str]()
    for batch in batches:
        for heading, column in list(open_ones.items()):
            texts = pc.unique(texts_of(batch, column.name))
            long = pc.greater(pc.utf8_length(texts), _SURELY_EXACT_LENGTH)
            odd = texts.filter(pc.or_(long, pc.match_substring_regex(texts, "[eE]")))
            if not all(number_cell(text)[1] for text in odd.to_pylist()):
                found.add(heading)
                del open_ones[heading]
    return frozenset(found)


class LineSheets:
    """The sheets of line items while they are written, row by row."""

    def __init__(self, book: Any, kind: Kind, rounded: frozenset[str], rows_max: int = ROWS_MAX) -> None:
        self._book = book
        self._kind = kind
        self._columns = columns_of(kind)
        self._rounded = rounded
        self._rows_max = rows_max
        self._formats = {name: book.add_format({"num_format": name}) for name in (AMOUNT, DAY, SECOND)}
        self._bold = book.add_format({"bold": True})
        self._left_out = OmittedValues(kind)
        self._dates_as_text: Counter[str] = Counter()
        self._rounded_values: Counter[str] = Counter()
        self.line_items = 0
        self.sheets: list[tuple[str, int]] = []  # the name of each, and its last row, counted from 1
        self.rounded_sums: dict[str, dict[str, Decimal]] = {}  # the sums of the cells, by currency and column
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        number = len(self.sheets) + 1
        name = self._kind.value if number == 1 else f"{self._kind.value} {number}"
        self._sheet: Any = self._book.add_worksheet(name)
        self.sheets.append((name, 1))
        self._at: dict[str, int] = {}
        index = 0
        for heading, column in self._columns.items():
            self._at[heading] = index
            index = self._heading(index, heading, _WIDTHS[column.type])
            if heading in self._rounded:
                index = self._heading(index, heading + EXACT_SUFFIX, _EXACT_WIDTH)
        self._width = index
        self._sheet.freeze_panes(1, 0)
        self._sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})  # ids are, and on purpose
        self._writers = [self._writer(heading, column) for heading, column in self._columns.items()]

    def _heading(self, index: int, heading: str, width: int) -> int:
        self._sheet.set_column(index, index, width)
        self._sheet.write_string(0, index, heading, self._bold)
        return index + 1

    def _end_sheet(self) -> None:
        self._sheet.autofilter(0, 0, self.sheets[-1][1] - 1, self._width - 1)

    def column_at(self, name: str) -> int:
        """Return where an attribute stands, counted from 0: the same in every sheet."""
        return next(self._at[heading] for heading, column in self._columns.items() if column.name == name)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add some line items; raises UsageError for a text longer than a cell."""
        self._left_out.look(batch)
        columns = [texts_of(batch, column.name).to_pylist() for column in self._columns.values()]
        self._add_rounded_sums(batch)
        for texts in zip(*columns, strict=True):
            name, last_row = self.sheets[-1]
            if last_row == self._rows_max:
                self._end_sheet()
                self._begin_sheet()
                name, last_row = self.sheets[-1]
            self.sheets[-1] = name, last_row + 1
            self.line_items += 1
            for write, text in zip(self._writers, texts, strict=True):
                if text:
                    write(last_row, text)

    def finish(self) -> None:
        """Put a filter on the headings of the last sheet."""
        self._end_sheet()

    def _add_rounded_sums(self, batch: pa.RecordBatch) -> None:
        table = table_of(self._kind)
        currencies = texts_of(batch, table.currency).to_pylist()
        for name in table.totals:
            for currency, text in zip(currencies, texts_of(batch, name).to_pylist(), strict=True):
                sums = self.rounded_sums.setdefault(currency, {})
                sums[name] = numbers.add(sums.get(name, Decimal(0)), number_cell(text or "0")[0])

    def _writer(self, heading: str, column: Column) -> Write:
        index, sheet = self._at[heading], self._sheet
        if column.type is Type.NUMBER:
            is_amount = column.name in {*table_of(self._kind).totals, *_PRICES}
            return self._number_writer(heading, self._formats[AMOUNT] if is_amount else None)
        if column.type is Type.DATE:
            return self._date_writer(heading)

        def write(row: int, text: str) -> None:
            self._check_length(text, heading)
            sheet.write_string(row, index, text)

        return write

    def _number_writer(self, heading: str, shape: Any) -> Write:
        index, sheet, read = self._at[heading], self._sheet, remembering(number_cell)

        def write(row: int, text: str) -> None:
            value, is_exact = read(text)
            sheet.write_number(row, index, value, shape)
            if not is_exact:
                self._rounded_values[heading] += 1
                sheet.write_string(row, index + 1, text)

        return write

    def _date_writer(self, heading: str) -> Write:
        index, sheet, read = self._at[heading], self._sheet, remembering(date_cell)
        day, second = self._formats[DAY], self._formats[SECOND]

        def write(row: int, text: str) -> None:
            cell = read(text)
            if cell is None:
                self._dates_as_text[heading] += 1
                sheet.write_string(row, index, text)
            else:
                sheet.write_number(row, index, cell[0], second if cell[1] else day)

        return write

    def _check_length(self, text: str, heading: str) -> None:
        if length_in_excel(text) > TEXT_LENGTH_MAX:
            raise UsageError(
                f"{heading} of line item {self.line_items:,} has {len(text):,} characters, and a cell holds "
                f"{TEXT_LENGTH_MAX:,}.",
                remedy="Take parquet or csv.",
                parameter="format",
            )

    def tell(self, note: Note) -> None:
        """Say what is not as one might expect."""
        self._left_out.tell(note)
        for heading, count in self._rounded_values.items():
            values = f"{count:,} value{'s' * (count != 1)} of {heading}"
            have, are = ("have", "they are") if count != 1 else ("has", "it is")
            note(
                f"{values} {have} more than the 15 digits of a number in Excel: {are} rounded there, and exact in the "
                f"column {heading + EXACT_SUFFIX!r} beside it."
            )
        for heading, count in self._dates_as_text.items():
            values = f"{count:,} value{'s' * (count != 1)} of {heading}"
            note(f"{values} {'are' if count != 1 else 'is'} text: Excel has no such dates.")
