"""How the net amount of one line item comes about, as a sentence: the rule, the numbers put into it, and the result.

    12 / 31 x 29 = 11.2258...; x 15 = 168.387...; cut: 168.38

The trap: a price that a line shows may be cut already (45.22 x 500 is 22,610.00, and 22,614.68 was billed), and a part
of a month has no last digit. So the price is taken as a fraction from list price, days and credits where these lead to
the shown price, and the shown price is tried after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.charges import Charge
from counterfoil.reconcile.explaining.differences import Difference
from counterfoil.reconcile.explaining.pairs import check_unit
from counterfoil.reconcile.explaining.roundings import OF_LICENCES, OF_METERED_USE, Rounding

_CUT, _HALF_UP, _HALF_EVEN, _DOWN = "cut", "half up", "half even", "down"
_TO_DIGITS = (_HALF_EVEN, _HALF_UP, _CUT)
# In which order quantity and rate are applied, and where is rounded.
_PLANS: dict[Rounding, tuple[str, ...]] = {
    Rounding.NONE: ("quantity", "rate"),
    Rounding.CUT_PER_UNIT: ("rate", _CUT, "quantity"),
    Rounding.HALF_UP_PER_UNIT: ("rate", _HALF_UP, "quantity"),
    Rounding.CUT_PER_LINE: ("quantity", "rate", _CUT),
    Rounding.HALF_UP_PER_LINE: ("quantity", "rate", _HALF_UP),
    Rounding.FLOOR_PER_LINE: ("quantity", "rate", _DOWN),
    Rounding.CUT_TWICE: ("quantity", _CUT, "rate", _CUT),
}
_FULL_DIGITS, _SHOWN_DIGITS, _SHOWN_PLACES_MIN = 12, 6, 3


@dataclass(frozen=True, slots=True)
class Reckoning:
    """How a net amount comes about by one rule, or that it does not.

    `also` are the other rules that lead to the same amount: with any, the rule is undecided. `result` is what the rule
    gives, and the stated net where `rule` is not `by no known rule`.
    """

    rule: Rounding
    sentence: str
    result: Decimal
    also: tuple[Rounding, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether a rule leads to the net amount, or so near to it as is documented."""
        return self.rule not in (Rounding.UNKNOWN, Rounding.NOT_TOLD)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is multiplied; `start` says how the price comes about."""

    start: str
    price: Fraction
    quantity: Decimal
    rate: Decimal
    unit: Decimal


def reckon(charge: Charge, *, unit: Decimal = exact.CENT, allowed: Decimal = exact.ZERO) -> Reckoning:
    """Return the rule that leads to the net amount of a charge, with its numbers put in.

    `allowed`: by how much metered use may be off, because the effective price of a period was computed back from an
    amount that was cut.
    Where none does, the sentence shows the product and says so. Raises UsageError if `unit` is no power of ten.
    """
    check_unit(unit)
    sources = list(_sources(charge, unit))
    if not sources:
        return Reckoning(Rounding.NOT_TOLD, f"{charge.net:f}: no price or no quantity is told", charge.net)
    ways = (*(OF_METERED_USE if charge.metered else OF_LICENCES), Rounding.NONE)
    for numbers in sources:
        fitting: dict[tuple[str, ...], Rounding] = {}
        for way in ways:
            if _follow(way, numbers)[1] == charge.net:
                fitting.setdefault(_plan(way, numbers), way)
        if fitting:
            found = [*fitting.values()]
            rule = Rounding.NONE if Rounding.NONE in found else found[0]  # every way fits where nothing is rounded
            also = tuple(way for way in found if way is not rule)
            return Reckoning(rule, "; ".join(_follow(rule, numbers)[0]), charge.net, also)
    in_digits = (_to_digits(charge, numbers) for numbers in sources)
    return next((found for found in in_digits if found), None) or _by_none(charge, sources[0], allowed)


def in_words(difference: Difference, *, unit: Decimal = exact.CENT) -> str:
    """Return the sentences for each line of a difference, and the sum of its causes, one a line."""
    lines = [
        f"{side}: {reckon(charge, unit=unit).sentence}"
        for side, charges in (("left", difference.left), ("right", difference.right))
        for charge in charges
    ]
    causes = ", ".join(f"{each.cause} {each.amount:f}" for each in difference.causes) or "no cause"
    return "\n".join([*lines, f"difference {difference.amount:f}: {causes}"])


def _to_digits(charge: Charge, numbers: _Numbers) -> Reckoning | None:
    steps, value = _follow(Rounding.NONE, numbers)
    places = exact.places_shown(charge.net)
    if places <= exact.places_shown(numbers.unit):
        return None  # cents have rules of their own
    last = exact.ONE.scaleb(-places)
    if any(_rounded(value, last, way) == charge.net for way in _TO_DIGITS):
        told = f"to {places} decimals: {charge.net:f}"
    elif abs(value - Fraction(charge.net)) <= Fraction(last):  # Microsoft's own sample went through a double
        told = f"one off in the last of {places} decimals: {charge.net:f}"
    else:
        return None
    return Reckoning(Rounding.DIGITS, "; ".join([*steps, told]), charge.net)


def _by_none(charge: Charge, numbers: _Numbers, allowed: Decimal) -> Reckoning:
    if charge.metered and allowed:
        steps, value = _follow(Rounding.CUT_TWICE, numbers)
        if abs(value - Fraction(charge.net)) <= Fraction(allowed):
            steps.append(f"{allowed:f} off at most: {charge.net:f}")
            return Reckoning(Rounding.WITHIN_A_UNIT, "; ".join(steps), charge.net)
    steps, value = _follow(Rounding.NONE, numbers)
    steps.append(f"no known rounding gives {charge.net:f}")
    return Reckoning(Rounding.UNKNOWN, "; ".join(steps), _rounded(value, numbers.unit, _CUT))


def _sources(charge: Charge, unit: Decimal) -> Iterator[_Numbers]:
    """Yield the price as it comes about, where that is told and leads to the shown one; then the shown one."""
    rate = exact.ONE if charge.rate is None else charge.rate
    if charge.quantity is None:
        return
    if charge.list_price is not None:
        start, price = _made_of(charge)
        negative = charge.price is not None and charge.price < 0 < charge.list_price
        if negative:
            start, price = f"-{start}", -price
        if charge.price is None or _shows(charge, price, unit):
            yield _Numbers(start, price, charge.quantity, rate, unit)
    if charge.price is not None:
        yield _Numbers(f"{charge.price:f}", Fraction(charge.price), charge.quantity, rate, unit)


def _made_of(charge: Charge) -> tuple[str, Fraction]:
    assert charge.list_price is not None
    price, text = Fraction(charge.list_price), f"{charge.list_price:f}"
    days = charge.charged_days
    if not charge.metered and not days.whole:
        price, text = price * days.days / days.cycle, f"{text} / {days.cycle} x {days.days}"
    for percent in (charge.earned_credit, charge.credit):
        if percent:
            kept = exact.subtract(exact.HUNDRED, percent)
            price, text = price * Fraction(kept) / 100, f"{text} x {kept:f} %"
    return text, price


def _shows(charge: Charge, price: Fraction, unit: Decimal) -> bool:
    """Whether the shown price is this one in its digits, or, for metered use, this one after its line was cut."""
    assert charge.price is not None
    assert charge.quantity is not None
    shown = Fraction(charge.price)
    if charge.metered and abs(shown - price) * abs(Fraction(charge.quantity)) < Fraction(unit):
        return True
    last = exact.ONE.scaleb(-max(2, exact.places_shown(charge.price)))
    return any(_rounded(price, last, way) == charge.price for way in _TO_DIGITS)


def _plan(way: Rounding, numbers: _Numbers) -> tuple[str, ...]:
    """Return the steps of a way, without those that change nothing: two ways may be one for these numbers."""
    steps = [step for step in _PLANS[way] if step != "rate" or numbers.rate != 1]
    if steps[-2:] == [_CUT, _CUT]:
        steps.pop()
    above_zero = numbers.price * Fraction(numbers.quantity) >= 0
    return tuple(_CUT if step == _DOWN and above_zero else step for step in steps)


def _follow(way: Rounding, numbers: _Numbers) -> tuple[list[str], Fraction]:
    """Return the steps of a plan with the numbers put in, and what comes out."""
    value = numbers.price
    bare = " " not in numbers.start
    steps = [numbers.start if bare else f"{numbers.start} = {_shown(value)}"]
    given = {"quantity": numbers.quantity, "rate": numbers.rate}
    plan = _plan(way, numbers)
    for index, step in enumerate(plan, start=1):
        if step not in given:
            cut = _rounded(value, numbers.unit, step)
            value = Fraction(cut)
            steps.append(f"{step}: {cut:f}")
            continue
        value *= Fraction(given[step])
        text = f"x {given[step]:f} = {_shown(value, numbers.unit if index == len(plan) else None)}"
        steps = [f"{steps[0]} {text}"] if bare and index == 1 else [*steps, text]
    return steps, value


def _rounded(value: Fraction, unit: Decimal, way: str) -> Decimal:
    """Round a fraction in whole numbers: nothing of it is lost before."""
    steps = value / Fraction(unit)
    whole, rest = divmod(steps.numerator, steps.denominator)
    match way:
        case "down":
            up = False
        case "cut":
            up = bool(rest) and value < 0
        case "half up":
            up = rest * 2 > steps.denominator or (rest * 2 == steps.denominator and value > 0)
        case _:
            up = rest * 2 > steps.denominator or (rest * 2 == steps.denominator and whole % 2 == 1)
    return exact.multiply(Decimal(whole + up), unit)


def _shown(value: Fraction, unit: Decimal | None = None) -> str:
    """Write a value in full if it ends soon, otherwise its first digits and three points.

    A result, for which `unit` is given, is written in full if it ends at all, with the places of the unit.
    """
    whole = len(str(abs(value.numerator) // value.denominator))
    places = _places(value)
    if places is not None and (unit is not None or places + whole <= _FULL_DIGITS):
        places = max(places, exact.places_shown(unit) if unit is not None else 0)
        return f"{_rounded(value, exact.ONE.scaleb(-places), _CUT):f}"
    leading = 0
    while abs(value) * 10**leading < 1:
        leading += 1
    kept = max(_SHOWN_PLACES_MIN, _SHOWN_DIGITS + leading - 1 if leading else _SHOWN_DIGITS - whole)
    return f"{_rounded(value, exact.ONE.scaleb(-kept), _CUT):f}..."


def _places(value: Fraction) -> int | None:
    """Return how many decimals a fraction has, or None if they never end."""
    rest, counts = value.denominator, dict.fromkeys((2, 5), 0)
    for prime in counts:
        while rest % prime == 0:
            rest //= prime
            counts[prime] += 1
    return max(counts.values()) if rest == 1 else None
