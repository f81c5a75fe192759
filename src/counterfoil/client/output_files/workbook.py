"""An Excel workbook that adds up: a summary with charts, and the line items with every amount as a number.

Excel keeps 15 digits of a number. Where an amount has more, its cell is rounded and the column beside it has the exact
text; *Summary* says how far Excel's total is from the exact one. Ids are text, also those that look like numbers, and a
text that begins with `=` is never a formula.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import xlsxwriter
from xlsxwriter.exceptions import XlsxFileError

from counterfoil.client.output_files.breakdown import Breakdown
from counterfoil.client.output_files.excel_cells import ROWS_MAX
from counterfoil.client.output_files.headings import Note, quietly
from counterfoil.client.output_files.line_sheets import LineSheets, rounded_columns
from counterfoil.client.output_files.pull_files import receipt_of
from counterfoil.client.output_files.summary_sheets import SummarySheets
from counterfoil.client.receipt import ReceiptFile
from counterfoil.disk.hashing import HashedFile
from counterfoil.model import Kind

_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - the same line items give the same bytes


def write_workbook(
    path: Path, kind: Kind, batches: Iterable[pa.RecordBatch], note: Note = quietly, *, rows_max: int = ROWS_MAX
) -> ReceiptFile:
    """Write line items, given as columns of text, and return what the receipt says of the file.

    `batches` is read twice. A sheet has `rows_max` rows, headings included. Raises UsageError for a text longer than a
    cell. `note` gets what is rounded, and what is text that could have been a date. Whatever fails leaves no file.
    """
    path.unlink(missing_ok=True)
    book: Any = None
    try:
        rounded = rounded_columns(kind, batches)
        with HashedFile(path) as file:
            # Rows go to files as they come; beside the workbook, where there is room for them.
            book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True})
            book.set_properties({"created": _MADE})
            breakdown = Breakdown(kind)
            summary = SummarySheets(book, breakdown)
            lines = LineSheets(book, kind, rounded, rows_max)
            for batch in batches:
                lines.add(batch)
                breakdown.add(batch)
            lines.finish()
            summary.write(lines)
            _close(book)
    except BaseException:
        if book is not None:
            _abandon(book, file)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    lines.tell(note)
    return receipt_of(file, lines.line_items)


def _close(book: Any) -> None:
    """Put the workbook together; raises OSError."""
    try:
        book.close()
    except XlsxFileError as error:
        cause = error.args[0] if error.args else error
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from None


def _abandon(book: Any, file: HashedFile) -> None:
    """Close the files in which the rows were collected, whatever is wrong with them."""
    file.give_up()  # the library writes the end of the archive when it is garbage-collected
    for sheet in book.worksheets():
        for each in (sheet.row_data_fh, sheet.fh):
            with suppress(OSError, ValueError):
                each.close()
        with suppress(OSError):
            Path(sheet.row_data_filename).unlink(missing_ok=True)
