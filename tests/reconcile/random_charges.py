"""Random charges that obey a documented formula, mostly. Arithmetic of its own: whole numbers and fractions only."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction
from random import Random

from counterfoil.reconcile.explaining import Charge, ChargedDays


def decimal(value: Fraction, places: int, *, cut: bool = False) -> Decimal:
    """Write a fraction with so many decimals, half to even or cut."""
    scaled = value * 10**places
    number = (abs(scaled.numerator) // scaled.denominator) * (-1 if scaled < 0 else 1) if cut else round(scaled)
    return Decimal(f"{number}E-{places}")


class RandomCharges:
    """Pairs of charges, of which the right is like the left in six numbers of ten."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)

    def number(self, least: int, most: int, places: int) -> Decimal:
        """A number of so many decimals between two that are given in units of its last."""
        return Decimal(f"{self.draw.randint(least, most)}E-{places}")

    def pair(self) -> tuple[Charge, Charge]:
        """A left and a right."""
        left = self.charge()
        right = self.charge(left)
        return self._with_gaps(left), self._with_gaps(right)

    def charge(self, like: Charge | None = None) -> Charge:
        """A charge, alone or like another."""
        metered = like.metered if like else self.draw.random() < 0.5
        drawn = self._metered() if metered else self._licence()
        if like is not None:
            kept = {each.name for each in fields(Charge)} - {"net", "tax", "total", "price"}
            drawn = replace(drawn, **{name: getattr(like, name) for name in sorted(kept) if self.draw.random() < 0.6})
        return self._amounts(replace(drawn, metered=metered))

    def _licence(self) -> Charge:
        cycle = self.draw.choice([28, 30, 31, 365])
        return Charge(
            Decimal(0),
            quantity=self.number(-40, 400, 0),
            list_price=self.number(0, 9000, 2),
            rate=self._rate(),
            charged_days=ChargedDays(self.draw.choice([cycle, cycle, self.draw.randint(1, cycle)]), cycle),
            earned_credit=self.draw.choice([Decimal(0), Decimal(0), Decimal(15)]),
            pricing_currency=self.draw.choice(["", "USD", "USD", "USD", "GBP"]),
        )

    def _metered(self) -> Charge:
        return Charge(
            Decimal(0),
            quantity=self.number(-(10**9), 10**10, 6),
            list_price=self.number(1, 10**15, 15),
            rate=self._rate(),
            earned_credit=self.draw.choice([Decimal(0), Decimal(15)]),
            credit=self.draw.choice([Decimal(0), Decimal(0), Decimal(0), Decimal(100)]),
        )

    def _rate(self) -> Decimal:
        return self.draw.choice([Decimal(1), self.number(1, 10**12, 11)])

    def _amounts(self, charge: Charge) -> Charge:
        assert charge.quantity is not None
        assert charge.list_price is not None
        quantity, rate = Fraction(charge.quantity), Fraction(charge.rate or 1)
        kept = (1 - Fraction(charge.earned_credit) / 100) * (1 - Fraction(charge.credit) / 100)
        whole = (
            Fraction(charge.list_price) * kept * self.draw.choice([Fraction(1)] * 3 + [Fraction(9, 10), Fraction(4, 5)])
        )
        if charge.metered:
            price = decimal(whole, 15)
            if quantity and self.draw.random() < 0.5:
                price = decimal(Fraction(decimal(whole * quantity, 2, cut=True)) / quantity, 15)
        else:
            days = Fraction(charge.charged_days.days, charge.charged_days.cycle)
            price = decimal(whole * days, self.draw.choice([2, 2, 4, 15]))
        value = Fraction(price) * quantity * rate
        unit = Fraction(decimal(Fraction(price) * rate, 2, cut=True))
        net = self.draw.choice(
            [
                decimal(unit * quantity, 8),
                decimal(value, 2, cut=True),
                decimal(value, 2),
                decimal(value, 40),
                decimal(Fraction(decimal(Fraction(price) * quantity, 2, cut=True)) * rate, 2, cut=True),
            ]
        )
        if self.draw.random() < 0.05:
            net = self.number(-(10**6), 10**6, 2)  # follows from nothing
        tax = decimal(Fraction(net) * self.draw.choice([0, 19, 20]) / 100, 2, cut=True)
        total = None if self.draw.random() < 0.97 else Decimal(0)
        return replace(charge, net=net, tax=tax, total=total, price=price)

    def _with_gaps(self, charge: Charge) -> Charge:
        dice = self.draw.random()
        if dice < 0.05:  # a ledger
            rate = self.draw.choice([None, charge.rate])
            return replace(charge, price=None, list_price=None, rate=rate, pricing_currency="")
        if dice < 0.07:
            return replace(charge, quantity=None)
        if dice < 0.10 and charge.price and charge.quantity is not None:  # the sign of a refund on the price
            return replace(charge, price=charge.price.copy_negate(), quantity=charge.quantity.copy_negate())
        return charge
