"""The output formats of a pull; those that are one file of all line items are written when everything is proven."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.headings import Note, quietly
from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import UsageError
from counterfoil.model import Kind

WORKBOOK_LINE_ITEMS_MAX: Final = 1_048_575  # Excel's rows but for the headings


class Form(StrEnum):
    """What a pull leaves on disk.

    The line items as they came; exact Parquet with the lake's columns; or one file with Partner Center's own headers
    and order, as CSV or as an Excel workbook.
    """

    BLOBS = "blobs"
    PARQUET = "parquet"
    CSV = "csv"
    XLSX = "xlsx"

    @property
    def is_one_file(self) -> bool:
        """Whether all line items become one file, and not each blob another."""
        return self in (Form.CSV, Form.XLSX)

    @property
    def is_parquet(self) -> bool:
        """Whether each blob becomes a Parquet file, and is not kept as it came."""
        return self is Form.PARQUET


def check_rows(form: Form, line_items: int | None) -> None:
    """Raise UsageError if a form cannot hold so many line items; None is not known yet."""
    if form is Form.XLSX and line_items is not None and line_items > WORKBOOK_LINE_ITEMS_MAX:
        raise UsageError(
            f"An Excel sheet holds {WORKBOOK_LINE_ITEMS_MAX:,} line items, and there are more.",
            remedy="Take parquet, which Power BI and Power Query read, or csv.",
            parameter="form",
        )


def write_form(
    form: Form, folder: Path, kind: Kind, batches: Iterable[pa.RecordBatch], line_items: int, note: Note = quietly
) -> ReceiptFile:
    """Write so many line items as the file of a form into a folder; see `write_csv` and `write_workbook`."""
    check_rows(form, line_items)  # before a million rows are written, not after
    path = folder / f"{kind.value}.{form.value}"
    path.unlink(missing_ok=True)
    if form is Form.CSV:
        return write_csv(path, kind, batches, note)
    # Imported when needed: most pulls need no workbook.
    workbook = import_module("counterfoil.client.output_files.workbook")
    written: ReceiptFile = workbook.write_workbook(path, kind, batches, note)
    return written
