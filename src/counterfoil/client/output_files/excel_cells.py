"""What a cell of Excel holds of a text: a number of fifteen digits, a date, or the text itself.

Excel computes with doubles and shows 15 digits. An amount with more is rounded for its cell, half to even, and is never
left as text: text is missing from every sum without a word. Rounded values stay Decimals up to the file, because a
double written with 16 digits need not be the 15 digits that were meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from counterfoil import numbers

TEXT_LENGTH_MAX: Final = 32_767  # of a cell, in UTF-16 units
ROWS_MAX: Final = 1_048_576  # of a sheet, headings included
AMOUNT: Final = "#,##0.00#############"
CENTS: Final = "#,##0.00"  # how it is shown; the cell has all digits
DAY: Final = "yyyy-mm-dd"
SECOND: Final = "yyyy-mm-dd hh:mm:ss"

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", re.ASCII)
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - Excel knows no zones
_FIRST_SAFE: Final = datetime(1900, 3, 1)  # noqa: DTZ001 - before it, Excel counts a day that never was
_REMEMBERED_MAX: Final = 20_000  # a month may have millions of different amounts
T = TypeVar("T")


def number_cell(text: str) -> tuple[Decimal, bool]:
    """Return the number that Excel holds for a checked number text, and whether it is the very same value."""
    value, is_rounded = numbers.for_spreadsheet(numbers.exact(text))
    return value, not is_rounded


def date_cell(text: str) -> tuple[float, bool] | None:
    """Return Excel's count of days for a date in UTC with whole seconds, and whether it has a time; or None."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None
    if moment < _FIRST_SAFE:
        return None
    passed = moment - _EPOCH
    return passed / timedelta(days=1), bool(passed.seconds)


def length_in_excel(text: str) -> int:
    """Return the length of a text as Excel counts it: a character outside the first plane counts twice."""
    return len(text) if len(text) <= TEXT_LENGTH_MAX // 2 else len(text.encode("utf-16-le", "surrogatepass")) // 2


def remembering(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a function that reads texts as `read` does, and remembers the latest thousands of them."""
    known: dict[str, T] = {}

    def look_up(text: str) -> T:
        try:
            return known[text]
        except KeyError:
            if len(known) >= _REMEMBERED_MAX:
                known.clear()
            return known.setdefault(text, read(text))

    return look_up
