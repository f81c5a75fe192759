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


def cells_of(path: Path) -> list[dict[str, tuple[str, str]]]:
    """Return each row of the first sheet: column letters to kind (`text`, `number`) and content, as it is stored."""
    with zipfile.ZipFile(path) as archive:
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    rows = []
    for row in sheet.iter(f"{_MAIN}row"):
        cells = {}
        for cell in row.iter(f"{_MAIN}c"):
            assert cell.find(f"{_MAIN}f") is None, "a formula"
            letters = re.sub(r"\d", "", cell.attrib["r"])
            if cell.get("t") == "inlineStr":
                cells[letters] = ("text", _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(cell.itertext())))
            else:
                assert cell.get("t") in (None, "n")
                cells[letters] = ("number", cell.findtext(f"{_MAIN}v") or "")
        rows.append(cells)
    return rows


def letters_of(index: int) -> str:
    """Return the letters of a column, counted from 0."""
    return (chr(64 + index // 26) if index >= 26 else "") + chr(65 + index % 26)
