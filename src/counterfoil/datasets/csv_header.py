"""Finding the header of a CSV file: what stands above it, where it is, and which sign parts the columns.

The first row is often no header. A spreadsheet writes `sep=;` or the title of the report there, PowerShell the type of
its objects. The header is the first row with names that are ours, and the sign that parts the columns is the one that
finds most of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil.columns import RECONCILIATION, USAGE, folded
from counterfoil.errors import InputError
from counterfoil.line_items.blocks import LINE_SIZE_BYTES_MAX
from counterfoil.line_items.values import UNSEEN

PARTNER: Final = folded("PartnerId")
_DELIMITERS: Final = (",", ";", "\t", "|")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?[,;\t|]*', re.IGNORECASE)
_TYPE_LINE: Final = re.compile(r'"?#TYPE\b.*', re.IGNORECASE)
_OTHER_DELIMITER: Final = re.compile(r"partner[ _-]?id[\"']?([^\w\s\"'])[\"']?\w", re.IGNORECASE)
_SEARCHED_SIZE_BYTES: Final = 1 << 20
_SEARCHED_LINES: Final = 100
_HEADER_LINES_MAX: Final = 200  # of a header with line breaks in its names
_SURE_NAMES: Final = 3  # a title may hold one name of ours: `Partner ID: ...`
# What the files of legacy commerce have, and line items have not, as Microsoft's pages of them list it.
_LEGACY: Final = {
    "license-based": ("SyndicationPartnerSubscriptionNumber", "OfferId", "DurableOfferId", "OfferName", "Amount"),
    "usage-based": ("PartnerBillableAccountId", "ResourceGuid", "ConsumedQuantity", "OverageQuantity", "PretaxCharges"),
}
_LEGACY_MARKS: Final = {kind: frozenset(map(folded, names)) for kind, names in _LEGACY.items()}


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """The header of a CSV file: its names, the sign between them, and the lines where it begins and ends, from 1."""

    names: list[str]
    delimiter: str
    first_line: int
    last_line: int
    is_padded: bool  # spaces follow the sign
    above: Counter[str]  # how many rows of which sort are above it


def header_of(head: bytes, file: str) -> CsvHeader | None:
    """Return the header in the first bytes of a file, or None if it has none.

    Raises InputError for what is no text, for a header without PartnerId, and for a legacy reconciliation file.
    """
    text = head[:_SEARCHED_SIZE_BYTES].decode(errors="replace")
    lines = [line.removeprefix("\ufeff") for line in io.StringIO(text, newline="")][
        : _SEARCHED_LINES + _HEADER_LINES_MAX
    ]
    found = max(_headers(lines), key=lambda each: (_is_sure(each), -each.first_line, _known(each.names)), default=None)
    if found is None:
        if "\ufffd" in text[: 1 << 10]:
            raise InputError(
                "is neither JSON nor UTF-8 text", file=file, line=1, remedy="Give JSON lines or CSV, saved as UTF-8."
            )
        return None
    names = {folded(name) for name in found.names}
    if legacy := next((kind for kind, marks in _LEGACY_MARKS.items() if len(marks & names) > 1), ""):
        raise InputError(
            f"a legacy {legacy} reconciliation file, whose line items no API serves any more",
            file=file,
            line=found.first_line,
            remedy="Give the reconciliation or daily rated usage file of new commerce.",
        )
    if PARTNER not in names:
        raise InputError(
            "the header has no PartnerId",
            file=file,
            line=found.first_line,
            remedy="Each line item says whose it is: add the column, with the partner's tenant id.",
        )
    return found


def _headers(lines: Sequence[str]) -> Iterator[CsvHeader]:
    """Yield each row that may be a header, with each sign that may part its columns."""
    declared = ""
    above: Counter[str] = Counter()
    csv.field_size_limit(LINE_SIZE_BYTES_MAX)
    for at, line in enumerate(lines[:_SEARCHED_LINES]):
        other = _OTHER_DELIMITER.search(line)
        for delimiter in dict.fromkeys(filter(None, (declared, *_DELIMITERS, other and other[1]))):
            rows = lines[at : at + _HEADER_LINES_MAX]
            is_padded = delimiter + " " in line
            reader = csv.reader(rows, delimiter=delimiter, skipinitialspace=is_padded)
            try:
                names = [_named(name) for name in next(reader, [])]
            except csv.Error:  # the cell is too large
                continue
            if PARTNER in map(folded, names) or _known(names) > _SURE_NAMES:
                yield CsvHeader(names, delimiter, at + 1, at + reader.line_num, is_padded, Counter(above))
        if said := _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n")):
            declared = said[1]
        if sort := sort_of_other_row(line):
            above[sort] += 1


def sort_of_other_row(line: str) -> str:
    """Return what a line is that stands above a header; '' for a blank one."""
    line = line.strip(UNSEEN)
    if _SEPARATOR_LINE.fullmatch(line):
        return "sep= row"
    if _TYPE_LINE.fullmatch(line):
        return "#TYPE row"
    return "title row" if line.strip(UNSEEN + '",;|') else ""


def _named(name: str) -> str:
    return " ".join(name.strip(UNSEEN).split())


def _known(names: Sequence[str]) -> int:
    return sum(any(table.spelling_of(name) for table in (USAGE, RECONCILIATION)) for name in names)


def _is_sure(header: CsvHeader) -> bool:
    return _known(header.names) >= _SURE_NAMES
