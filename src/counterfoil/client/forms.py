"""The forms that are one file of all line items, written when everything is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from counterfoil.client.outcomes import Form
from counterfoil.client.receipt import ReceiptFile
from counterfoil.model import Kind


@dataclass(frozen=True, slots=True)
class Source:
    """Proven line items: columns of text, as `lake.text_schema` names them."""

    kind: Kind
    batches: Iterator[pa.RecordBatch]
    line_items: int
    note: Callable[[str], None]


def write_form(form: Form, folder: Path, source: Source) -> ReceiptFile:
    """Write the file of a form into a folder and return what the receipt says of it."""
    path = folder / f"{source.kind.value}.{form.value}"
    path.unlink(missing_ok=True)
    # Imported when needed: most pulls need neither.
    writers = {Form.CSV: ("csv_file", "write_csv"), Form.XLSX: ("workbook", "write_workbook")}
    module, name = writers[form]
    outputs = import_module(f"counterfoil.client.outputs.{module}")
    if form is Form.XLSX:
        outputs.check_room(source.line_items)  # before a million rows are written, not after
    written: ReceiptFile = getattr(outputs, name)(path, source.kind, source.batches, source.note)
    return written
