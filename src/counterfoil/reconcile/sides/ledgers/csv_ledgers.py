"""A ledger in CSV: any usual sign between the columns, any encoding that is named, quoted cells over several lines.

The sign is the one that finds most of the columns that are looked for. A row of another length than the header is the
trap: an amount with a decimal comma, in a file that commas part, is two cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from counterfoil.errors import InputError
from counterfoil.line_items.blocks import DAMAGED_GZIP, LINE_SIZE_BYTES_MAX
from counterfoil.reconcile.sides.ledgers.ledger_table import HEADER_ROWS_MAX, LedgerRow, LedgerTable, Score
from counterfoil.reconcile.sides.text_files import opened_bytes

_DELIMITERS: Final = (";", ",", "\t", "|")
_BYTE_ORDER_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_USUAL: Final = "utf-8-sig"


def csv_ledger(path: Path, name: str, encoding: str, score: Score) -> LedgerTable:
    """Return the table in a CSV file; raises InputError for what is no text."""
    encoding = encoding or _encoding_of(path, name)
    delimiter = _delimiter_of(path, name, encoding, score)
    return LedgerTable(name, lambda: _rows(path, name, encoding, delimiter))


def _encoding_of(path: Path, name: str) -> str:
    try:
        with opened_bytes(path) as file:
            head = file.read(2)
    except DAMAGED_GZIP as error:
        raise _cut(name, error) from error
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), _USUAL)


def _delimiter_of(path: Path, name: str, encoding: str, score: Score) -> str:
    def points(delimiter: str) -> int:
        rows = _rows(path, name, encoding, delimiter, strict=False)
        return max((score(row.cells) for row in islice(rows, HEADER_ROWS_MAX)), default=0)

    return max(_DELIMITERS, key=points)


def _rows(path: Path, name: str, encoding: str, delimiter: str, *, strict: bool = True) -> Iterator[LedgerRow]:
    csv.field_size_limit(LINE_SIZE_BYTES_MAX)
    line = 0
    try:
        with opened_bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            rows = csv.reader(text, delimiter=delimiter, strict=strict)
            for cells in rows:
                if any("\0" in cell for cell in cells):
                    raise InputError("holds the character U+0000", file=name, line=line + 1, remedy=_as_text(encoding))
                yield LedgerRow(line + 1, cells)
                line = rows.line_num
    except csv.Error as error:
        raise InputError(
            f"not CSV: {error}", file=name, line=line + 1, remedy="Export the ledger again, with quotes around texts."
        ) from error
    except UnicodeError as error:
        raise InputError(f"not {_spelled(encoding)} text", file=name, remedy=_as_text(encoding)) from error
    except DAMAGED_GZIP as error:
        raise _cut(name, error) from error


def _cut(name: str, error: BaseException) -> InputError:
    return InputError(f"the gzip data is cut or corrupt: {error}", file=name, remedy="Copy the file again.")


def _as_text(encoding: str) -> str:
    if encoding == _USUAL:
        return 'Save it as CSV UTF-8, or name its encoding under [source], such as encoding = "cp1252".'
    return "Save it as CSV UTF-8, or correct the encoding under [source] of the mapping."


def _spelled(encoding: str) -> str:
    return "UTF-8" if encoding == _USUAL else encoding
