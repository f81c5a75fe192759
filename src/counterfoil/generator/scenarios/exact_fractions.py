"""The arithmetic and the calendar of scenarios, in fractions.

A deliberate duplicate: it must not share a line with the reconciler's arithmetic, with the ground's (`numbers`,
`periods`) or with the generator's (`amounts`, `months`), so that one mistake cannot hide in both a scenario and its
explanation. The tests check the imports. Fractions never round in silence, and they round half to even when asked.
"""

from __future__ import annotations

from fractions import Fraction

ZERO, ONE, CENT = Fraction(0), Fraction(1), Fraction(1, 100)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SIGNIFICANT = 15


def written(value: Fraction, places: int = 0) -> str:
    """Write a fraction as a decimal without exponent, with as many decimals as it needs and at least `places`.

    Raises ValueError for one that no decimal holds, such as a third.
    """
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        raise ValueError(f"{value} is no finite decimal")
    shown = max(places, twos, fives)
    digits = str(abs(value.numerator) * 10**shown // value.denominator).rjust(shown + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-shown]}.{digits[-shown:]}" if shown else f"{sign}{digits}"


def cut(value: Fraction) -> Fraction:
    """Cut to two decimals, towards zero."""
    cents = abs(value.numerator) * 100 // value.denominator
    return Fraction(-cents if value < 0 else cents, 100)


def half_up(value: Fraction, places: int = 2) -> Fraction:
    """Round to so many decimals, a half away from zero."""
    scale = 10**places
    units = (2 * abs(value.numerator) * scale + value.denominator) // (2 * value.denominator)
    return Fraction(-units if value < 0 else units, scale)


def to_fifteen(value: Fraction) -> Fraction:
    """Round to 15 significant digits, half to even, as amounts of daily usage are."""
    if not value:
        return value
    size = abs(value)
    exponent = len(str(size.numerator)) - len(str(size.denominator))
    if size < Fraction(10) ** exponent:
        exponent -= 1
    unit = Fraction(10) ** (exponent - _SIGNIFICANT + 1)
    return round(value / unit) * unit


def days_in(year: int, month: int) -> int:
    """Return how many days a month has."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] + leap


def day_text(year: int, month: int, day: int) -> str:
    """Write a day as line items do. A month of 0 or 13 is that of the year before or after."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return f"{year:04}-{month:02}-{day:02}T00:00:00Z"
