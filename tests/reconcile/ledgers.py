"""Ledgers made by hand, in every form that is read, and their mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import openpyxl

HEADER = ("Kunde", "Abo", "Artikel", "Menge", "Betrag", "VK")
ROWS = (
    ("c1", "s1", "p1", "24", "528.00", "600.00"),
    ("c2", "s2", "p2", "3", "24.10", ""),
)
COLUMNS = {
    "CustomerId": "Kunde",
    "SubscriptionId": "Abo",
    "ProductId": "Artikel",
    "Quantity": "Menge",
    "Subtotal": "Betrag",
}


def mapping_file(
    path: Path,
    source: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    sale: str = "",
    more: str = "",
) -> Path:
    """Write a mapping; in euros, unless `source` says otherwise."""
    told = {"currency": "EUR"} | dict(source or {})
    lines = ["[source]", *(f"{name} = {_quoted(text)}" for name, text in told.items() if text)]
    lines += ["[columns]", *(f"{name} = {_quoted(text)}" for name, text in (columns or COLUMNS).items() if text)]
    lines += ["[sale]", f"amount = {_quoted(sale)}"] if sale else []
    path.write_text("\n".join([*lines, more]), encoding="utf-8")
    return path


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ledger_csv(path: Path, rows: Iterable[Sequence[str]] = ROWS, header: Sequence[str] = HEADER) -> Path:
    """Write a CSV as Excel does where the comma is before decimals: parted by semicolons."""
    path.write_text("".join(";".join(row) + "\r\n" for row in (header, *rows)), encoding="utf-8", newline="")
    return path


def workbook(path: Path, sheets: Mapping[str, Iterable[Sequence[object]]]) -> Path:
    """Write an Excel workbook."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path
