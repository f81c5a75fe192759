"""The values of a CSV's rows: local dates and numbers become what JSON has, once it is said how they are written.

Excel writes a file as the country does: in Germany `1.234,50`, parted by `;`. `1.234` is the trap: it is a number of
three decimals in one country and of none in the other. So where a value shows that the file may be local, it is asked
which sign is the decimal one; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from counterfoil.columns import LineItemTable, Spelling, Type
from counterfoil.datasets.source import input_error
from counterfoil.errors import InputError, UsageError
from counterfoil.line_items.dates import LOCAL_DATE, local_reading
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import UNSEEN, Refused, undressed

DateOrder = Literal["mdy", "dmy"]
DecimalSign = Literal["point", "comma"]

_GROUP: Final = "[ \u00a0\u2007\u202f'\u2019]"  # what parts thousands in one country or another
_NUMBERS: Final = {
    sign: re.compile(
        rf"([+-]?)([0-9]{{1,3}}(?:(?:{group}|{_GROUP})[0-9]{{3}})+|[0-9]+)(?:{decimal}([0-9]+))?([eE][+-]?[0-9]+)?",
        re.ASCII,
    )
    for sign, group, decimal in (("point", ",", r"\."), ("comma", r"\.", ","))
}
_LOCAL_NUMBER: Final = re.compile(rf"[+-]?[0-9]+(?:(?:[.,]|{_GROUP})[0-9]+)+", re.ASCII)
_THOUSANDS_OR_DECIMALS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+", re.ASCII)
_NOT_A_DIGIT: Final = re.compile(r"[^0-9]")
_SPACES: Final = "\u00a0\u2007\u202f\u200b\u200e\u200f\u2060"
_FORMULA: Final = '="'
_EDGES: Final = frozenset(UNSEEN + "'=")


@dataclass(frozen=True, slots=True)
class LocalForms:
    """How a CSV file writes local dates and numbers, where the caller has said it.

    `as_written`: the values are exact, white space around an id included, because a pull wrote them.
    """

    date_order: DateOrder | None = None
    decimal: DecimalSign | None = None
    as_written: bool = False

    @classmethod
    def read(cls, *, date_order: str = "", decimal: str = "") -> Self:
        """Return what texts say; empty ones say nothing. Raises UsageError."""
        return cls(
            _one_of(get_args(DateOrder), date_order, "date_order"), _one_of(get_args(DecimalSign), decimal, "decimal")
        )


def _one_of(allowed: tuple[Any, ...], text: str, parameter: str) -> Any:
    if text and text not in allowed:
        raise UsageError(
            f"{text!r} is neither {allowed[0]} nor {allowed[1]}.", remedy="Give one of them.", parameter=parameter
        )
    return text or None


NOTHING_SAID: Final = LocalForms()


class CsvValues:
    """Turns the values of rows into those of line items, in place."""

    def __init__(
        self, table: LineItemTable, names: Sequence[str], delimiter: str, forms: LocalForms, file: str
    ) -> None:
        self._names, self._forms, self._file = names, forms, file
        spellings = [table.spelling_of(name) for name in names]
        self._dates = _places(spellings, Type.DATE)
        self._numbers = _places(spellings, Type.NUMBER)
        # In names and descriptions white space and apostrophes may belong to the text.
        self._undressed = [at for at, each in enumerate(spellings) if each and _has_dress(each)]
        self._texts = [at for at in range(len(names)) if at not in self._undressed]
        self._delimiter = delimiter
        self._is_dressed = not delimiter.isascii()  # once it was so, each row is looked at
        self._has_formulas = False
        self._asks_of_points = delimiter == ";" and forms.decimal is None
        self._reads_numbers = forms.decimal is not None or self._asks_of_points
        self._seen: dict[str, int] = {}  # which orders of dates only one reading of which is possible, and where

    def look(self, block: str) -> None:
        """Look for values that have to be undressed in a block of lines that is about to be read."""
        signs = np.frombuffer(block.encode(), dtype=np.uint8)
        self._has_formulas = self._has_formulas or _has(signs, *_FORMULA)
        self._is_dressed = self._is_dressed or self._has_formulas or self._surrounds(block, signs)

    def _surrounds(self, block: str, signs: np.ndarray) -> bool:
        """Tell whether a block has what surrounds a value that has to be undressed, with what is beside it in a file.

        A space before a value is not looked for, since ", " is in every other text.
        """
        parts = self._delimiter + "\r\n"
        return (
            _has(signs, " ", parts)
            or _has(signs, " ", '"', parts)
            or _has(signs, self._delimiter + '"\n', "'")
            or (not block.isascii() and any(space in block for space in _SPACES))
        )

    def expect_dress(self) -> None:
        """Look at each row from now on, since one had a value that has to be undressed."""
        self._is_dressed = True

    def settle(self, row: list[str], line: int, on_refused: OnRefused) -> bool:
        """Make the values of a row those of a line item; False if the row was refused.

        Raises InputError for what has two readings.
        """
        if self._is_dressed and not self._forms.as_written:
            self._undress(row)
        try:
            for at in self._dates:
                text = row[at]
                if text and not (text[4:5] == "-" and text[:4].isdigit()) and LOCAL_DATE.fullmatch(undressed(text)):
                    row[at] = self._date(undressed(text), at, line)
            if self._reads_numbers:
                for at in self._numbers:
                    if row[at]:
                        row[at] = self._number(row[at], at, line)
        except Refused as refused:
            on_refused(line, refused)
            return False
        return True

    def _undress(self, row: list[str]) -> None:
        for at in self._undressed:
            if (text := row[at]) and (text[0] in _EDGES or text[-1] in _EDGES):
                row[at] = undressed(text)
        if self._has_formulas:
            for at in self._texts:
                if row[at].startswith(_FORMULA):
                    row[at] = undressed(row[at])

    def asking(self, on_refused: OnRefused) -> OnRefused:
        """Return what takes refused lines, and asks for the decimal sign where a number shows that it is in doubt.

        Whatever the number of lines that may be refused: with those left out, the others could be misread.
        """
        names = {self._names[at].lower() for at in self._numbers}

        def judge(line: int, why: Refused) -> None:
            value = undressed(why.value or "")
            if self._forms.decimal is None and why.attribute.lower() in names and _LOCAL_NUMBER.fullmatch(value):
                raise self._asked(why.value or "", why.attribute, line)
            on_refused(line, why)

        return judge

    def _date(self, text: str, at: int, line: int) -> str:
        """Return the ISO date of a local one; raises Refused if it is none, and InputError where it may be two."""
        order = self._forms.date_order
        readings: dict[DateOrder, str | None] = {
            "mdy": local_reading(text, month_first=True),
            "dmy": local_reading(text, month_first=False),
        }
        if order is not None:
            if iso := readings[order]:
                return iso
            first = "month" if order == "mdy" else "day"
            raise Refused(f"not a date with the {first} first", self._names[at], text, "Check the date and the order.")
        isos = [iso for iso in readings.values() if iso is not None]
        if not isos:
            raise Refused("not a date of the calendar", self._names[at], text, "Check the date.")
        if len(set(isos)) > 1:
            refused = Refused("a date that two readers read differently", self._names[at], text)
            remedy = "Say which comes first, the month (mdy, as in the US) or the day (dmy)."
            raise input_error(refused, self._file, line, remedy=remedy, parameter="date_order")
        if len(isos) == 1:
            self._refuse_two_orders("mdy" if readings["mdy"] else "dmy", text, at, line)
        return isos[0]

    def _refuse_two_orders(self, order: DateOrder, text: str, at: int, line: int) -> None:
        self._seen.setdefault(order, line)
        if len(self._seen) > 1:
            first = "month" if order == "mdy" else "day"
            reason = f"a date with the {first} first, where that of line {min(self._seen.values())} has not"
            remedy = "Write all dates in one order, best with the year first: 2026-11-20."
            raise input_error(Refused(reason, self._names[at], text, remedy), self._file, line)

    def _number(self, text: str, at: int, line: int) -> str:
        """Return a number with a decimal point and nothing between its digits; raises Refused for what is no number."""
        sign = self._forms.decimal
        if sign is None:
            if _THOUSANDS_OR_DECIMALS.fullmatch(text):
                raise self._asked(text, self._names[at], line)
            return text
        match = _NUMBERS[sign].fullmatch(undressed(text))
        if match is None:
            reason = f"not a number with a decimal {sign}"
            raise Refused(reason, self._names[at], text, "Check the number, and which sign is before its decimals.")
        minus, whole, fraction, exponent = match.groups(default="")
        return f"{minus.removeprefix('+')}{_NOT_A_DIGIT.sub('', whole)}{fraction and '.' + fraction}{exponent}"

    def _asked(self, text: str, name: str, line: int) -> InputError:
        remedy = "Say which sign is before the decimals, the point or the comma."
        refused = Refused("a number that two readers read differently", name, text)
        return input_error(refused, self._file, line, remedy=remedy, parameter="decimal")


def _has(signs: np.ndarray, *places: str) -> bool:
    """Tell whether signs follow one another somewhere that are each one of some, without a step for each of them."""
    size = len(signs) - len(places) + 1
    found = np.ones(max(0, size), dtype=bool)
    for place, some in enumerate(places):
        there = signs[place : place + size]
        found &= np.logical_or.reduce([there == ord(sign) for sign in some])
    return bool(found.any())


def _places(spellings: Sequence[Spelling | None], type_: Type) -> list[int]:
    return [at for at, each in enumerate(spellings) if each and each.column.type is type_]


def _has_dress(spelling: Spelling) -> bool:
    column = spelling.column
    return column.type is not Type.TEXT or column.is_id or column.name.endswith("Currency")
