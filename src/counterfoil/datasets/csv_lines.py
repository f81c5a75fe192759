"""Reading CSV: Partner Center's reconciliation files and daily rated usage files, as downloaded.

Two things differ from JSON. A date such as `11/12/2026` means November to one reader and December to another, so the
order must be declared; such dates are the only values that Counterfoil rewrites (to ISO, UTC). And a spreadsheet may
have saved the file: amounts with thousands separators or a decimal comma, and times that no clock shows, are refused,
never guessed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa

from counterfoil.columns import EXTRA, LineItemTable, Spelling, Type
from counterfoil.datasets import batch
from counterfoil.datasets.batch import Batch
from counterfoil.datasets.source import Source
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused, check_text, stored_cell

DateOrder = Literal["mdy", "dmy"]
ROWS_PER_BATCH = 20_000
_LOCAL_DATE = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])[Mm])?)?", re.ASCII
)


def header_of(head: bytes, file: str) -> tuple[list[str], str] | None:
    """Return the names in a CSV's first row and its delimiter, or None if no name is one of ours."""
    try:
        first = head.split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError as error:
        raise InputError(
            "is neither JSON nor UTF-8 text", file=file, line=1, remedy="Give JSON lines or CSV, saved as UTF-8."
        ) from error
    for delimiter in (",", ";", "\t"):
        try:
            names = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:  # a name of more than 128 KiB
            names = []
        if any(name.strip().lower() == "partnerid" for name in names):
            return [name.strip() for name in names], delimiter
    return None


class CsvReader:
    """Reads one CSV file whose header has been recognised."""

    def __init__(self, table: LineItemTable, on_refused: OnRefused, *, file: str, date_order: DateOrder | None) -> None:
        self._table = table
        self._on_refused = on_refused
        self._file = file
        self._date_order = date_order

    def read(self, source: Source, names: list[str], delimiter: str) -> Iterator[Batch]:
        """Yield the line items of the file."""
        spellings = batch.columns_of_kind(self._table, names)
        self._check_header(names, spellings)
        csv.field_size_limit(LINE_SIZE_BYTES_MAX)
        reader = csv.reader(self._text_lines(source), delimiter=delimiter, strict=True)
        rows: list[list[str]] = []
        lines: list[int] = []
        try:
            next(reader)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(names):
                    reason = f"has {len(row)} fields where the header has {len(names)}"
                    self._on_refused(reader.line_num, Refused(reason))
                    continue
                rows.append(row)
                lines.append(reader.line_num)
                if len(rows) == ROWS_PER_BATCH:
                    yield from self._batches(names, spellings, rows, lines)
                    rows, lines = [], []
        except csv.Error as error:
            raise InputError(f"not CSV: {error}", file=self._file, line=reader.line_num) from error
        if rows:
            yield from self._batches(names, spellings, rows, lines)

    def _check_header(self, names: list[str], spellings: list[Spelling | None]) -> None:
        seen: dict[str, str] = {}
        for name, spelling in zip(names, spellings, strict=True):
            meaning = spelling.column.name if spelling else name.lower()
            if meaning in seen:
                raise InputError(f"the header gives {seen[meaning]} twice", file=self._file, line=1, attribute=name)
            seen[meaning] = name

    def _text_lines(self, source: Source) -> Iterator[str]:
        for block in source.blocks():
            data = bytes(block.data)
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                line = block.first_line + data.count(b"\n", 0, error.start)
                raise InputError("not UTF-8", file=self._file, line=line, remedy="Save it as CSV UTF-8.") from error
            yield from io.StringIO(text + "\n", newline="")

    def _batches(
        self, names: list[str], spellings: list[Spelling | None], rows: list[list[str]], lines: list[int]
    ) -> Iterator[Batch]:
        columns: list[tuple[Spelling, pa.Array]] = []
        for name, spelling, texts in zip(names, spellings, zip(*rows, strict=True), strict=True):
            if spelling is not None:
                dates = spelling.column.type is Type.DATE
                isos = (self._iso(text, name, line) for text, line in zip(texts, lines, strict=True))
                columns.append((spelling, pa.array(isos if dates else texts, pa.string())))
        unknown = [
            index
            for index, (name, spelling) in enumerate(zip(names, spellings, strict=True))
            if spelling is None and name.lower() not in self._table.constants
        ]
        extra = pa.array([_extra(names, unknown, row) for row in rows], pa.string()) if unknown else None
        quick, doubtful = batch.of_columns(self._table, columns, lines, extra)
        doubtful |= [any("\0" in text for text in row) for row in rows]
        yield quick.keep(~doubtful) if doubtful.any() else quick
        if doubtful.any():
            unsure = [index for index, is_unsure in enumerate(doubtful) if is_unsure]
            yield self._by_reference(names, spellings, unknown, [(lines[i], rows[i]) for i in unsure])

    def _iso(self, text: str, name: str, line: int) -> str:
        """Return an ISO date for a local one; anything else stays, for the checks to judge."""
        if not text or (text[4:5] == "-" and text[:4].isdigit()):
            return text
        match = _LOCAL_DATE.fullmatch(text)
        if match is None:
            return text
        if self._date_order is None:
            raise InputError(
                "a date that two readers read differently",
                file=self._file,
                line=line,
                attribute=name,
                value=text,
                remedy="Say which comes first, the month (mdy, as in the US) or the day (dmy).",
                parameter="date_order",
            )
        first, _, second, year, hour, minute, seconds, half = match.groups()
        month, day = (first, second) if self._date_order == "mdy" else (second, first)
        hours = int(hour or 0)
        if half:
            if not 1 <= hours <= 12:
                return text
            hours = hours % 12 + (12 if half in "Pp" else 0)
        try:
            moment = datetime(int(year), int(month), int(day), hours, int(minute or 0), int(seconds or 0), tzinfo=UTC)
        except ValueError:
            return text
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year > 999 else text

    def _by_reference(
        self,
        names: list[str],
        spellings: list[Spelling | None],
        unknown: list[int],
        rows: list[tuple[int, list[str]]],
    ) -> Batch:
        values, kept = [], []
        for line, row in rows:
            try:
                item = {}
                for name, spelling, text in zip(names, spellings, row, strict=True):
                    if spelling is None:
                        continue
                    iso = self._iso(text, name, line) if spelling.column.type is Type.DATE else text
                    if (stored := stored_cell(spelling, name, iso)) is not None:
                        item[spelling.column.name] = stored
                if unknown:
                    for index in unknown:
                        check_text(names[index], row[index])
                    item[EXTRA] = _extra(names, unknown, row)
                values.append(item)
                kept.append(line)
            except Refused as refused:
                self._on_refused(line, refused)
        return batch.of_values(self._table, values, kept)


def _extra(names: list[str], unknown: list[int], row: list[str]) -> str:
    return json.dumps({names[index]: row[index] for index in unknown}, ensure_ascii=False, separators=(",", ":"))
