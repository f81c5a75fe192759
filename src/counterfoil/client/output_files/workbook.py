"""An Excel workbook: ids as text, amounts and dates as numbers where Excel holds them exactly, nothing computed.

Excel keeps 15 digits of a number. A number with more is written as text, digit for digit, and so is a date that has
parts of a second or another zone than UTC; how many is noted. A text that begins with `=` is written as text and never
as a formula, and a GUID or `0002` never as a number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import xlsxwriter
from xlsxwriter.exceptions import XlsxFileError

from counterfoil.client.output_files.headings import Note, OmittedValues, columns_of, quietly, texts_of
from counterfoil.client.output_files.output_formats import Form, check_rows
from counterfoil.client.output_files.pull_files import receipt_of
from counterfoil.client.receipt import ReceiptFile
from counterfoil.columns import Column, Type, table_of
from counterfoil.disk.hashing import HashedFile
from counterfoil.errors import UsageError
from counterfoil.model import Kind

TEXT_LENGTH_MAX: Final = 32_767  # of a cell, in UTF-16 units
DIGITS_MAX: Final = 15

_PLAIN: Final = re.compile(r"-?([0-9]{1,13})(?:\.([0-9]{1,25}))?", re.ASCII)
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", re.ASCII)
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - Excel knows no zones
_FIRST_SAFE: Final = datetime(1900, 3, 1)  # noqa: DTZ001 - before it, Excel counts a day that never was
_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - the same line items give the same bytes
_AMOUNT: Final = "#,##0.00#############"
_DAY: Final = "yyyy-mm-dd"
_SECOND: Final = "yyyy-mm-dd hh:mm:ss"
_WIDTHS: Final = {Type.TEXT: 22, Type.NUMBER: 16, Type.DATE: 19, Type.FLAG: 8}
Cell = tuple[float, bool] | None  # a number, and for a date whether it has a time; None where text must do


def write_workbook(path: Path, kind: Kind, batches: Iterable[pa.RecordBatch], note: Note = quietly) -> ReceiptFile:
    """Write line items, given as columns of text, and return what the receipt says of the file.

    Raises UsageError for more of them than Excel has rows, and for a text longer than a cell. `note` gets what is text
    that could have been a number. Whatever fails leaves no file.
    """
    path.unlink(missing_ok=True)
    sheet: _Sheet | None = None
    try:
        with HashedFile(path) as file:
            sheet = _Sheet(file, kind)
            for batch in batches:
                check_rows(Form.XLSX, sheet.line_items + batch.num_rows)
                sheet.add(batch)
            sheet.finish()
    except BaseException:
        if sheet is not None:
            sheet.abandon()
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    sheet.tell(note)
    return receipt_of(file, sheet.line_items)


class _Sheet:
    """The one sheet of a workbook while it is written, row by row."""

    def __init__(self, file: HashedFile, kind: Kind) -> None:
        self._file = file
        self._kind = kind
        self._columns = columns_of(kind)
        # Rows go to a file as they come; beside the workbook, where there is room for it.
        self._book: Any = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": str(file.path.parent)})
        self._book.set_properties({"created": _MADE})
        self._formats = {name: self._book.add_format({"num_format": name}) for name in (_AMOUNT, _DAY, _SECOND)}
        self._sheet: Any = self._book.add_worksheet(kind.value)
        self._left_out = OmittedValues(kind)
        self._as_text: Counter[str] = Counter()
        self.line_items = 0
        self._write_headings()

    def _write_headings(self) -> None:
        bold = self._book.add_format({"bold": True})
        for index, (heading, column) in enumerate(self._columns.items()):
            self._sheet.set_column(index, index, _WIDTHS[column.type])
            self._sheet.write_string(0, index, heading, bold)
        self._sheet.freeze_panes(1, 0)
        self._sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})  # ids are, and on purpose

    def add(self, batch: pa.RecordBatch) -> None:
        """Add some line items."""
        self._left_out.look(batch)
        columns = [texts_of(batch, column.name).to_pylist() for column in self._columns.values()]
        writers = [self._writer(heading, column) for heading, column in self._columns.items()]
        for row in zip(*columns, strict=True):
            self.line_items += 1
            for index, text in enumerate(row):
                if text:
                    writers[index](self.line_items, index, text)

    def _writer(self, heading: str, column: Column) -> Callable[[int, int, str], None]:
        amounts = {*table_of(self._kind).totals, "UnitPrice", "EffectiveUnitPrice", "PricingPreTaxTotal"}
        if column.type is Type.NUMBER:
            shape = self._formats[_AMOUNT] if column.name in amounts else None
            return self._valued(heading, number_cell, lambda _: shape)
        if column.type is Type.DATE:
            day, second = self._formats[_DAY], self._formats[_SECOND]
            return self._valued(heading, date_cell, lambda has_time: second if has_time else day)
        return lambda row, index, text: self._text(row, index, text, heading)

    def _valued(
        self, heading: str, read: Callable[[str], Cell], shape: Callable[[bool], Any]
    ) -> Callable[[int, int, str], None]:
        write_number = self._sheet.write_number
        known: dict[str, Cell] = {}

        def write(row: int, index: int, text: str) -> None:
            if text not in known:
                known[text] = read(text)
            cell = known[text]
            if cell is None:
                self._as_text[heading] += 1
                self._text(row, index, text, heading)
            else:
                write_number(row, index, cell[0], shape(cell[1]))

        return write

    def _text(self, row: int, index: int, text: str, heading: str) -> None:
        if len(text) > TEXT_LENGTH_MAX // 2 and len(text.encode("utf-16-le")) // 2 > TEXT_LENGTH_MAX:
            raise UsageError(
                f"{heading} of line item {row:,} has {len(text):,} characters, and a cell holds {TEXT_LENGTH_MAX:,}.",
                remedy="Take parquet or csv.",
                parameter="form",
            )
        self._sheet.write_string(row, index, text)

    def finish(self) -> None:
        """Put a filter on the headings, and the workbook together; raises OSError."""
        self._sheet.autofilter(0, 0, self.line_items, len(self._columns) - 1)
        try:
            self._book.close()
        except XlsxFileError as error:
            cause = error.args[0] if error.args else error
            raise cause if isinstance(cause, OSError) else OSError(str(error)) from None

    def abandon(self) -> None:
        """Close the files in which the rows were collected, whatever is wrong with them."""
        self._file.give_up()  # the library writes the end of the archive when it is garbage-collected
        for file in (self._sheet.row_data_fh, self._sheet.fh):
            with suppress(OSError, ValueError):
                file.close()
        with suppress(OSError):
            Path(self._sheet.row_data_filename).unlink(missing_ok=True)

    def tell(self, note: Note) -> None:
        """Say what is not as one might expect."""
        self._left_out.tell(note)
        for heading, count in self._as_text.items():
            values = f"{count:,} value{'s' * (count != 1)}"
            are = "are" if count > 1 else "is"
            note(f"{values} of {heading} would not be exact as a number in Excel, and {are} text there.")


def number_cell(text: str) -> Cell:
    """Return a number that Excel shows with the very digits of the text, or None."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len((plain[1] + (plain[2] or "")).strip("0")) <= DIGITS_MAX:
        return float(text), False
    if plain is None:
        value = Decimal(text)
        digits = "".join(map(str, value.as_tuple().digits)).strip("0")
        if len(digits) <= DIGITS_MAX and Decimal(repr(float(value))) == value:
            return float(value), False
    return None


def date_cell(text: str) -> Cell:
    """Return Excel's count of days for a date in UTC with whole seconds, or None."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None
    if moment < _FIRST_SAFE:
        return None
    passed = moment - _EPOCH
    return passed / timedelta(days=1), bool(passed.seconds)
