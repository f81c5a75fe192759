"""One input file of any format: recognise the format and the kind of its line items.

Formats are recognised by content, never by name: JSON lines (Graph's or v1's spelling), documents and pages of JSON,
CSV, and Parquet. All but Parquet may be gzip.
"""

from __future__ import annotations

from functools import partial

from counterfoil.columns import table_of
from counterfoil.datasets.containers import refuse_other_files
from counterfoil.datasets.csv_header import header_of
from counterfoil.datasets.csv_input import CsvRows
from counterfoil.datasets.input_file import InputFile, parquet_rows
from counterfoil.datasets.json_shapes import recognise_document, recognise_json
from counterfoil.datasets.line_item_kind import kind_of_names
from counterfoil.datasets.source import Source
from counterfoil.errors import InputError
from counterfoil.line_items.parquet_lines import PARQUET_MAGIC, parquet_names
from counterfoil.model import Kind


def recognise(source: Source, asserted: Kind | None = None) -> InputFile:
    """Return what an opened source holds; raises InputError if it is nothing we read, or not of the asserted kind."""
    refuse_other_files(source)
    start = source.head.lstrip()[:1]
    if source.head.startswith(PARQUET_MAGIC):
        found = _parquet(source)
    elif start == b"{":
        found = recognise_json(source)
    elif start == b"[":
        found = recognise_document(source)
    else:
        found = _csv(source)
    if asserted is not None and found.kind is not asserted:
        raise InputError(
            f"holds {found.kind} line items, and {asserted} was expected",
            file=source.name,
            remedy="Leave the kind out, or give the other file.",
            parameter="kind",
        )
    return found


def _csv(source: Source) -> InputFile:
    header = header_of(source.head, source.name)
    if header is None:
        raise InputError(
            "is neither JSON lines nor a CSV with a PartnerId column",
            file=source.name,
            line=1,
            remedy="Give Graph or Partner Center line items, or Parquet. A CSV needs a header of attributes' names.",
        )
    source.left_out += header.above
    kind = kind_of_names(header.names, source.name, header.first_line)
    return InputFile(source, kind, csv_rows=lambda forms: CsvRows(source, header, table_of(kind), forms))


def _parquet(source: Source) -> InputFile:
    if source.path is None:
        raise InputError(
            "Parquet cannot be read from standard input or out of gzip",
            file=source.name,
            remedy="Name the Parquet file itself.",
        )
    kind = kind_of_names(parquet_names(source.path), source.name)
    return InputFile(source, kind, partial(parquet_rows, source, kind, None), is_parquet=True)
