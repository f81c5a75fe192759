"""The forms that are one file of all line items, written when everything is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import UsageError
from counterfoil.model import Kind

DATA_SUFFIXES: Final = (".gz", ".parquet", ".csv", ".xlsx")  # of the files that hold line items
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


@dataclass(frozen=True, slots=True)
class Proven:
    """Proven line items: columns of text, as `lake.text_schema` names them."""

    kind: Kind
    batches: Iterator[pa.RecordBatch]
    line_items: int
    note: Callable[[str], None]


def check_rows(form: Form, line_items: int | None) -> None:
    """Raise UsageError if a form cannot hold so many line items; None is not known yet."""
    if form is Form.XLSX and line_items is not None and line_items > WORKBOOK_LINE_ITEMS_MAX:
        raise UsageError(
            f"An Excel sheet holds {WORKBOOK_LINE_ITEMS_MAX:,} line items, and there are more.",
            remedy="Take parquet, which Power BI and Power Query read, or csv.",
            parameter="form",
        )


def write_form(form: Form, folder: Path, lines: Proven) -> ReceiptFile:
    """Write the file of a form into a folder and return what the receipt says of it."""
    path = folder / f"{lines.kind.value}.{form.value}"
    path.unlink(missing_ok=True)
    # Imported when needed: most pulls need neither.
    writers = {Form.CSV: ("csv_file", "write_csv"), Form.XLSX: ("workbook", "write_workbook")}
    module, name = writers[form]
    outputs = import_module(f"counterfoil.client.output_files.{module}")
    check_rows(form, lines.line_items)  # before a million rows are written, not after
    written: ReceiptFile = getattr(outputs, name)(path, lines.kind, lines.batches, lines.note)
    return written
