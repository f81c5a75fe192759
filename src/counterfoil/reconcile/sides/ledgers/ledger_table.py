"""The table of a ledger, whatever holds it: rows of texts, and the header among them.

The header is often not the first row: titles stand above it. It is the row that holds the columns that are asked for,
and if none does, what is said of the nearest row tells the reader why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, NamedTuple

from counterfoil.errors import InputError
from counterfoil.line_items.values import UNSEEN
from counterfoil.setting_values import did_you_mean

HEADER_ROWS_MAX: Final = 60
_LISTED_MAX: Final = 12
_DOUBLE_DIGITS: Final = 15
Headings = Sequence[str]
Score = Callable[[Headings], int]  # how many columns that are looked for a row names


class Uncalculated(str):
    """What a cell has in place of a value: its formula. Nobody has calculated it since the workbook was written."""

    __slots__ = ()


class LedgerRow(NamedTuple):
    """A row by its number in what holds it, from 1. An empty cell is ''; a number or a date is a `NumberText`."""

    line: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """A table to be read: `rows` begins anew each time it is called, `name` is what errors call it."""

    name: str
    rows: Callable[[], Iterator[LedgerRow]] = field(repr=False)
    notes: list[str] = field(default_factory=list)


class HeaderAndRows(NamedTuple):
    """The header of a table, and the rows below it."""

    header: LedgerRow
    rows: Iterator[LedgerRow]


def heading_of(text: str) -> str:
    """Return a heading as it is compared: without line breaks, doubled spaces, and the case of its letters."""
    return " ".join(text.strip(UNSEEN).split()).casefold()


def with_header(table: LedgerTable, score: Score) -> HeaderAndRows:
    """Return the row that names most of the columns that are looked for, the first of several, and what follows it.

    Raises InputError for a table without rows.
    """
    rows = table.rows()
    above = list(islice(rows, HEADER_ROWS_MAX))
    if not any(any(row.cells) for row in above):
        raise InputError("holds no rows", file=table.name, remedy="Name the file or sheet that holds the ledger.")
    best = max(range(len(above)), key=lambda at: (score(above[at].cells), -at))
    return HeaderAndRows(above[best], chain(above[best + 1 :], rows))


def columns_in(table: LedgerTable, wanted: dict[str, str]) -> tuple[dict[str, int], HeaderAndRows]:
    """Return the place of each wanted column (ours: theirs) in the table, and its rows.

    Raises InputError where a column is missing, or is there twice.
    """
    names = {heading_of(theirs): theirs for theirs in wanted.values()}
    found = with_header(table, lambda cells: len({heading_of(cell) for cell in cells} & names.keys()))
    headings = [heading_of(cell) for cell in found.header.cells]
    missing = [theirs for name, theirs in names.items() if name not in headings]
    if missing:
        raise _missing(table, found.header, missing, names)
    for name, theirs in names.items():
        if headings.count(name) > 1:
            places = [str(at + 1) for at, heading in enumerate(headings) if heading == name]
            raise InputError(
                f"{len(places)} columns are called {theirs!r}, the {_ordinals(places)}",
                file=table.name,
                line=found.header.line,
                remedy="Give each its own name, so that the mapping can say which of them counts.",
            )
    return {ours: headings.index(heading_of(theirs)) for ours, theirs in wanted.items()}, found


def _missing(table: LedgerTable, header: LedgerRow, missing: Sequence[str], names: dict[str, str]) -> InputError:
    listed = [" ".join(cell.split()) for cell in header.cells if cell.strip(UNSEEN)]
    told = ", ".join(map(repr, missing))
    if len(missing) < len(names):  # merged cells make headers of two rows: what is not in one row may be in the next
        beside = next((row for row in islice(table.rows(), HEADER_ROWS_MAX) if _has_all(row, missing)), None)
        if beside is not None and beside.line != header.line:
            return InputError(
                f"the header is not one row: {told} stand in row {beside.line}, and the others in row {header.line}",
                file=table.name,
                remedy="Undo the merged cells, so that each column has its name in the same row.",
            )
    shown = ", ".join(map(repr, listed[:_LISTED_MAX])) + (", ..." if len(listed) > _LISTED_MAX else "")
    return InputError(
        f"there is no column {told}.{did_you_mean(missing[0], listed)} Its columns are {shown}",
        file=table.name,
        line=header.line or None,
        remedy="Correct the name under [columns] of the mapping, or name another file or sheet.",
    )


def _has_all(row: LedgerRow, wanted: Sequence[str]) -> bool:
    cells = {heading_of(cell) for cell in row.cells}
    return all(heading_of(theirs) in cells for theirs in wanted)


def _ordinals(places: Sequence[str]) -> str:
    return f"{', '.join(places[:-1])} and {places[-1]} from the left"


def shown_double(value: float) -> str:
    """Return the 15 digits that a spreadsheet shows of a double: what follows is no digit that anybody entered.

    A number of more digits has an exponent, as a spreadsheet shows it, so that an id it was is seen to be lost.
    """
    return format(value, f".{_DOUBLE_DIGITS}G")
