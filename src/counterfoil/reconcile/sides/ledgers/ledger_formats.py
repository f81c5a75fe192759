"""Opening the table of a ledger: what a file is, is told by its first bytes and never by its name.

Excel itself gives the name .xls to what it saves as a web page, and .xlsx to what it encrypts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from counterfoil.errors import InputError, SideError, UsageError
from counterfoil.line_items.parquet_lines import PARQUET_MAGIC
from counterfoil.reconcile.sides.ledgers.csv_ledgers import csv_ledger
from counterfoil.reconcile.sides.ledgers.ledger_mapping import LedgerMapping, LedgerSource
from counterfoil.reconcile.sides.ledgers.ledger_table import LedgerTable, Score, heading_of
from counterfoil.reconcile.sides.ledgers.parquet_ledgers import parquet_ledger

# Loaded when they are needed: one because its library takes long to load, the other because it stands above this room.
_WORKBOOKS: Final = "counterfoil.reconcile.sides.ledgers.workbook_ledgers"
_DATABASES: Final = "counterfoil.sql_ledgers"
_ZIP: Final = b"PK\x03\x04"
_OFFICE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_SEARCHED_SIZE_BYTES: Final = 1 << 20
_SAVE_AGAIN: Final = "Save it as Excel workbook (.xlsx) or as CSV UTF-8, and give that."


def mapped_table(mapping: LedgerMapping, name: str, file: Path | None = None) -> LedgerTable:
    """Return the table that a mapping is for, in `file` or where the mapping says.

    Raises UsageError, SideError and InputError.
    """
    source = mapping.source
    names = {heading_of(theirs) for theirs in mapping.columns.values()}
    if source.sql and file is None:
        return _database(source, name)
    if file is None:
        beside = mapping.path.parent if mapping.path else Path()
        file = beside / source.file
        name = str(file)
    return table_at(
        file,
        name,
        source,
        score=lambda cells: len({heading_of(cell) for cell in cells} & names),
        is_wanted=names.__contains__,
    )


def table_at(
    path: Path, name: str, source: LedgerSource, *, score: Score, is_wanted: Callable[[str], bool]
) -> LedgerTable:
    """Return the table in a file, of which those columns are wanted; raises SideError and InputError."""
    try:
        with path.open("rb") as file:
            head = file.read(_SEARCHED_SIZE_BYTES)
    except OSError as error:
        raise SideError(f"{name} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error
    if head.startswith(_ZIP):
        found: LedgerTable = import_module(_WORKBOOKS).workbook_ledger(path, name, source.sheet)
        return found
    if source.sheet:
        raise SideError(
            f"{name} is no workbook, and the sheet {source.sheet!r} was asked for.",
            remedy="Leave the sheet out, or name the workbook.",
            parameter="sheet",
        )
    _refuse_others(head, name)
    if head.startswith(PARQUET_MAGIC):
        return parquet_ledger(path, name, is_wanted)
    return csv_ledger(path, name, source.encoding, score)


def _refuse_others(head: bytes, name: str) -> None:
    if not head.strip():
        raise InputError("is empty", file=name, remedy="Name the file that holds the ledger.")
    if head.startswith(_OFFICE):
        if _ENCRYPTED in head:
            raise InputError("is encrypted", file=name, remedy="Save a copy without a password, and give that.")
        raise InputError("is an Excel workbook of the old kind (.xls)", file=name, remedy=_SAVE_AGAIN)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        raise InputError("is a web page or XML, whatever its name says", file=name, remedy=_SAVE_AGAIN)
    if start == b"{" or (start == b"[" and b"{" in head[:64]):
        raise InputError(
            "is JSON, and a ledger is a table", file=name, remedy="Leave the mapping out if it holds line items."
        )
    if head.startswith(b"%PDF-"):
        raise InputError("is a PDF file", file=name, remedy="Export the ledger as CSV or Excel.")


def _database(source: LedgerSource, name: str) -> LedgerTable:
    url = os.environ.get(source.url_env, "")
    if not url:
        raise UsageError(
            f"{name}: the environment has no {source.url_env}, which holds the database's address.",
            remedy=f"Set it, for instance: export {source.url_env}=postgresql+psycopg://user@host/books",
        )
    try:
        module = import_module(_DATABASES)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"A ledger in a database needs SQLAlchemy, and {error.name} is not installed.",
            remedy='Install it with: pip install "counterfoil[server]"',
        ) from error
    found: LedgerTable = module.sql_ledger(url, source.sql, name)
    return found
