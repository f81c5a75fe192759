"""What holds for any two charges: causes sum to the difference, swapping turns signs, nothing differs from itself."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from counterfoil.reconcile.explaining import Cause, Charge, explain
from tests.reconcile.case_notation import causes_in, negated
from tests.reconcile.random_charges import RandomCharges

PAIRS = [10_000, pytest.param(100_000, marks=pytest.mark.soak)]
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
