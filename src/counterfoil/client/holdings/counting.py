"""Counting and summing the files of a pull again, whatever their format.

Only the columns that are summed are read, as exact texts, and in pieces, so that memory stays flat. A CSV file is read
as text and by its headings, never with guessed types, which would make floats of amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv

from counterfoil.client.output_files.headings import columns_of
from counterfoil.client.output_files.output_formats import Format
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.receipt import format_of
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import summed_names
from counterfoil.model import Kind

COUNTED: Final = frozenset(
    {Format.BLOBS.value, Format.PARQUET.value, Format.CSV.value}
)  # a workbook has 15 digits only
_CSV_BLOCK_BYTES: Final = 4 * LINE_SIZE_BYTES_MAX  # no line may be longer than a block


def summed_columns(path: Path, kind: Kind) -> Iterator[pa.RecordBatch]:
    """Yield the columns of a file that are summed, as exact texts; where there was none, null."""
    wanted = summed_names(kind)
    format = format_of(path.name)  # noqa: A001 - the word for it everywhere
    if format == Format.BLOBS:
        yield from batches_of(path, path.name, LineReader(kind), coded=True)
    elif format == Format.CSV:
        yield from _of_csv(path, kind, wanted)
    else:
        with LakeReader(path, kind) as lake:
            yield from lake.batches(wanted)


def _of_csv(path: Path, kind: Kind, wanted: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    headings = {column.name: heading for heading, column in columns_of(kind).items()}
    asked = [headings[name] for name in wanted]
    with csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            include_columns=asked,
            column_types=dict.fromkeys(asked, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    ) as file:
        for batch in file:
            yield batch.rename_columns(list(wanted))
