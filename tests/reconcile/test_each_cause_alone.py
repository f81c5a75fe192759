"""One factor of a generated line item is changed and its amount reckoned anew: that factor is named, and no other.

The amount is reckoned by the generator's arithmetic, which shares nothing with the reconciler's. Beside the cause there
may be rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from counterfoil.generator import amounts
from counterfoil.model import Kind
from counterfoil.reconcile.explaining import Cause, Charge, ChargedDays, charge_of, explain
from tests.reconcile.test_line_item_charges import read_generated

Change = Callable[[Charge], dict[str, Any] | None]
WIDE = Context(prec=120)
times = WIDE.multiply


def number(value: Decimal | None) -> Decimal:
    assert value is not None
    return value


def dearer(charge: Charge, factor: str) -> dict[str, Any]:
    share = Decimal(factor)
    return {"list_price": times(number(charge.list_price), share), "price": times(number(charge.price), share)}


def prorated(charge: Charge) -> dict[str, Any] | None:
    if not charge.charged_days.whole:
        return None
    return {"price": amounts.prorated(number(charge.price), 17, 30), "charged_days": ChargedDays(17, 30)}


def without_earned_credit(charge: Charge) -> dict[str, Any] | None:
    whole = times(times(number(charge.list_price), Decimal(100) - charge.earned_credit), Decimal("0.01"))
    if not charge.earned_credit or (charge.price != whole and not charge.metered):
        return None
    return {"price": charge.list_price, "earned_credit": Decimal(0)}


def more(charge: Charge) -> dict[str, Any]:
    return {"quantity": number(charge.quantity) + 3}


def at_another_rate(charge: Charge) -> dict[str, Any]:
    return {"rate": times(number(charge.rate), Decimal("1.013"))}


def at_a_discount(charge: Charge) -> dict[str, Any]:
    return {"price": times(number(charge.price), Decimal("0.9"))}


def at_another_list_price(charge: Charge) -> dict[str, Any]:
    return dearer(charge, "1.05")


def credited(charge: Charge) -> dict[str, Any]:
    return {"price": Decimal(0), "credit": Decimal(100)}


def more_in_a_ledger(charge: Charge) -> dict[str, Any]:
    return {**more(charge), "ledger": True}


OF_LICENCES = {
    "quantity": (more, Cause.QUANTITY),
    "rate": (at_another_rate, Cause.EXCHANGE_RATE),
    "list price": (at_another_list_price, Cause.UNIT_PRICE),
    "days": (prorated, Cause.PRORATION),
    "discount": (at_a_discount, Cause.DISCOUNT),
    "ledger": (more_in_a_ledger, Cause.QUANTITY),
}
OF_USE = {
    "quantity": (more, Cause.QUANTITY),
    "rate": (at_another_rate, Cause.EXCHANGE_RATE),
    "list price": (at_another_list_price, Cause.UNIT_PRICE),
    "earned credit": (without_earned_credit, Cause.EARNED_CREDIT),
    "discount": (at_a_discount, Cause.DISCOUNT),
    "credit": (credited, Cause.CREDIT),
    "ledger": (more_in_a_ledger, Cause.QUANTITY),
}


def licence_net(charge: Charge) -> Decimal:
    return amounts.licence_subtotal(number(charge.price), number(charge.rate), number(charge.quantity))


def use_net(charge: Charge) -> Decimal:
    return amounts.rated(number(charge.price), number(charge.quantity), number(charge.rate))[1]


def charges(kind: Kind, net: Callable[[Charge], Decimal]) -> Iterator[Charge]:
    """Generated charges without tax, whose amounts the arithmetic gives again."""
    for line in read_generated(kind):
        charge = replace(charge_of(line, kind), tax=Decimal(0), total=None)
        if charge.quantity and charge.price and charge.metered == (kind is Kind.USAGE) and net(charge) == charge.net:
            yield charge


@pytest.mark.parametrize(
    ("kind", "change", "cause"),
    [
        *(pytest.param(Kind.RECONCILIATION, *told, id=f"licence-{name}") for name, told in OF_LICENCES.items()),
        *(pytest.param(Kind.USAGE, *told, id=f"use-{name}") for name, told in OF_USE.items()),
    ],
)
def test_a_cause_alone_is_named_alone(kind: Kind, change: Change, cause: Cause) -> None:
    net = use_net if kind is Kind.USAGE else licence_net
    pairs = []
    with localcontext(WIDE):
        for left in list(charges(kind, net))[::3]:
            changed = change(left)
            if changed is None:
                continue
            ledger = changed.pop("ledger", False)
            right = replace(left, **changed)
            right = replace(right, net=net(right))
            pairs.append((left, Charge(right.net, right.quantity) if ledger else right))
    assert len(pairs) > 40
    for left, right in pairs:
        found = explain(left, right)
        assert {each.cause for each in found.causes} - {Cause.ROUNDING} == {cause}, (left, right)
