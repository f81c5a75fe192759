"""Reads what our writers wrote, in plain ways of its own: CSV by the standard library, a workbook by its XML."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.generator import generate
from counterfoil.line_items.lake import text_schema
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod

PARTNER: Final = "0e195b37-4574-4539-bc42-0e539b9684c0"
_ESCAPED: Final = re.compile("_x([0-9A-F]{4})_")  # how Excel writes what XML cannot hold
_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def batch_of(kind: Kind, rows: Iterable[Mapping[str, str | None]]) -> pa.RecordBatch:
    """Return columns of text for line items that are given as mappings."""
    return pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=text_schema(kind))


def fail(line: int, refused: Refused) -> None:
    """Refuse a generated line, which must not happen."""
    raise AssertionError(line, refused)


def generated(kind: Kind, line_items: int) -> list[pa.RecordBatch]:
    """Return realistic line items as columns of text."""
    period = BillingPeriod(2026, 11)
    scope = Scope.unbilled(period, "EUR") if kind is Kind.USAGE else Scope.billed("G016907411")
    reader = LineReader(kind)
    pieces = generate(kind, line_items, special=True, partner=PARTNER, scope=scope)
    return [reader.read([line for line in piece.splitlines() if line], fail) for piece in pieces]


def rows_of_csv(path: Path) -> list[list[str]]:
    """Return the rows of a CSV."""
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))


Cell = tuple[str, str]  # `text`, `number` or `formula`, and what is stored: of a formula its result


def sheets_of(path: Path) -> list[str]:
    """Return the names of the sheets in their order."""
    with zipfile.ZipFile(path) as archive:
        return [sheet.attrib["name"] for sheet in ET.fromstring(archive.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")]


def cells_of(path: Path, name: str | None = None) -> list[dict[str, Cell]]:
    """Return each row of a sheet, or of the first with line items: column letters to what the cell holds."""
    names = sheets_of(path)
    number = names.index(name) + 1 if name else next(at for at, each in enumerate(names, 1) if each in set(Kind))
    with zipfile.ZipFile(path) as archive:
        sheet = ET.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
    rows = []
    for row in sheet.iter(f"{_MAIN}row"):
        cells = {}
        for cell in row.iter(f"{_MAIN}c"):
            letters = re.sub(r"\d", "", cell.attrib["r"])
            value = cell.findtext(f"{_MAIN}v") or ""
            if cell.find(f"{_MAIN}f") is not None:
                cells[letters] = ("formula", value)
            elif cell.get("t") == "inlineStr":
                cells[letters] = ("text", _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(cell.itertext())))
            else:
                assert cell.get("t") in (None, "n")
                cells[letters] = ("number", value)
        rows.append(cells)
    return rows


def table_in(path: Path, name: str) -> list[dict[str, Cell]]:
    """Return the rows of a sheet that is one table: what each cell holds, by its heading."""
    headings, *rows = cells_of(path, name)
    titles = {letters: content for letters, (_, content) in headings.items()}
    return [{titles[letters]: cell for letters, cell in row.items()} for row in rows]


def letters_of(index: int) -> str:
    """Return the letters of a column, counted from 0."""
    return (chr(64 + index // 26) if index >= 26 else "") + chr(65 + index % 26)
