"""Exact arithmetic on amounts, and the few roundings that explaining needs.

The trap: Python's operators, `abs` and `sum` on Decimals use a context of 28 digits and round in silence; even the
unary minus does. So the room uses the functions below and no operators: its tests run under a context of one digit that
traps every rounding.

This is a deliberate duplicate of what `counterfoil.numbers` and the generator know of numbers: see the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import (
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

ZERO, ONE, HALF, HUNDRED = Decimal(0), Decimal(1), Decimal("0.5"), Decimal(100)
CENT = Decimal("0.01")
CUT, FLOOR, HALF_UP, HALF_EVEN = ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, ROUND_HALF_EVEN

# A number has at most 113 digits, a product of three 339, and a sum of 10**30 of those 369.
_DIGITS = 600
_RANGE = 99_999  # of exponents: only a zero may have a large one
_EXACT = Context(prec=_DIGITS, Emin=-_RANGE, Emax=_RANGE, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ROUNDING = Context(prec=_DIGITS, Emin=-_RANGE, Emax=_RANGE, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
_FIFTEEN = Context(prec=15, Emin=-_RANGE, Emax=_RANGE, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
# A ratio has no last digit. 200 are kept, of which comparing and rounding use 40 after the point.
_RATIO = Context(prec=200, Emin=-_RANGE, Emax=_RANGE, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])

RATIO_PLACES = 40
HYPOTHESIS_PLACES = 20

add = _EXACT.add
subtract = _EXACT.subtract
multiply = _EXACT.multiply
divide = _RATIO.divide
scale = _RATIO.multiply
add_ratios = _RATIO.add


def negated(value: Decimal) -> Decimal:
    """Return the value with the other sign, all digits kept."""
    return value.copy_negate()


def magnitude(value: Decimal) -> Decimal:
    """Return the value without its sign, all digits kept."""
    return value.copy_abs()


def total(values: Iterable[Decimal]) -> Decimal:
    """Add exact values exactly."""
    result = ZERO
    for value in values:
        result = add(result, value)
    return result


def mean(first: Decimal, second: Decimal) -> Decimal:
    """Return the value half way between two exact values: always a finite decimal."""
    return multiply(add(first, second), HALF)


def product(*factors: Decimal) -> Decimal:
    """Multiply exact values exactly."""
    result = ONE
    for factor in factors:
        result = multiply(result, factor)
    return result


def rounded(value: Decimal, unit: Decimal, way: str) -> Decimal:
    """Round a value to the places of `unit`, a power of ten such as 0.01."""
    return value.quantize(unit, way, _ROUNDING)


def to_places(value: Decimal, places: int) -> Decimal:
    """Round a value half to even to so many decimals."""
    return value.quantize(ONE.scaleb(-places), ROUND_HALF_EVEN, _ROUNDING)


def to_fifteen_digits(value: Decimal) -> Decimal:
    """Round a value half to even to 15 significant digits, as daily usage is, whatever the documentation says."""
    return _FIFTEEN.plus(value)


def hypothesis(ratio: Decimal) -> Decimal:
    """Return a price that nobody states, to 20 decimals: rounding it moves value between two causes, never out."""
    return to_places(ratio, HYPOTHESIS_PLACES)


def trimmed(value: Decimal) -> Decimal:
    """Return the same value without the zeros that products leave at its end; cents stay: 45.100 becomes 45.10."""
    text = str(value)
    if "E" in text:
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int), "only finite values come so far"
        stays = bool(digits[-1]) or exponent >= -2
    else:
        decimals = text.partition(".")[2]
        stays = len(decimals) <= 2 or decimals[-1] != "0"
    if stays:
        return value
    return value.quantize(ONE.scaleb(-max(2, places_shown(value))), context=_EXACT)


def places_shown(value: Decimal) -> int:
    """Return how many decimals a value needs: 3.8700 needs two, 300 none."""
    if not value:
        return 0
    # A text is several times quicker to look at than a tuple of digits; one with an exponent is written out for it.
    text = str(value)
    decimals = (format(value, "f") if "E" in text else text).partition(".")[2]
    return len(decimals.rstrip("0"))


def rounds_to(value: Decimal, shown: Decimal) -> bool:
    """Whether `shown` is `value` in as many decimals as it has, two at least, by any usual rounding."""
    places = max(2, places_shown(shown))
    unit = ONE.scaleb(-places)
    if magnitude(_ROUNDING.subtract(value, shown)) > unit:
        return False
    # A ratio such as 22 x 29 / 30 may end in a long row of nines, which cutting must not see.
    value = to_places(value, max(RATIO_PLACES, places))
    return any(rounded(value, unit, way) == shown for way in (HALF_EVEN, HALF_UP, CUT))
