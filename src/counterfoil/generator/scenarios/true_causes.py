"""What a change that was made on purpose is worth, cause by cause.

The convention is the one that docs/reconcile.md states: the factors that changed are replaced one after the other, in
the order of its table and in reverse, and a cause is the mean of its two steps. Nothing is inferred here: a scenario
knows what it changed. A deliberate duplicate, in fractions, of what the reconciler has to find out by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from counterfoil.generator.scenarios.exact_fractions import ONE, ZERO

QUANTITY, RATE, ROUNDING = "quantity", "exchange rate", "rounding"
UNIT_PRICE, PRORATION, EARNED_CREDIT, CREDIT, DISCOUNT = (
    "unit price",
    "proration",
    "earned credit",
    "credit",
    "discount",
)
TAX, UNEXPLAINED, KEY_CHANGED = "tax", "unexplained", "key changed"
_OF_THE_PRICE = (UNIT_PRICE, PRORATION, EARNED_CREDIT, CREDIT, DISCOUNT)
_ORDER = (QUANTITY, *_OF_THE_PRICE, RATE, ROUNDING)
_HYPOTHETICAL_PLACES = 20

Causes = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class TrueFactors:
    """The factors of one line item's net amount, as a scenario made them.

    net = quantity x (price x rate + per_unit) + what the line was rounded by + misstated. `shares` are the factors of
    the price by cause; where two of them change, their product is the price.
    """

    net: Fraction
    quantity: Fraction
    price: Fraction
    rate: Fraction
    per_unit: Fraction = ZERO
    misstated: Fraction = ZERO
    shares: Mapping[str, Fraction] = field(default_factory=dict)

    @property
    def per_line(self) -> Fraction:
        """What the line was rounded by."""
        return self.net - self.misstated - self.quantity * (self.price * self.rate + self.per_unit)


def true_causes(before: TrueFactors, after: TrueFactors, *, tax: Fraction = ZERO) -> dict[str, Fraction]:
    """Return what each factor that changed moved, and the tax that moved with it; causes of 0 are left out."""
    order = [cause for cause in _ORDER if _changed(cause, before, after)]
    forward, backward = _steps(before, after, order), _steps(before, after, order[::-1])
    causes = {cause: (forward[cause] + backward[cause]) / 2 for cause in order}
    causes[UNEXPLAINED] = after.misstated - before.misstated
    causes[TAX] = tax
    assert sum(causes.values()) == after.net - before.net + tax, "steps that do not sum to the difference"
    return without_zeros(causes)


def without_zeros(causes: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Return the causes that moved money."""
    return {cause: amount for cause, amount in causes.items() if amount}


def _changed(cause: str, before: TrueFactors, after: TrueFactors) -> bool:
    match cause:
        case "quantity":
            return before.quantity != after.quantity
        case "exchange rate":
            return before.rate != after.rate
        case "rounding":
            return (before.per_unit, before.per_line) != (after.per_unit, after.per_line)
        case _:
            return before.shares.get(cause) != after.shares.get(cause)


def _steps(before: TrueFactors, after: TrueFactors, order: Iterable[str]) -> dict[str, Fraction]:
    order = list(order)
    replaced = set[str]()
    value, moved = _value(before, after, replaced, order), dict[str, Fraction]()
    for cause in order:
        replaced.add(cause)
        next_value = _value(before, after, replaced, order)
        moved[cause], value = next_value - value, next_value
    return moved


def _value(before: TrueFactors, after: TrueFactors, replaced: set[str], changed: list[str]) -> Fraction:
    rounding = after if ROUNDING in replaced else before
    quantity = (after if QUANTITY in replaced else before).quantity
    rate = (after if RATE in replaced else before).rate
    each = _price(before, after, replaced, changed) * rate + rounding.per_unit
    return quantity * each + rounding.per_line


def _price(before: TrueFactors, after: TrueFactors, replaced: set[str], changed: list[str]) -> Fraction:
    causes = [cause for cause in changed if cause in _OF_THE_PRICE]
    done = [cause for cause in causes if cause in replaced]
    if not done:
        return before.price
    if done == causes:
        return after.price
    sides = ((after if cause in replaced else before) for cause in _OF_THE_PRICE)
    hypothetical = prod(
        (side.shares.get(cause, ONE) for side, cause in zip(sides, _OF_THE_PRICE, strict=True)), start=ONE
    )
    return round(hypothetical, _HYPOTHETICAL_PLACES)  # half to even, as the convention has it
