"""Which factors of a net amount differ, and what each of them moves.

Factors are replaced one after the other, left's by right's, once in the order of `Cause` and once in reverse, and a
cause is the mean of its two steps. The steps of a path sum to the difference whatever they are worth; the mean turns
its sign with the sides, and halves what two factors do together; and the mean of two is always a finite decimal.

The trap is which of the things a line tells of its price count: a new list price may be shown and not charged. The
fewest that lead from one price to the other are taken, so a discount that stays is no cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.differences import Cause
from counterfoil.reconcile.explaining.parts import Parts, Stated

# What lines tell of a price; whatever they do not tell is a discount.
TOLD = (Cause.UNIT_PRICE, Cause.PRORATION, Cause.EARNED_CREDIT, Cause.CREDIT)
FACTORS = tuple(Cause)[:8]
_OF_THE_PRICE = frozenset({*TOLD, Cause.DISCOUNT})
_NONE: frozenset[Cause] = frozenset()


def factor_amounts(left: Parts, right: Parts, unit: Decimal) -> dict[Cause, Decimal]:
    """Return what each factor that differs moves; together right's net less left's, what is misstated left out."""
    path = Replacement.between(left, right, unit)
    order = [cause for cause in FACTORS if cause in path.changed]
    ends = path.value(_NONE), path.value(path.changed)
    if len(order) < 2:
        return {cause: exact.subtract(ends[1], ends[0]) for cause in order}
    forward, backward = path.steps(order, *ends), path.steps(order[::-1], *ends)
    return {cause: exact.mean(forward[cause], backward[cause]) for cause in order}


@dataclass(frozen=True, slots=True)
class Replacement:
    """Two sides, and the factors by which one becomes the other."""

    left: Parts
    right: Parts
    changed: frozenset[Cause]
    of_the_price: frozenset[Cause]  # those that changed

    @classmethod
    def between(cls, left: Parts, right: Parts, unit: Decimal) -> Replacement:
        """Find the factors that differ."""
        changed = set(_changes_of_price(left, right, unit))
        if left.quantity != right.quantity:
            changed.add(Cause.QUANTITY)
        if left.rate != right.rate:
            changed.add(Cause.EXCHANGE_RATE)
        if left.unit_rounding != right.unit_rounding or left.line_rounding != right.line_rounding:
            changed.add(Cause.ROUNDING)
        if left.dust != right.dust and not changed & {Cause.UNIT_PRICE, Cause.QUANTITY}:
            changed.add(Cause.ROUNDING)
        return cls(left, right, frozenset(changed), _OF_THE_PRICE.intersection(changed))

    def steps(self, order: list[Cause], start: Decimal, end: Decimal) -> dict[Cause, Decimal]:
        """Return what each factor moves when they are replaced in this order, from one end of the path to the other."""
        moved: dict[Cause, Decimal] = {}
        replaced, before = _NONE, start
        for cause in order[:-1]:
            replaced |= {cause}
            after = self.value(replaced)
            moved[cause] = exact.subtract(after, before)
            before = after
        moved[order[-1]] = exact.subtract(end, before)
        return moved

    def value(self, replaced: frozenset[Cause]) -> Decimal:
        """Return the net amount with these factors of the right, and the others of the left."""
        left, right = self.left, self.right
        rounding = right if Cause.ROUNDING in replaced else left
        rate = (right if Cause.EXCHANGE_RATE in replaced else left).rate
        quantity = (right if Cause.QUANTITY in replaced else left).quantity
        each = exact.add(exact.multiply(self.price(replaced), rate), rounding.unit_rounding)
        whole = exact.add(exact.multiply(quantity, each), rounding.line_rounding)
        if left.dust or right.dust:
            whole = exact.add(whole, self.side(self.dust_carrier, replaced).dust)
        return whole

    @property
    def dust_carrier(self) -> Cause:
        """What a division left over belongs to the price that was divided for: nobody rounded anything."""
        return next((cause for cause in (Cause.UNIT_PRICE, Cause.QUANTITY) if cause in self.changed), Cause.ROUNDING)

    def side(self, cause: Cause, replaced: frozenset[Cause]) -> Parts:
        """Return whose factor counts."""
        return self.right if cause in replaced else self.left

    def price(self, replaced: frozenset[Cause]) -> Decimal:
        """Return the price, stated or not, with these factors of the right."""
        causes = self.of_the_price
        inside = replaced & causes
        if not causes:
            return self.side(Cause.ROUNDING, replaced).price  # if they differ, then in digits that rounding made
        if not inside:
            return self.left.price
        if inside == causes:
            return self.right.price
        return exact.hypothesis(self._unstated(inside))

    def _unstated(self, replaced: frozenset[Cause]) -> Decimal:
        """Return a price that neither side has. Prices are rounded, so a rest that stays is the mean of both rests."""
        told = [cause for cause in TOLD if cause in self.changed]
        of_left, of_right = _rest(self.left, told), _rest(self.right, told)
        if of_left is None or of_right is None:
            rest = of_left if of_right is None else of_right
            rest = exact.ZERO if rest is None else rest
        elif Cause.DISCOUNT in self.changed:
            rest = of_right if Cause.DISCOUNT in replaced else of_left
        else:
            rest = exact.scale(exact.add_ratios(of_left, of_right), exact.HALF)
        for cause in told:
            rest = exact.scale(rest, _told(self.side(cause, replaced).stated, cause))
        return rest


def _told(stated: Stated | None, cause: Cause) -> Decimal:
    assert stated is not None, "only prices with a list price are taken apart"
    match cause:
        case Cause.UNIT_PRICE:
            return stated.list_price
        case Cause.PRORATION:
            return stated.days
        case Cause.EARNED_CREDIT:
            return stated.earned_credit
        case _:
            return stated.credit


def _rest(parts: Parts, causes: list[Cause] | tuple[Cause, ...]) -> Decimal | None:
    """Return what is left of a price without some of its factors, or None where one of them is 0."""
    rest = parts.price
    for cause in causes:
        told = _told(parts.stated, cause)
        if not told:
            return None
        rest = exact.divide(rest, told)
    return rest


def _changes_of_price(left: Parts, right: Parts, unit: Decimal) -> tuple[Cause, ...]:
    """Return the fewest causes that lead from one price to the other; all that differ, and a discount, if none do."""
    if left.price == right.price:
        return ()  # whatever else is told of it did not change it
    if left.stated is None or right.stated is None:
        return (Cause.UNIT_PRICE,)
    differ = [cause for cause in TOLD if _told(left.stated, cause) != _told(right.stated, cause)]
    for size in range(1, len(differ) + 1):
        for some in combinations(differ, size):
            if _leads_to(left, right, some) or _leads_to(right, left, some):
                return some
    if _differ_by_rounding(left, right, unit):
        return (Cause.ROUNDING,)
    return (*differ, Cause.DISCOUNT)


def _leads_to(start: Parts, end: Parts, causes: tuple[Cause, ...]) -> bool:
    """Whether replacing these leads from one price to the other, up to the digits that it shows."""
    price = _rest(start, causes)
    if price is not None:
        for cause in causes:
            price = exact.scale(price, _told(end.stated, cause))
        if exact.rounds_to(price, end.price):
            return True
    # A price of some days is rounded, and a dearer list price would make more of that. The price before it would not.
    return exact.rounds_to(_as_told(start, end, ()), start.price) and exact.rounds_to(
        _as_told(start, end, causes), end.price
    )


def _as_told(start: Parts, end: Parts, causes: tuple[Cause, ...]) -> Decimal:
    """Return the price that follows from what one side tells, with these causes as the other tells them."""
    price = exact.ONE
    for cause in TOLD:
        price = exact.scale(price, _told((end if cause in causes else start).stated, cause))
    return price


def _differ_by_rounding(left: Parts, right: Parts, unit: Decimal) -> bool:
    """Whether one price is the other in fewer digits, by less than rounding moves a seat or a line of use."""
    apart = exact.magnitude(exact.subtract(left.price, right.price))
    for side in (left, right):
        of_line = exact.magnitude(side.quantity) if side.metered else exact.ONE
        if exact.product(apart, of_line, exact.magnitude(side.rate)) >= unit:
            return False
    return exact.rounds_to(left.price, right.price) or exact.rounds_to(right.price, left.price)
