"""A workbook while it is written, as a stream: its formats, its sheets, and cells for amounts and texts.

Excel holds 15 digits of a number. Where an amount has more, its cell is rounded and a column beside it has the exact
text. A text is always written as text: a name that begins with `=` stays a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import xlsxwriter
from xlsxwriter.exceptions import XlsxFileError
from xlsxwriter.utility import xl_col_to_name

from counterfoil import numbers
from counterfoil.reconcile.reports.report_file import new_file, private_text
from counterfoil.reconcile.side_totals import shown

ROWS_MAX: Final = 1_048_576  # of a sheet
_CELL_LENGTH_MAX: Final = 16_000  # of a text; Excel counts some characters twice, and holds 32,767
_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - the same comparison gives the same bytes
_AMOUNT: Final = "#,##0.00;-#,##0.00;0.00"
_A4: Final = 9
_LINE_HEIGHT: Final = 15  # in points
EXACT_WIDTH: Final = 48  # of a column of exact amounts
_OPTIONS: Final = {
    "constant_memory": True,
    "use_zip64": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class ReportBook:
    """A workbook to which sheets are added. Rows of one sheet are written from the top; sheets in any order."""

    def __init__(self, book: Any) -> None:
        """Take a workbook of the library."""
        self.book = book
        make = book.add_format
        self.plain = make()
        self.title = make({"bold": True, "font_size": 15})
        self.bold = make({"bold": True})
        self.soft = make({"font_color": "#536070"})
        self.warning = make({"bold": True, "font_color": "#A84A00"})
        self.heading = make({"bold": True, "bottom": 2, "text_wrap": True, "valign": "top"})
        self.wrapped = make({"text_wrap": True, "valign": "top"})
        self.amount = make({"num_format": _AMOUNT})
        self.sum = make({"num_format": _AMOUNT, "bold": True, "top": 1})
        self.count = make({"num_format": "#,##0"})
        self.exact = make({"font_color": "#536070", "align": "right"})
        self.link = make({"font_color": "#0A6A80", "underline": 1})

    def sheet(self, name: str, widths: Sequence[int]) -> Any:
        """Add a sheet with columns of these widths, in characters, that prints one page wide."""
        sheet = self.book.add_worksheet(name)
        for at, width in enumerate(widths):
            sheet.set_column(at, at, width)
        sheet.set_landscape()
        sheet.set_paper(_A4)
        sheet.fit_to_pages(1, 0)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{ROWS_MAX}"})
        return sheet

    def headings(
        self, sheet: Any, row: int, headings: Sequence[str], *, lines: int = 1, frozen_columns: int = 1
    ) -> None:
        """Write a row of headings, so many lines high, that stays in view and is printed on each page."""
        sheet.set_row(row, _LINE_HEIGHT * lines)
        for at, heading in enumerate(headings):
            self.text(sheet, row, at, heading, self.heading)
        sheet.freeze_panes(row + 1, frozen_columns)
        sheet.repeat_rows(row)

    def text(self, sheet: Any, row: int, at: int, text: str, style: Any = None) -> None:
        """Write a text as text; one that no cell could hold is cut."""
        if text:
            whole = text if len(text) <= _CELL_LENGTH_MAX else f"{text[:_CELL_LENGTH_MAX]} ..."
            sheet.write_string(row, at, whole, style)

    def number(self, sheet: Any, row: int, at: int, amount: Decimal, style: Any = None) -> None:
        """Write an amount as a number of 15 digits."""
        sheet.write_number(row, at, in_excel(amount), style or self.amount)

    def exact_text(self, sheet: Any, row: int, at: int, amount: Decimal) -> None:
        """Write every digit of an amount, as text."""
        sheet.write_string(row, at, shown(amount), self.exact)

    def formula(self, sheet: Any, row: int, at: int, formula: str, result: Decimal, style: Any = None) -> None:
        """Write a formula, and its result for programs that do not compute."""
        # A result that is given as text would be stored as text, and no program could add it up.
        sheet.write_formula(row, at, formula, style or self.amount, in_excel(result))

    def sums(self, sheet: Any, rows: int, sums: Mapping[int, Decimal], columns: int) -> None:
        """Write sums by column below so many rows, of those that a filter shows, and a filter above."""
        last = max(rows, 1)
        self.text(sheet, last + 1, 0, "Sum of the rows shown", self.bold)
        for at, total in sums.items():
            letter = xl_col_to_name(at)
            self.formula(sheet, last + 1, at, f"=SUBTOTAL(109,{letter}2:{letter}{last + 1})", total, self.sum)
        sheet.autofilter(0, 0, last, columns - 1)


def in_excel(amount: Decimal) -> Decimal:
    """Return the 15 digits that Excel holds of an amount."""
    return numbers.for_spreadsheet(amount)[0]


@contextmanager
def new_book(path: Path, title: str) -> Iterator[ReportBook]:
    """Give a workbook to fill; it is there whole afterwards, or not at all.

    Raises UsageError where there is something of that name, and CounterfoilError if it cannot be written.
    """
    with new_file(path) as fresh, open(private_text(fresh), "wb") as file:  # noqa: PTH123 - it is a descriptor
        # Rows go to files as they come; beside the workbook, where there is room for them.
        book: Any = xlsxwriter.Workbook(file, {**_OPTIONS, "tmpdir": str(path.parent)})
        try:
            book.set_properties({"title": title[:255], "comments": "Made by Counterfoil", "created": _MADE})
            yield ReportBook(book)
            book.close()
        except XlsxFileError as error:
            cause = error.args[0] if error.args else error
            raise cause if isinstance(cause, OSError) else OSError(str(error)) from None
        finally:
            _remove_rows(book)


def _remove_rows(book: Any) -> None:
    """Remove the files in which rows were collected, whatever went wrong; the library's own end leaves none."""
    book.fileclosed = 1  # or it would write an archive when it is garbage-collected
    for sheet in book.worksheets():
        for each in (sheet.row_data_fh, sheet.fh):
            with suppress(OSError, ValueError, AttributeError):
                each.close()
        with suppress(OSError, TypeError):
            Path(sheet.row_data_filename).unlink(missing_ok=True)
