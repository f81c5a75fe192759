"""CSV files as JSON lines: Partner Center's reconciliation files and daily rated usage files, as downloaded.

All values become JSON texts, and the rules of line items then hold for them as for every other source. What differs
from JSON is local dates and numbers, see `csv_values`, and what spreadsheets, shells and joins put around the rows:
headers again in the middle, rows of commas, totals. That is left out where it can be nothing else, and counted in the
source's `left_out`; anything else that is no row of this header is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from counterfoil.columns import LineItemTable, folded
from counterfoil.datasets.csv_header import PARTNER, CsvHeader, sort_of_other_row
from counterfoil.datasets.csv_values import CsvValues, LocalForms
from counterfoil.datasets.source import Source
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import ATTRIBUTES_MAX, UNSEEN, Refused

ROWS_AT_ONCE: Final = 5_000
_AT_ONCE_SIZE_BYTES: Final = 4 << 20  # where rows are wide
_MARK: Final = "\ufeff"
_PARTNERS_KEPT: Final = 10_000
_TOTALS: Final = re.compile(
    r"(?:(?:grand|sub|overall|report|invoice)[ -]?)?"
    r"(?:total(?:s|en)?|sum(?:me|a|s)?|gesamt(?:summe|betrag)?|(?:end|zwischen)summe)\b[^0-9]*",
    re.IGNORECASE,
)
_NOT_A_ROW: Final = re.compile(r"\(?[0-9]+ rows? (?:affected|selected|returned)\)?\.?|[-+=*_ ]{3,}", re.IGNORECASE)
_BACKSLASH_REMEDY: Final = (
    "CSV doubles the quotes in a value. Write the file again so: in Spark with .option('escape', '\"'), in Data "
    "Factory with the double quote as escape character."
)


class CsvRows:
    """The rows under a header (see `csv_header`), as JSON lines."""

    def __init__(self, source: Source, header: CsvHeader, table: LineItemTable, forms: LocalForms) -> None:
        self._source, self._header, self._table = source, header, table
        self._keys = _keys_of(header, table, source.name)
        self._kept = [at for at, name in enumerate(self._keys) if name]
        self._unnamed = [at for at, name in enumerate(self._keys) if not name]
        self._partner = [folded(name) for name in header.names].index(PARTNER)
        self._partners: set[str] = set()  # of rows that were looked at
        self._has_escaped_quotes = False
        self._values = CsvValues(table, self._keys, header.delimiter, forms, source.name)
        if header.is_padded:
            self._values.expect_dress()

    def asking(self, on_refused: OnRefused) -> OnRefused:
        """Return what takes refused lines of this file, see `CsvValues.asking`."""
        return self._values.asking(on_refused)

    def lines(self, on_refused: OnRefused) -> Iterator[tuple[list[bytes], list[int]]]:
        """Yield the rows, each as one JSON object, with the numbers of their lines."""
        csv.field_size_limit(LINE_SIZE_BYTES_MAX)
        texts = self._texts()
        before = self._header.last_line
        for _ in range(before):
            next(texts)
        reader = csv.reader(
            texts, delimiter=self._header.delimiter, strict=True, skipinitialspace=self._header.is_padded
        )
        encode = msgspec.json.Encoder().encode
        width, partner, keys, settle = len(self._keys), self._partner, self._keys, self._values.settle
        named = [keys[at] for at in self._kept] if self._unnamed else keys
        lines: list[bytes] = []
        numbers: list[int] = []
        size_bytes, line = 0, before
        try:
            for row in reader:
                line = before + reader.line_num
                if (len(row) != width or row[partner] not in self._partners) and not self._is_row(
                    row, line, on_refused
                ):
                    continue
                if not settle(row, line, on_refused):
                    continue
                if self._unnamed:
                    row = self._without_unnamed(row)  # noqa: PLW2901
                lines.append(encode(dict(zip(named, row, strict=True))))
                numbers.append(line)
                size_bytes += len(lines[-1])
                if len(lines) == ROWS_AT_ONCE or size_bytes > _AT_ONCE_SIZE_BYTES:
                    yield lines, numbers
                    lines, numbers, size_bytes = [], [], 0
        except csv.Error as error:
            raise self._not_csv(error, line + 1, before + reader.line_num) from error
        yield lines, numbers

    def _is_row(self, row: list[str], line: int, on_refused: OnRefused) -> bool:
        """Tell whether this is a line item's row, made as wide as the header if it was wider by empty values.

        Counts what is none for certain, and refuses what may be one.
        """
        there = [value for value in row if value.strip(UNSEEN)]
        if not there:
            if len(row) > 1:
                self._source.left_out["empty row"] += 1
            return False
        if self._is_header(row, line) or self._is_beside_the_rows(row, there):
            return False
        if len(row) > len(self._keys) and not any(row[len(self._keys) :]):
            del row[len(self._keys) :]
        if len(row) != len(self._keys):
            on_refused(line, Refused(f"has {len(row)} fields where the header has {len(self._keys)}"))
            return False
        value = row[self._partner]
        if value != value.strip(UNSEEN + "'"):
            self._values.expect_dress()
        elif value and len(self._partners) < _PARTNERS_KEPT:
            self._partners.add(value)
        return True

    def _is_header(self, row: Sequence[str], line: int) -> bool:
        """Tell whether the header is there again; raises InputError for the header of another file."""
        names = [folded(value) for value in row]
        if PARTNER not in names:
            return False
        while names and not names[-1]:
            names.pop()
        own = [folded(name) for name in self._header.names]
        while own and not own[-1]:
            own.pop()
        if names != own:
            raise InputError(
                "a second header, with other columns than the first",
                file=self._source.name,
                line=line,
                remedy="Two files were joined here: give each by itself.",
            )
        self._source.left_out["repeated header"] += 1
        return True

    def _is_beside_the_rows(self, row: Sequence[str], there: Sequence[str]) -> bool:
        """Tell whether a row holds totals, or what a shell or database writes above and below the rows."""
        first = there[0].strip(UNSEEN)
        if len(there) == 1 and (sort_of_other_row(first) in ("sep= row", "#TYPE row") or _NOT_A_ROW.fullmatch(first)):
            self._source.left_out["stray row"] += 1
            return True
        partner = row[self._partner] if len(row) > self._partner else ""
        if _TOTALS.fullmatch(first) and partner.strip(UNSEEN) in ("", first):
            self._source.left_out["totals row"] += 1
            return True
        return False

    def _without_unnamed(self, row: list[str]) -> list[str]:
        """Leave out the values of columns without a name, and count them."""
        self._source.left_out["unnamed value"] += sum(bool(row[at].strip(UNSEEN)) for at in self._unnamed)
        return [row[at] for at in self._kept]

    def _texts(self) -> Iterator[str]:
        """Yield the lines, without byte order marks at their beginnings, which joined files have."""
        for block in self._source.blocks():
            data = bytes(block.data)
            try:
                text = data.decode() + "\n"
            except UnicodeDecodeError as error:
                line = block.first_line + data.count(b"\n", 0, error.start)
                raise InputError(
                    "not UTF-8", file=self._source.name, line=line, remedy="Save it as CSV UTF-8."
                ) from error
            if _MARK in text:
                marks = text.count("\n" + _MARK) + text.startswith(_MARK)
                text = text.removeprefix(_MARK).replace("\n" + _MARK, "\n")
                self._source.left_out["byte order mark"] += marks
            self._values.look(text)
            self._has_escaped_quotes = '\\"' in text
            yield from io.StringIO(text, newline="")

    def _not_csv(self, error: csv.Error, begin: int, end: int) -> InputError:
        """Return the error for a row that begins on one line and is no CSV on another."""
        reason, line, remedy = f"not CSV: {error}", end, "Check the quotes: one within a value is doubled."
        if "unexpected end" in str(error):
            line, remedy = (
                begin,
                "A quote opens here and never closes. Was the file cut? One within a value is doubled.",
            )
        elif "expected after" in str(error) and self._has_escaped_quotes:
            reason, remedy = "quotes in a value are escaped by a backslash", _BACKSLASH_REMEDY
        return InputError(reason, file=self._source.name, line=line, remedy=remedy)


def _keys_of(header: CsvHeader, table: LineItemTable, file: str) -> list[str]:
    """Return the key of each column in JSON, '' for one without a name; raises InputError for what cannot be kept."""
    line = header.first_line
    if len(header.names) > ATTRIBUTES_MAX:
        raise InputError(f"the header has more than {ATTRIBUTES_MAX:,} columns", file=file, line=line)
    keys: list[str] = []
    seen: dict[str, str] = {}
    for name in header.names:
        spelling = table.spelling_of(name)
        meaning = spelling.column.name if spelling else name.lower()
        if meaning in seen and name:
            raise InputError(
                f"the header gives {meaning if spelling else seen[meaning]} twice",
                file=file,
                line=line,
                attribute=name,
                remedy=f"Keep one of the two columns, {seen[meaning]} or {name}.",
            )
        seen[meaning] = name
        usual = name
        if spelling and name.lower() not in table.spellings:
            usual = spelling.column.v1 or "" if spelling.from_v1 else spelling.column.name
        keys.append(usual)
    return keys
