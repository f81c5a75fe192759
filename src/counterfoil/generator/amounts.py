"""The arithmetic of generated amounts, in exact decimals.

Reconciliation follows Microsoft's page on the invoice reconciliation file: ROUNDDOWN (towards zero) to two
decimals, for a licence before the quantity is applied, for metered use twice after it. Usage is not rounded to
cents at all, despite the documentation: the samples of the v1 API and real files carry the whole product
`EffectiveUnitPrice x Quantity (x PCToBCExchangeRate)` to 15 significant digits, and so do we (half to even).
Nothing here may pass through a float, and a zero never has a minus sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from functools import reduce

from counterfoil import numbers

_CENT = Decimal("0.01")
_PRICE_QUANTUM = Decimal(1).scaleb(-15)
_ZERO = Decimal(0)

# Enough for every product here: prices of 22 decimals, quantities of 6, rates of 12.
_DOWN = Context(prec=80, rounding=ROUND_DOWN)
# A quotient of 40 digits is rounded twice, and safely: quantities have six decimals, so no quotient comes near
# enough to a tie. More digits only take time.
_PRICE = Context(prec=40, rounding=ROUND_HALF_UP)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_FIFTEEN = Context(prec=15, rounding=ROUND_HALF_EVEN)

EARNED = Decimal("0.85")  # what is left of a price after 15 % partner earned credit

times = _EXACT.multiply
plus = _EXACT.add


def scaled(count: int, places: int) -> Decimal:
    """Return a count of hundredths, thousandths ... as a decimal: 1250 of 2 places is 12.50."""
    return Decimal(count).scaleb(-places, _EXACT)  # the caller's own context must not change a byte


def total(values: Iterable[Decimal]) -> Decimal:
    """Add decimals exactly."""
    return reduce(plus, values, _ZERO)


def round_down(value: Decimal) -> Decimal:
    """Cut to two decimals towards zero; never gives a negative zero."""
    return _DOWN.plus(_DOWN.quantize(value, _CENT))


def prorated(price: Decimal, days: int, days_whole: int) -> Decimal:
    """The price of one licence for a part of its term, to two decimals half up: 4 for 29 of 30 days is 3.87.

    Rounded before the quantity is applied: two licences cost exactly twice as much as one.
    """
    return _PRICE.quantize(_PRICE.divide(times(price, Decimal(days)), Decimal(days_whole)), _CENT)


def licence_subtotal(price: Decimal, rate: Decimal, quantity: Decimal) -> Decimal:
    """ROUNDDOWN(price x rate, 2) x quantity."""
    return plus(times(round_down(times(price, rate)), quantity), _ZERO)


def metered_subtotal(price: Decimal, rate: Decimal, quantity: Decimal) -> Decimal:
    """ROUNDDOWN(ROUNDDOWN(price x quantity, 2) x rate, 2)."""
    return round_down(times(round_down(times(price, quantity)), rate))


def metered_price(price: Decimal, quantity: Decimal) -> Decimal:
    """The effective unit price of metered use over a whole period, from the amount that it came to.

    The amount is price (less earned credit) x quantity, cut to cents; the effective price is that amount divided by
    the quantity, to 15 decimals half up. Microsoft's page prints the ratio upside down; its numbers show this. A
    subtotal computed back from such a price may be a cent lower, as theirs is.
    """
    return _PRICE.quantize(_PRICE.divide(round_down(times(price, quantity)), quantity), _PRICE_QUANTUM)


def rated(price: Decimal, quantity: Decimal, rate: Decimal) -> tuple[Decimal, Decimal]:
    """Return a day's use in pricing and in billing currency, both to 15 significant digits."""
    amount = times(price, quantity)
    return _FIFTEEN.plus(amount), _FIFTEEN.multiply(amount, rate)


def text(value: Decimal) -> str:
    """Write a number without an exponent, as Graph's readers expect."""
    written = str(value)
    return numbers.plain(value) if "E" in written else written


def short(value: Decimal) -> str:
    """Write a number without an exponent and without zeros at its end: 22, 14.4, 0.868."""
    written = numbers.plain(value)
    return written.rstrip("0").rstrip(".") if "." in written else written
