"""The output formats of a pull. A pull may have several; a file of all line items is written when they are proven.

In a folder, the format of a file is told by its name, so that each format can be counted by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from counterfoil.client.output_files.csv_file import write_csv
from counterfoil.client.output_files.headings import Note, quietly
from counterfoil.client.protocol.asking import word_of
from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import UsageError
from counterfoil.model import Kind


class Format(StrEnum):
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
        return self in (Format.CSV, Format.XLSX)


FormatChoice = Format | str | Sequence[Format | str]


def formats_of(choice: FormatChoice) -> tuple[Format, ...]:
    """Return the formats chosen, one or several, each once and in the order above; raises UsageError."""
    words = [choice] if isinstance(choice, str) else list(choice)
    if not words:
        raise UsageError("No format is given.", remedy=f"Give {', '.join(Format)}, or several.", parameter="format")
    chosen = {word_of(Format, word) for word in words}
    return tuple(each for each in Format if each in chosen)


def write_format(
    format: Format,  # noqa: A002 - the word for it everywhere
    folder: Path,
    kind: Kind,
    batches: Iterable[pa.RecordBatch],
    note: Note = quietly,
) -> ReceiptFile:
    """Write line items, which can be read twice, as the one file of a format; see `write_csv` and `write_workbook`."""
    path = folder / f"{kind.value}.{format.value}"
    path.unlink(missing_ok=True)
    if format is Format.CSV:
        return write_csv(path, kind, batches, note)
    # Imported when needed: most pulls need no workbook.
    workbook = import_module("counterfoil.client.output_files.workbook")
    written: ReceiptFile = workbook.write_workbook(path, kind, batches, note)
    return written
