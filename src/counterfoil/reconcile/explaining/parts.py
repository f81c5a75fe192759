"""The factors of each side's net amount, read so that the two sides can be compared.

    net = quantity x (price x rate + unit rounding) + line rounding + dust + misstated

The trap: the sides are read together. What one does not tell is taken from the other, the sign of a refund is moved to
the quantity, and an amount that follows from nothing is measured by the other side's way of rounding. Every choice made
here is the same with the sides swapped.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.roundings import PER_UNIT, Priced, Rounding, ways_of


class Stated(NamedTuple):
    """What a line tells of how its price came about; shares are what is left, so 15 % earned credit leaves 0.85."""

    list_price: Decimal
    days: Decimal
    earned_credit: Decimal
    credit: Decimal


class Parts(NamedTuple):
    """The factors of one side's net amount. `dust` is what dividing an amount by a quantity leaves over."""

    quantity: Decimal
    price: Decimal
    rate: Decimal
    metered: bool
    stated: Stated | None
    rounding: Rounding
    unit_rounding: Decimal = exact.ZERO
    line_rounding: Decimal = exact.ZERO
    dust: Decimal = exact.ZERO
    misstated: Decimal = exact.ZERO


class _LineReading(NamedTuple):
    """One side before its rounding is known. `price` None: it tells none, and the other's does not lead to its net."""

    charge: Charge
    quantity: Decimal
    price: Decimal | None
    rate: Decimal
    stated: Stated | None

    def priced(self, price: Decimal, *, metered: bool, unit: Decimal) -> Priced:
        return Priced(self.charge.net, self.quantity, price, self.rate, metered, unit)


def parts_of(left: Charge, right: Charge, unit: Decimal) -> tuple[Parts, Parts]:
    """Return the parts of both sides; each side's add up to its net amount exactly."""
    metered = left.metered or right.metered
    a, b = _read(left, right, metered=metered), _read(right, left, metered=metered)
    a, b = _with_price_of(a, b, unit, metered=metered), _with_price_of(b, a, unit, metered=metered)
    if a.price is not None and b.price is not None:
        parts = _priced_parts((a, a.price), (b, b.price), unit, metered=metered)
    else:
        known = [None if side.price is None else _alone(side, side.price, unit, metered=metered) for side in (a, b)]
        like = known[0] or known[1]
        parts = known[0] or _derived(a, like, metered=metered), known[1] or _derived(b, like, metered=metered)
    told = {currency.casefold() for currency in (left.pricing_currency, right.pricing_currency) if currency}
    return (_in_billing_currency(parts[0]), _in_billing_currency(parts[1])) if len(told) > 1 else parts


def _read(charge: Charge, other: Charge, *, metered: bool) -> _LineReading:
    quantity, price = _upright(charge)
    if quantity is None:
        theirs = _upright(other)[0]  # a ledger without quantities is taken to mean the same
        quantity = exact.ONE if theirs is None else theirs
        if charge.price is not None and charge.price < 0:
            quantity = exact.negated(exact.magnitude(quantity))
    rate = charge.rate if charge.rate is not None else other.rate
    earned, credited = _kept(charge.earned_credit), _kept(charge.credit)
    if price and not credited:
        if charge.net:
            credited = exact.ONE  # "covered by a credit", and charged nevertheless
        else:
            price = exact.ZERO  # the price is shown, and the credit has taken all of it
    stated = None
    if charge.list_price:
        days = exact.ONE if metered else charge.charged_days.ratio  # use is measured, not prorated
        stated = Stated(exact.magnitude(charge.list_price), days, earned, credited)
    return _LineReading(charge, quantity, price, exact.ONE if rate is None else rate, stated)


def _upright(charge: Charge) -> tuple[Decimal | None, Decimal | None]:
    """Return quantity and price with the sign of a refund on the quantity, wherever the line carries it."""
    quantity, price = charge.quantity, charge.price
    if price is not None:
        if price < 0:
            return None if quantity is None else exact.negated(quantity), exact.negated(price)
    elif quantity and charge.net and (quantity < 0) != (charge.net < 0):
        return exact.negated(quantity), None
    return quantity, price


def _kept(percent: Decimal) -> Decimal:
    return exact.multiply(exact.subtract(exact.HUNDRED, percent), exact.CENT) if percent else exact.ONE


def _with_price_of(side: _LineReading, other: _LineReading, unit: Decimal, *, metered: bool) -> _LineReading:
    """Give a side that tells no price the other's, where that leads to its amount by some rounding."""
    if side.price is not None or other.price is None:
        return side
    theirs = other.priced(other.price, metered=metered, unit=unit)
    for price in (other.price, _before_rounding(theirs, other.stated)):
        if _leads_to_net(side.priced(price, metered=metered, unit=unit)):
            return side._replace(price=price, stated=other.stated if side.stated is None else side.stated)
    return side


def _leads_to_net(line: Priced) -> bool:
    """Whether a price that the line does not tell leads to its amount by some rounding."""
    apart = exact.magnitude(exact.subtract(line.net, line.value))
    if apart < line.unit or (not line.metered and any(line.fits(rounding) for rounding in PER_UNIT)):
        return True
    # Documented roundings of metered use can move more than a cent; on a line of a few cents that would be any price.
    small = exact.multiply(apart, exact.HUNDRED) < exact.magnitude(line.net)
    return line.metered and small and apart < line.most_apart


def _alone(side: _LineReading, price: Decimal, unit: Decimal, *, metered: bool) -> Parts:
    """Return the parts of a side whose partner tells no price that leads to its amount."""
    return _priced_parts((side, price), (side, price), unit, metered=metered)[0]


def _derived(side: _LineReading, like: Parts | None, *, metered: bool) -> Parts:
    """Return the parts of a side whose price is what its amount comes to, if it was rounded as another side was."""
    count, net = side.quantity, side.charge.net
    per_unit, per_line = (like.unit_rounding, like.line_rounding) if like else (exact.ZERO, exact.ZERO)
    parts = Parts(count, exact.ZERO, side.rate, metered, side.stated, Rounding.NOT_TOLD, per_unit, per_line)
    if not count or not side.rate:
        return parts._replace(unit_rounding=exact.ZERO, line_rounding=exact.ZERO, misstated=net)
    before = exact.subtract(exact.subtract(net, per_line), exact.multiply(count, per_unit))
    price = exact.hypothesis(exact.divide(before, exact.multiply(count, side.rate)))
    return parts._replace(price=price, dust=exact.subtract(before, exact.product(count, price, side.rate)))


def _priced_parts(
    left: tuple[_LineReading, Decimal], right: tuple[_LineReading, Decimal], unit: Decimal, *, metered: bool
) -> tuple[Parts, Parts]:
    lines = [side.priced(price, metered=metered, unit=unit) for side, price in (left, right)]
    prices = [_before_rounding(line, side.stated) for line, (side, _) in zip(lines, (left, right), strict=True)]
    if lines[0].price == lines[1].price and prices[0] != prices[1]:
        # One price is shown: the list price leads to both lines, or counts for neither.
        prices = [line.price for line in lines]
    if metered and _same_but_for_cents(lines[0], lines[1], left[0].stated, right[0].stated, prices):
        prices = [max(lines, key=lambda line: (exact.magnitude(line.quantity), line.price)).price] * 2
    ways = [_of_near(way, line, price) for way, line, price in zip(ways_of(*lines), lines, prices, strict=True)]
    documented = Rounding.CUT_TWICE if metered else Rounding.CUT_PER_UNIT
    found = []
    for index, (side, line, price) in enumerate(zip((left, right), lines, prices, strict=True)):
        way, other = ways[index], ways[1 - index]
        due = line.net
        if way is Rounding.UNKNOWN:
            # Expect of it what the other side does, so that a wrong amount is unexplained and nothing else.
            way = documented if other in {Rounding.UNKNOWN, Rounding.WITHIN_A_UNIT} else other
            due = _due(line, way, lines[1 - index])
        found.append(_rounded_parts(side[0], line, price, way, due))
    return found[0], found[1]


def _due(line: Priced, way: Rounding, like: Priced) -> Decimal:
    """Return the amount that a line would state if it were rounded as the other side is."""
    if way in {Rounding.NONE, Rounding.DIGITS} and exact.to_fifteen_digits(like.value) == like.net:
        return exact.to_fifteen_digits(line.value)  # a short product shows nothing of it
    if way is Rounding.DIGITS:
        return exact.to_places(line.value, max(2, exact.places_shown(like.net)))
    return line.by(way)


def _rounded_parts(side: _LineReading, line: Priced, price: Decimal, way: Rounding, due: Decimal) -> Parts:
    unit_rounding = line_rounding = exact.ZERO
    if way in PER_UNIT:
        unit_rounding = exact.subtract(line.unit_by(way), exact.multiply(price, line.rate))
    else:
        line_rounding = exact.subtract(due, exact.product(line.quantity, price, line.rate))
    if not unit_rounding and not line_rounding:
        way = Rounding.NONE
    misstated = exact.subtract(line.net, due)
    return Parts(
        line.quantity,
        price,
        line.rate,
        line.metered,
        side.stated,
        way,
        unit_rounding=unit_rounding,
        line_rounding=line_rounding,
        misstated=misstated,
    )


def _before_rounding(line: Priced, stated: Stated | None) -> Decimal:
    """Return a metered price before the rounding that it hides.

    EffectiveUnitPrice of metered use is an amount cut to cents, divided by the quantity, so it moves with the quantity.
    Where list price less credits is within a cent of the line, that is the price, and the rest is rounding. On a line
    of a few cents a discount would be within a cent too: there the price has to be such a quotient, or within 1 %.
    """
    if not line.metered or stated is None:
        return line.price
    whole = _whole_price(stated)
    apart = exact.magnitude(exact.subtract(line.price, whole))
    if exact.multiply(apart, exact.magnitude(line.quantity)) >= line.unit:
        return line.price
    close = exact.multiply(apart, exact.HUNDRED) < whole
    return whole if close or _is_amount_over_quantity(line) else line.price


def _is_amount_over_quantity(line: Priced) -> bool:
    amount = exact.multiply(line.price, line.quantity)
    last_digit = exact.ONE.scaleb(-exact.places_shown(line.price))
    slack = min(exact.multiply(exact.magnitude(line.quantity), last_digit), exact.multiply(line.unit, exact.CENT))
    return exact.magnitude(exact.subtract(amount, exact.rounded(amount, line.unit, exact.HALF_EVEN))) <= slack


def _same_but_for_cents(
    left: Priced, right: Priced, of_left: Stated | None, of_right: Stated | None, prices: list[Decimal]
) -> bool:
    """Whether one price, which the list price does not explain, leads to both amounts, cut to cents."""
    if of_left != of_right or prices != [left.price, right.price] or left.price == right.price:
        return False
    if of_left is not None and _whole_price(of_left) in prices:
        return False
    least = min(exact.magnitude(left.quantity), exact.magnitude(right.quantity))
    apart = exact.magnitude(exact.subtract(left.price, right.price))
    near = (
        exact.multiply(apart, exact.HUNDRED) < min(left.price, right.price) and exact.multiply(apart, least) < left.unit
    )
    return near and _is_amount_over_quantity(left) and _is_amount_over_quantity(right)


def _whole_price(stated: Stated) -> Decimal:
    return exact.product(stated.list_price, stated.earned_credit, stated.credit)


def _of_near(way: Rounding, line: Priced, price: Decimal) -> Rounding:
    """Take back "unknown" of a line whose amount is near what its price before rounding gives."""
    return line._replace(price=price).loosely() if way is Rounding.UNKNOWN and price != line.price else way


def _in_billing_currency(parts: Parts) -> Parts:
    """Return the parts with the price in billing currency: prices in two currencies cannot be compared, amounts can."""
    return parts._replace(price=exact.multiply(parts.price, parts.rate), rate=exact.ONE, stated=None)
