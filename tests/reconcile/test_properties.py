"""What holds for any two charges: causes sum to the difference, swapping turns signs, nothing differs from itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from counterfoil.reconcile.explaining import Cause, Charge, ChargedDays, explain
from tests.reconcile.case_notation import causes_in, negated
from tests.reconcile.random_charges import RandomCharges

PAIRS = [3_000, pytest.param(100_000, marks=pytest.mark.soak)]
FACTORS = list(Cause)[:8]


def gross(charge: Charge) -> Fraction:
    return Fraction(charge.net) + Fraction(charge.tax) if charge.total is None else Fraction(charge.total)


@pytest.mark.parametrize("pairs", PAIRS)
def test_causes_of_random_pairs_sum_to_the_difference_and_change_sign_with_the_sides(pairs: int) -> None:
    draw = RandomCharges(seed=pairs)
    met = Counter[Cause]()
    for number in range(pairs):
        left, right = draw.pair()
        found = causes_in(explain(left, right))
        assert sum(map(Fraction, found.values())) == gross(right) - gross(left), number
        assert negated(causes_in(explain(right, left))) == found, number
        assert not explain(left, left).causes, number
        met.update(map(Cause, found))
    assert min(met[cause] for cause in (*FACTORS, Cause.TAX, Cause.UNEXPLAINED)) > pairs / 200, met


def tenfold(value: Decimal) -> Decimal:
    return Decimal(f"{value:f}E+1")


def times_ten(charge: Charge, names: set[str]) -> Charge:
    told = {name: value for name in names if (value := getattr(charge, name)) is not None}
    larger: dict[str, Any] = {name: tenfold(value) for name, value in told.items()}
    return replace(charge, **larger)


def test_amounts_ten_times_as_large_have_the_same_causes_ten_times_as_large() -> None:
    """Where nothing is cut. Scaled by price or by quantity, and by rate."""
    draw = RandomCharges(seed=3)
    for number in range(300):
        one, two = draw.pair()
        pair = [uncut(one), uncut(two)]
        found = causes_in(explain(*pair))
        for factor in ({"price", "list_price"}, {"quantity"}, {"rate"}):
            larger = [times_ten(charge, {"net", "tax", "total", *factor}) for charge in pair]
            assert causes_in(explain(*larger)) == {cause: tenfold(amount) for cause, amount in found.items()}, number


def uncut(charge: Charge) -> Charge:
    """The same charge with a price of two decimals and a net amount that is rounded nowhere; no total."""
    quantity, price = charge.quantity or Decimal(3), Decimal(f"{int(Fraction(charge.price or 7) * 100)}E-2")
    value = Fraction(quantity) * Fraction(price) * Fraction(charge.rate or 1)
    net = Decimal(f"{int(value * 10**60)}E-60")
    return replace(
        charge,
        quantity=quantity,
        list_price=price,
        price=price,
        rate=charge.rate or Decimal(1),
        net=net,
        tax=Decimal(0),
        total=None,
        charged_days=ChargedDays(),
        earned_credit=Decimal(0),
        credit=Decimal(0),
        pricing_currency="",
        metered=False,
    )


def test_other_zeros_and_exponents_change_nothing() -> None:
    """Rename: the same values spelled in other ways, and a pricing currency in lower case."""
    draw = RandomCharges(seed=4)
    for _ in range(300):
        left, right = draw.pair()
        respelled = [respell(charge) for charge in (left, right)]
        assert causes_in(explain(*respelled)) == causes_in(explain(left, right))


def respell(charge: Charge) -> Charge:
    told = {each.name: getattr(charge, each.name) for each in fields(Charge)}
    numbers: dict[str, Any] = {
        name: Decimal(f"{value:f}" + ("000" if "." in f"{value:f}" else ".000"))
        for name, value in told.items()
        if isinstance(value, Decimal)
    }
    return replace(charge, **numbers, pricing_currency=charge.pricing_currency.lower())


def test_differences_from_a_to_b_and_from_b_to_c_sum_to_that_from_a_to_c() -> None:
    draw = RandomCharges(seed=5)
    for _ in range(200):
        a, b = draw.pair()
        c = draw.pair()[1]
        over_b = [explain(a, b), explain(b, c)]
        assert sum(Fraction(each.amount) for each in over_b) == Fraction(explain(a, c).amount)


def test_the_widest_numbers_that_are_kept_are_explained_exactly() -> None:
    """13 digits before the point, 100 decimals; zeros with huge exponents; prices next to nothing."""
    most, least = Decimal("9" * 13 + "." + "7" * 100), Decimal("1E-100")
    values = [most, least, most.copy_negate(), Decimal("0E+9000"), Decimal("0E-100"), Decimal(1)]
    charges = [
        Charge(net, quantity, listed, price, rate, charged_days=ChargedDays(1, 3), earned_credit=Decimal(15), tax=net)
        for net, quantity, listed, price, rate in zip(
            values,
            values[1:] + values[:1],
            values[2:] + values[:2],
            values[3:] + values[:3],
            [most, least] * 3,
            strict=True,
        )
    ]
    for left in charges:
        for right in charges:
            found = causes_in(explain(left, right))
            assert sum(map(Fraction, found.values())) == gross(right) - gross(left)
            assert negated(causes_in(explain(right, left))) == found
