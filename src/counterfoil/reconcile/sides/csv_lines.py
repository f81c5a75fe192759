"""CSV files of line items, with Partner Center's headings or Graph's: every value is read as the text that is there.

Each row becomes a JSON line, and the rules of line items then hold for it as for every other source: amounts in a
locale's form, ids in a number's, and dates that two readers read differently are refused with their line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import DAMAGED_GZIP, LINE_SIZE_BYTES_MAX
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from counterfoil.reconcile.sides.text_files import opened_text

_ROWS_AT_ONCE: Final = 5_000
_AT_ONCE_SIZE_BYTES: Final = 4 << 20  # where rows are wide
_DELIMITERS: Final = (",", ";", "\t")


def headings_of(first_line: str) -> tuple[list[str], str] | None:
    """Return the headings in the first line of a CSV and their delimiter, None where none is an attribute of ours."""
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([first_line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        if any(name.lower() == "partnerid" for name in names):
            return names, delimiter
    return None


def csv_batches(path: Path, file: str, kind: Kind, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the attributes of these names of every row; raises InputError with the line that is at fault."""
    reader = LineReader(kind)
    csv.field_size_limit(LINE_SIZE_BYTES_MAX)
    with opened_text(path) as text:
        found = headings_of(text.readline().rstrip("\r\n"))
        if found is None:
            raise InputError("the first line names no PartnerId", file=file, line=1, remedy="Give a CSV with headings.")
        headings, delimiter = found
        _check_headings(kind, headings, file)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        lines: list[bytes] = []
        numbers: list[int] = []
        size_bytes = 0
        try:
            for row in rows:
                if not row:
                    continue
                at = rows.line_num + 1
                if len(row) != len(headings):
                    raise InputError(f"has {len(row)} fields where the header has {len(headings)}", file=file, line=at)
                lines.append(msgspec.json.encode(dict(zip(headings, row, strict=True))))
                numbers.append(at)
                size_bytes += len(lines[-1])
                if len(lines) == _ROWS_AT_ONCE or size_bytes > _AT_ONCE_SIZE_BYTES:
                    yield _read(reader, lines, numbers, file).select(list(names))
                    lines, numbers, size_bytes = [], [], 0
        except csv.Error as error:
            raise InputError(f"not CSV: {error}", file=file, line=rows.line_num + 1) from error
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8", file=file, remedy="Save it as CSV UTF-8.") from error
        except DAMAGED_GZIP as error:
            raise InputError(f"the gzip data is cut or corrupt: {error}", file=file) from error
        yield _read(reader, lines, numbers, file).select(list(names))


def _read(reader: LineReader, lines: list[bytes], numbers: list[int], file: str) -> pa.RecordBatch:
    def refuse(line: int, refused: Refused) -> NoReturn:
        raise InputError(
            refused.reason,
            file=file,
            line=numbers[line - 1],
            attribute=refused.attribute,
            value=refused.value,
            remedy=refused.remedy,
        )

    return reader.read(lines, refuse)


def _check_headings(kind: Kind, headings: list[str], file: str) -> None:
    spellings = table_of(kind).spellings
    seen: dict[str, str] = {}
    for heading in headings:
        spelling = spellings.get(heading.lower())
        meant = spelling.column.name if spelling else heading.lower()
        if meant in seen:
            raise InputError(
                f"the header gives {seen[meant]} twice",
                file=file,
                line=1,
                attribute=heading,
                remedy="Keep one of them.",
            )
        seen[meant] = heading
