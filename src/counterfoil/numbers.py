"""Exact numbers: the grammar, sums without loss, and the only rounding.

An amount is the *text* that came in; `24.0` and `24` are two texts of one value and both are kept. Nothing here
is a float. Decimal's default context keeps 28 digits and rounds silently, so every sum goes through the context
below, which raises instead.

`why_not_a_number` is the one rule: every other function takes texts that it accepts, and never raises for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import (
    ROUND_HALF_EVEN,
    Clamped,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Underflow,
)

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_EXPONENT = re.compile(r"(.*)([eE])([+-]?)([0-9]+)", re.ASCII)
TEXT_LENGTH_MAX = 64
_WHOLE_DIGITS_MAX = 13
MAGNITUDE_LIMIT = Decimal(10) ** _WHOLE_DIGITS_MAX
# `1E-999999999` is a number of twelve characters, and summing it exactly would take a billion digits. No known source
# writes more than 22 decimals.
PLACES_MAX = 100
_EXPONENT_MAX = 9_000  # only zero may have a large one, and its percentage must stay within the contexts below

RATE_LENGTH_MORE = 3  # a percentage of so many characters fewer can become a rate: `1` becomes `0.01`

LAKE_PRECISION = 28
LAKE_SCALE = 15  # DECIMAL(28,15): the widest that .NET's decimal, and so Power BI, can hold

SPREADSHEET_DIGITS = 15
_SPREADSHEET = Context(prec=SPREADSHEET_DIGITS, Emin=-9999, Emax=9999, rounding=ROUND_HALF_EVEN)
_SPREADSHEET_LEAST = Decimal("1E-300")  # a double of less than this loses digits, and one of 1E-400 is nothing

# 13 digits before the point, 100 after, and room for 10**30 line items.
_EXACT = Context(
    prec=_WHOLE_DIGITS_MAX + PLACES_MAX + 30,
    Emin=-9999,
    Emax=9999,
    traps=[InvalidOperation, Inexact, Rounded, Overflow, Underflow, Clamped],
)
ROUNDING = Context(prec=_WHOLE_DIGITS_MAX + PLACES_MAX + 30, Emin=-9999, Emax=9999, rounding=ROUND_HALF_EVEN)
_LAKE_QUANTUM = Decimal(1).scaleb(-LAKE_SCALE)


def why_not_a_number(text: str) -> str | None:
    """Return why `text` is not a number that we keep, or None if it is one.

    Decided from the text alone: a Decimal of `1E999999999` cannot even be made.
    """
    if len(text) > TEXT_LENGTH_MAX:
        return f"a number of more than {TEXT_LENGTH_MAX} characters"
    match = NUMBER.fullmatch(text)
    if match is None:
        return "not a JSON number"
    whole, fraction, exponent = match[1], match[2] or "", int(match[3] or 0)
    if abs(exponent) > _EXPONENT_MAX:
        return "a number with an exponent out of range"
    places = len(fraction) - exponent
    if places > PLACES_MAX:
        return f"a number of more than {PLACES_MAX} decimals"
    digits = (whole + fraction).lstrip("0")
    if digits and len(digits) - places > _WHOLE_DIGITS_MAX:
        return "a number of 10,000,000,000,000 or more"
    return None


def why_not_a_rate(text: str) -> str | None:
    """Return why a rate cannot be kept as a percentage (`0.15` as `15`), or None if it can.

    A percentage that is kept is two characters shorter or longer as a rate, and has two decimals more or fewer; so
    the percentage is what has to be a number.
    """
    if len(text) > TEXT_LENGTH_MAX + RATE_LENGTH_MORE or NUMBER.fullmatch(text) is None:
        return why_not_a_number(text)
    return why_not_a_number(rate_to_percent(text))


def exact(text: str) -> Decimal:
    """Return the value of a checked number text, all digits kept."""
    return _EXACT.create_decimal(text)


def total(texts: Iterable[str]) -> Decimal:
    """Add checked number texts without losing a digit; raises decimal.Inexact rather than rounding."""
    add = _EXACT.add
    create = _EXACT.create_decimal
    result = Decimal(0)
    for text in texts:
        result = add(result, create(text))
    return result


def add(left: Decimal, right: Decimal) -> Decimal:
    """Add two exact values exactly."""
    return _EXACT.add(left, right)


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """Return left minus right, exactly."""
    return _EXACT.subtract(left, right)


def add_to(totals: dict[str, Decimal], name: str, value: Decimal) -> None:
    """Add an exact value to the total of this name."""
    totals[name] = _EXACT.add(totals.get(name, Decimal(0)), value)


def plain(value: Decimal) -> str:
    """Write an exact value in full, without an exponent: `0E-20` becomes twenty decimals of zero."""
    return format(value, "f")


def for_lake(text: str) -> tuple[Decimal, bool]:
    """Return the value as DECIMAL(28,15), rounded half to even, and whether a digit went.

    The exact text is kept beside the result.
    """
    value = _EXACT.create_decimal(text)
    rounded = value.quantize(_LAKE_QUANTUM, context=ROUNDING)
    return rounded, rounded != value


def for_spreadsheet(value: Decimal) -> tuple[Decimal, bool]:
    """Return the 15 digits that a spreadsheet holds of an exact value, rounded half to even, and whether a digit went.

    Wherever a digit goes, the exact text is kept beside the result.
    """
    rounded = _SPREADSHEET.plus(value) if value.copy_abs() >= _SPREADSHEET_LEAST else Decimal(0)
    return rounded, rounded != value


def percent_to_rate(text: str) -> str:
    """Move the point two places left: `15` becomes `0.15`. The inverse of `rate_to_percent`."""
    return _move_point(text, -2)


def rate_to_percent(text: str) -> str:
    """Move the point two places right: `0.15` becomes `15`.

    `percent_to_rate(rate_to_percent(rate)) == rate`, digit for digit. Where plain digits could not hold that
    (`0.10` and `0.1` would both become `10`), the result keeps the digits and says the shift as an exponent. Only an
    exponent of 0, or one with a leading zero, may be written differently when it comes back.
    """
    moved = _move_point(text, 2)
    return moved if _move_point(moved, -2) == text else _shift_exponent(text, 2)


def _move_point(text: str, places: int) -> str:
    if "e" in text or "E" in text:
        return _shift_exponent(text, places)
    sign = "-" if text.startswith("-") else ""
    whole, _, fraction = text.removeprefix("-").partition(".")
    if places > 0:
        padded = fraction.ljust(places, "0")
        moved_whole, moved_fraction = whole + padded[:places], padded[places:]
    else:
        padded = whole.rjust(1 - places, "0")
        moved_whole, moved_fraction = padded[:places], padded[places:] + fraction
        if not fraction:  # a whole percentage has no decimals to preserve: 10 is 0.1, and 100 is 1
            moved_fraction = moved_fraction.rstrip("0")
    moved_whole = moved_whole.lstrip("0") or "0"
    return f"{sign}{moved_whole}.{moved_fraction}" if moved_fraction else f"{sign}{moved_whole}"


def _shift_exponent(text: str, places: int) -> str:
    """Add to the exponent and keep the way it is written; one that `rate_to_percent` had to add goes away again."""
    match = _EXPONENT.fullmatch(text)
    mantissa, letter, sign, digits = match.groups() if match else (text, "E", "", "0")
    shifted = int(sign + digits) + places
    if shifted == 0 and (letter, sign) == ("E", ""):
        return mantissa
    return f"{mantissa}{letter}{'+' if sign == '+' and shifted >= 0 else ''}{shifted}"
