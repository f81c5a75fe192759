"""A coherent month: what is unbilled becomes the invoice, and amounts follow Microsoft's documented arithmetic."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from decimal import ROUND_DOWN, Context, Decimal, Inexact, Rounded, localcontext
from fractions import Fraction
from typing import Any

import pytest

from counterfoil.errors import UsageError
from counterfoil.generator import BillingMonth
from counterfoil.model import Kind
from tests.generator.reading import PARTNER

Line = dict[str, Any]
INVOICE = "G016907411"


def month(period: str = "2026-10", **given: Any) -> BillingMonth:
    return BillingMonth(PARTNER, period, INVOICE, **given)


def lines(spelled: Any) -> list[Line]:
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in spelled]


UNBILLED = {kind: lines(month().unbilled(kind)) for kind in Kind}
INVOICED = {kind: lines(month().invoiced(kind)) for kind in Kind}


def cut(value: Fraction | Decimal) -> Decimal:
    whole = Fraction(value) * 100
    return Decimal(int(abs(whole)) * (1 if whole >= 0 else -1)).scaleb(-2)


def identity(line: Line) -> tuple[str, ...]:
    return tuple(str(value) for name, value in line.items() if name not in {"InvoiceNumber", "BillingFrequency"})


def test_the_same_month_has_the_same_bytes_for_ever() -> None:
    # A digit that changes here changes other people's fixtures. Nor does it depend on the caller's decimal context.
    with localcontext(Context(prec=1, traps=[Inexact, Rounded])):
        spelled = b"".join(b"".join([*month().unbilled(kind), *month().invoiced(kind)]) for kind in Kind)
    assert hashlib.sha256(spelled).hexdigest()[:12] == "a5d1d57fdf28"


@pytest.mark.parametrize("period", ["2024-02", "2026-10", "2026-06"])
@pytest.mark.parametrize("customers", [1, 5])
@pytest.mark.parametrize("kind", list(Kind))
def test_the_invoice_is_what_was_unbilled_and_what_came_late(period: str, customers: int, kind: Kind) -> None:
    whole = month(period, customers=customers)
    before, after = lines(whole.unbilled(kind)), lines(whole.invoiced(kind))
    assert {line["InvoiceNumber"] for line in before} == {""}
    assert {line["InvoiceNumber"] for line in after} == {INVOICE}
    assert len({line["CustomerId"] for line in after}) == customers
    if kind is Kind.USAGE:
        late = {identity(line) for line in after} - {identity(line) for line in before}
        assert {identity(line) for line in before} < {identity(line) for line in after}
        days = {line["UsageDate"][8:10] for line in after if identity(line) in late}
        assert days == {f"{whole.days - 1}", f"{whole.days}"}
    else:
        assert {line["BillingFrequency"] for line in before} == {""}
        assert "Monthly" in {line["BillingFrequency"] for line in after}
        granted = [line for line in after if line["ChargeType"] == "customerCredit"]
        assert granted
        assert not [line for line in before if line["ChargeType"] == "customerCredit"]
        licences = [[identity(line) for line in state if line["UnitType"] == "Licenses"] for state in (before, after)]
        assert licences[0] == licences[1]


def test_the_middle_of_a_month_holds_what_happened_by_then() -> None:
    charges = lines(month().unbilled(Kind.RECONCILIATION, 3))
    assert max(line["ChargeStartDate"] for line in charges) < "2026-10-04"
    used = {line["UsageDate"] for line in lines(month().unbilled(Kind.USAGE, 3))}
    assert used == {f"2026-10-0{day}T00:00:00Z" for day in (1, 2, 3)} | {"2026-09-30T00:00:00Z"}


@pytest.mark.parametrize("state", [UNBILLED, INVOICED], ids=["unbilled", "invoiced"])
def test_charges_are_rounded_as_microsoft_rounds(state: dict[Kind, list[Line]]) -> None:
    seen = set()
    for line in state[Kind.RECONCILIATION]:
        price, quantity, rate = (
            Fraction(line[name]) for name in ("EffectiveUnitPrice", "BillableQuantity", "PCToBCExchangeRate")
        )
        charge = line["ChargeType"]
        if line["ProductCategory"] == "usage-based":
            wanted = cut(Fraction(cut(price * quantity)) * rate)
        elif charge in ("addQuantity", "removeQuantity"):
            wanted = cut(price * rate * quantity)  # multiplied, then cut
        else:
            wanted = line["BillableQuantity"] * cut(price * rate)  # cut, then multiplied
        assert line["Subtotal"] == wanted, line
        assert line["Subtotal"] + line["TaxTotal"] == line["Total"]
        assert (line["Subtotal"] < 0) == (price < 0)
        assert quantity > 0
        seen.add(charge)
    wanted_types = {"new", "cycleCharge", "addQuantity", "removeQuantity", "cancelImmediate"}
    assert seen - {"customerCredit"} == wanted_types


def test_each_change_of_seats_is_a_pair_over_the_rest_of_the_cycle() -> None:
    changes = defaultdict(list)
    for line in INVOICED[Kind.RECONCILIATION]:
        if line["ChargeType"] in ("addQuantity", "removeQuantity", "cancelImmediate"):
            changes[line["ReferenceId"]].append(line)
    for pair in changes.values():
        prices = [line["EffectiveUnitPrice"] for line in pair]
        day = int(pair[0]["ChargeStartDate"][8:10])
        exact = Fraction(pair[0]["UnitPrice"]) / 31 * (31 - day + 1)
        assert abs(Fraction(-prices[0]) - exact) <= Fraction(1, 2 * 10**15)
        if pair[0]["ChargeType"] == "cancelImmediate":
            assert (len(pair), prices[0] < 0) == (1, True)
        else:
            refund, charge = pair
            assert prices == [-prices[1], prices[1]]
            more = charge["BillableQuantity"] > refund["BillableQuantity"]
            assert more == (charge["ChargeType"] == "addQuantity")
    assert len(changes) > 3


def test_reference_ids_are_guids_on_older_orders_and_json_on_newer_ones() -> None:
    found = {line["ReferenceId"][:1] == "{" for line in INVOICED[Kind.RECONCILIATION] if line["ReferenceId"]}
    assert found == {True, False}
    for line in INVOICED[Kind.RECONCILIATION]:
        if line["ReferenceId"]:
            assert (line["ReferenceId"][:1] == "{") == (line["OrderDate"] >= "2026-06-15")
        if line["ReferenceId"][:1] == "{":
            inner = json.loads(line["ReferenceId"])
            assert (set(inner), inner["osId"]) == ({"osId", "id", "v"}, line["SubscriptionId"])


def test_usage_adds_up_to_the_metered_charges_but_for_the_cents_that_are_cut() -> None:
    for state in (UNBILLED, INVOICED):
        used: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        quantities: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for line in state[Kind.USAGE]:
            key = line["SubscriptionId"], line["SkuId"]
            used[key] += line["BillingPreTaxTotal"]
            quantities[key] += line["Quantity"]
            exact = line["EffectiveUnitPrice"] * line["Quantity"] * line["PCToBCExchangeRate"]
            assert abs(exact - line["BillingPreTaxTotal"]) <= abs(exact) * Decimal("1E-14")
            share = Decimal(100) - line["PartnerEarnedCreditPercentage"] - line["CreditPercentage"]
            assert line["EffectiveUnitPrice"] in (line["UnitPrice"] * share / 100, 0)
        metered = [line for line in state[Kind.RECONCILIATION] if line["ProductCategory"] == "usage-based"]
        charged = {(line["SubscriptionId"], line["SkuId"]): line for line in metered}
        assert charged.keys() == used.keys()
        for key, line in charged.items():
            assert line["BillableQuantity"] == quantities[key]
            assert (
                Decimal(0) <= used[key].quantize(Decimal("0.000001"), ROUND_DOWN) - line["Subtotal"] < Decimal("0.04")
            )
    covered = [line for line in INVOICED[Kind.USAGE] if line["CreditPercentage"] == 100]
    assert covered
    assert {(line["CreditType"], line["BillingPreTaxTotal"]) for line in covered} == {("Azure Credit Applied", 0)}


def test_no_amount_is_of_extraordinary_size() -> None:
    assert max(abs(line["Total"]) for line in INVOICED[Kind.RECONCILIATION]) < 10_000


@pytest.mark.parametrize(
    "given",
    [
        {"period": "2026-13"},
        {"customers": 0},
        {"customers": 5_001},
        {"currency": "EURO"},
    ],
)
def test_what_cannot_be_a_month_is_told(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        month(**given)
    with pytest.raises(UsageError, match="no day 32"):
        month().unbilled(Kind.USAGE, 32)
