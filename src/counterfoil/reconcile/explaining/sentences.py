"""How the net amount of one line item comes about, as a sentence: the rule, the numbers put into it, and the result.

    12 / 31 x 29 = 11.2258...; x 15 = 168.387...; cut: 168.38

The trap: a price that a line shows may be cut already (45.22 x 500 is 22,610.00, and 22,614.68 was billed), and a part of a
month has no last digit. So the price is taken as a fraction from list price, days and credits where these lead to the
shown price, and the shown price is tried after it.
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

_CUT, _HALF_UP, _DOWN = "cut", "half up", "down"
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


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is multiplied; `start` says how the price comes about."""

    start: str
    price: Fraction
    quantity: Decimal
    rate: Decimal
    unit: Decimal


def reckon(charge: Charge, *, unit: Decimal = exact.CENT) -> Reckoning:
    """Return the rule that leads to the net amount of a charge, with its numbers put in.

    Where none does, the sentence shows the product and says so. Raises UsageError if `unit` is no power of ten.
    """
    check_unit(unit)
    sources = list(_sources(charge, unit))
    if not sources:
        return Reckoning(Rounding.NOT_TOLD, f"{charge.net:f}: no price or no quantity is told", charge.net)
    ways = (*(OF_METERED_USE if charge.metered else OF_LICENCES), Rounding.NONE)
    for numbers in sources:
        fitting = [way for way in ways if _follow(way, numbers)[1] == charge.net]
        if Rounding.NONE in fitting:  # nothing had to be rounded, so every way fits
            fitting.remove(Rounding.NONE)
            fitting.insert(0, Rounding.NONE)
        if fitting:
            steps, _ = _follow(fitting[0], numbers)
            return Reckoning(fitting[0], "; ".join(steps), charge.net, tuple(fitting[1:]))
    return _by_none(charge, sources[0])


def in_words(difference: Difference, *, unit: Decimal = exact.CENT) -> str:
    """Return the sentences for each line of a difference, and the sum of its causes, one a line."""
    lines = [
        f"{side}: {reckon(charge, unit=unit).sentence}"
        for side, charges in (("left", difference.left), ("right", difference.right))
        for charge in charges
    ]
    causes = ", ".join(f"{each.cause} {each.amount:f}" for each in difference.causes) or "no cause"
    return "\n".join([*lines, f"difference {difference.amount:f}: {causes}"])


def _by_none(charge: Charge, numbers: _Numbers) -> Reckoning:
    steps, value = _follow(Rounding.NONE, numbers)
    assert isinstance(value, Fraction)
    shown = exact.places_shown(charge.net)
    if (
        shown > exact.places_shown(numbers.unit)
        and _rounded(value, exact.ONE.scaleb(-shown), "half even") == charge.net
    ):
        return Reckoning(Rounding.DIGITS, "; ".join([*steps, f"to {shown} decimals: {charge.net:f}"]), charge.net)
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
    return any(_rounded(price, last, way) == charge.price for way in (_CUT, _HALF_UP, "half even"))


def _follow(way: Rounding, numbers: _Numbers) -> tuple[list[str], Fraction | Decimal]:
    """Return the steps of a plan, and its result: a Decimal where the last of it is a rounding or is finite."""
    value: Fraction = numbers.price
    steps = [numbers.start if _is_number(numbers.start) else f"{numbers.start} = {_shown(value)}"]
    given = {"quantity": numbers.quantity, "rate": numbers.rate}
    plan = [step for step in _PLANS[way] if step != "rate" or numbers.rate != 1]
    if way is Rounding.CUT_TWICE and numbers.rate == 1:
        plan.pop()
    for step in plan:
        if step in given:
            value *= Fraction(given[step])
            joint = " " if len(steps) == 1 and "=" not in steps[0] else ""
            text = f"x {_grouped(given[step])} = {_shown(value)}"
            if joint:
                steps[0] += joint + text
            else:
                steps.append(text)
        else:
            cut = _rounded(value, numbers.unit, step)
            value = Fraction(cut)
            steps.append(f"{step}: {cut:f}")
    return steps, value


def _grouped(value: Decimal) -> str:
    return f"{value:f}"


def _is_number(text: str) -> bool:
    return " " not in text


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


def _shown(value: Fraction) -> str:
    """Write a value in full if it ends soon, otherwise its first digits and three points."""
    places, denominator = 0, value.denominator
    while denominator > 1 and places <= _FULL_DIGITS:
        places += 1
        denominator = (value * 10**places).denominator
    whole = len(str(abs(value.numerator) // value.denominator))
    if denominator == 1 and places + whole <= _FULL_DIGITS:
        return f"{_rounded(value, exact.ONE.scaleb(-places), _CUT):f}"
    leading = 0
    while value and abs(value) * 10**leading < 1:
        leading += 1
    kept = max(_SHOWN_PLACES_MIN, _SHOWN_DIGITS - whole if leading == 0 else _SHOWN_DIGITS + leading - 1)
    return f"{_rounded(value, exact.ONE.scaleb(-kept), _CUT):f}..."
