"""CSV files as JSON lines: Partner Center's reconciliation files and daily rated usage files, as downloaded.

All values become JSON texts, and the rules of line items then hold for them as for every other source. Two things
differ from JSON. A date such as `11/12/2026` means November to one reader and December to another, so the
order must be declared; such dates are the only values that Counterfoil rewrites (to ISO, UTC). And a spreadsheet may
have saved the file: amounts with thousands separators or a decimal comma, and times that no clock shows, are refused,
never guessed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from counterfoil.columns import LineItemTable, Type
from counterfoil.datasets.source import Source
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import ATTRIBUTES_MAX, Refused

DateOrder = Literal["mdy", "dmy"]
ROWS_AT_ONCE = 5_000
_AT_ONCE_SIZE_BYTES = 4 << 20  # where rows are wide
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


def csv_lines(
    source: Source,
    header: tuple[list[str], str],
    table: LineItemTable,
    on_refused: OnRefused,
    date_order: DateOrder | None,
) -> Iterator[tuple[list[bytes], list[int]]]:
    """Yield the rows under a header (see `header_of`), each as one JSON object, with the numbers of their lines."""
    names, delimiter = header
    dates = _columns_of_dates(table, names, source.name)
    csv.field_size_limit(LINE_SIZE_BYTES_MAX)
    reader = csv.reader(text_lines(source), delimiter=delimiter, strict=True)
    encode = msgspec.json.Encoder().encode
    lines: list[bytes] = []
    numbers: list[int] = []
    size_bytes = 0
    try:
        next(reader)
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                reason = f"has {len(row)} fields where the header has {len(names)}"
                on_refused(reader.line_num, Refused(reason))
                continue
            for at in dates:
                row[at] = _iso_date(row[at], date_order, names[at], source.name, reader.line_num)
            lines.append(encode(dict(zip(names, row, strict=True))))
            numbers.append(reader.line_num)
            size_bytes += len(lines[-1])
            if len(lines) == ROWS_AT_ONCE or size_bytes > _AT_ONCE_SIZE_BYTES:
                yield lines, numbers
                lines, numbers, size_bytes = [], [], 0
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", file=source.name, line=reader.line_num) from error
    yield lines, numbers


def _columns_of_dates(table: LineItemTable, names: list[str], file: str) -> list[int]:
    """Return which columns hold dates; raises InputError for too many, or for an attribute that is there twice."""
    if len(names) > ATTRIBUTES_MAX:
        raise InputError(f"the header has more than {ATTRIBUTES_MAX:,} columns", file=file, line=1)
    dates: list[int] = []
    seen: dict[str, str] = {}
    for at, name in enumerate(names):
        spelling = table.spellings.get(name.lower())
        meaning = spelling.column.name if spelling else name.lower()
        if meaning in seen:
            raise InputError(f"the header gives {seen[meaning]} twice", file=file, line=1, attribute=name)
        seen[meaning] = name
        if spelling and spelling.column.type is Type.DATE:
            dates.append(at)
    return dates


def text_lines(source: Source) -> Iterator[str]:
    """Yield the lines of a source as text, with their ends; raises InputError for what is not UTF-8."""
    for block in source.blocks():
        data = bytes(block.data)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = block.first_line + data.count(b"\n", 0, error.start)
            raise InputError("not UTF-8", file=source.name, line=line, remedy="Save it as CSV UTF-8.") from error
        yield from io.StringIO(text + "\n", newline="")


def _iso_date(text: str, order: DateOrder | None, name: str, file: str, line: int) -> str:
    """Return an ISO date for a local one; anything else stays, for the checks to judge."""
    if not text or (text[4:5] == "-" and text[:4].isdigit()):
        return text
    if order is None and _LOCAL_DATE.fullmatch(text):
        raise InputError(
            "a date that two readers read differently",
            file=file,
            line=line,
            attribute=name,
            value=text,
            remedy="Say which comes first, the month (mdy, as in the US) or the day (dmy).",
            parameter="date_order",
        )
    return _from_local(text, order)


@lru_cache(maxsize=10_000)  # a file has few dates, and many lines
def _from_local(text: str, order: DateOrder | None) -> str:
    match = _LOCAL_DATE.fullmatch(text)
    if match is None:
        return text
    first, _, second, year, hour, minute, seconds, half = match.groups()
    month, day = (first, second) if order == "mdy" else (second, first)
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
