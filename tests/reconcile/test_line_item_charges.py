"""Charges are read from line items of both kinds, and every generated one comes about by a known rule."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest

from counterfoil.errors import InputError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.reconcile.explaining import (
    Cause,
    Charge,
    ChargedDays,
    Rounding,
    charge_of,
    circumstances_of,
    explain,
    reason_for,
    reckon,
)

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
SEATS = {
    "Subtotal": "3.87",
    "TaxTotal": "0.73",
    "Total": "4.60",
    "UnitPrice": "4",
    "EffectiveUnitPrice": "3.87",
    "BillableQuantity": "1",
    "Quantity": "1",
    "PricingCurrency": "USD",
    "PCToBCExchangeRate": "1",
    "ChargeStartDate": "2026-06-11T00:00:00Z",
    "ChargeEndDate": "2026-07-09T00:00:00Z",
    "ChargeType": "addQuantity",
}
USE = {
    "BillingPreTaxTotal": "0.755775560175339",
    "Quantity": "23.350007",
    "UnitPrice": "0.045",
    "EffectiveUnitPrice": "0.03825",
    "PCToBCExchangeRate": "0.846202666",
    "PartnerEarnedCreditPercentage": "15",
    "CreditPercentage": "0",
    "UsageDate": "2026-10-05",
    "PricingCurrency": "USD",
    "ChargeStartDate": "2026-10-01T00:00:00Z",
    "ChargeEndDate": "2026-10-05T00:00:00Z",
}
SENTENCE = '["15.0% Partner earned credit for services managed"]'


def test_seats_are_read_with_the_days_that_are_charged() -> None:
    found = charge_of(SEATS, Kind.RECONCILIATION)
    assert found == Charge(
        Decimal("3.87"),
        Decimal(1),
        Decimal(4),
        Decimal("3.87"),
        Decimal(1),
        tax=Decimal("0.73"),
        total=Decimal("4.60"),
        charged_days=ChargedDays(29, 30),
        pricing_currency="USD",
    )
    assert reckon(found).sentence == "4 / 30 x 29 = 3.86666...; half up: 3.87; x 1 = 3.87"


def test_use_is_metered_and_charged_for_no_days() -> None:
    found = charge_of(USE, Kind.USAGE)
    assert (found.metered, found.charged_days, found.earned_credit) == (True, ChargedDays(), Decimal(15))
    assert (found.total, reckon(found).rule) == (None, Rounding.DIGITS)


METERED = [
    ({}, False),
    ({"UnitType": "Licenses"}, False),
    ({"UnitType": "1 GB/Month"}, True),
    ({"MeterDescription": "Compute"}, True),
    ({"UnitType": "10K", "MeterDescription": ""}, True),
]


@pytest.mark.parametrize(("more", "metered"), METERED)
def test_a_meter_or_its_unit_makes_a_reconciliation_line_item_metered(more: dict[str, str], metered: bool) -> None:
    assert charge_of({**SEATS, **more}, Kind.RECONCILIATION).metered is metered


EARNED = [
    ({"PriceAdjustmentDescription": SENTENCE}, "15"),
    ({"PriceAdjustmentDescription": '["12.5 % partner earned credit"]'}, "12.5"),
    ({"PriceAdjustmentDescription": '["10% discount"]'}, "0"),
    ({"PartnerEarnedCreditPercentage": "0", "PriceAdjustmentDescription": SENTENCE}, "0"),
    ({"PriceAdjustmentDescription": ""}, "0"),
]


@pytest.mark.parametrize(("more", "percent"), EARNED)
def test_earned_credit_is_read_from_its_attribute_or_its_sentence(more: dict[str, str], percent: str) -> None:
    assert charge_of({**SEATS, **more}, Kind.RECONCILIATION).earned_credit == Decimal(percent)


def test_what_is_not_told_stays_untold() -> None:
    found = charge_of({"Subtotal": "528", "UnitPrice": "", "EffectiveUnitPrice": None}, Kind.RECONCILIATION)
    assert found == Charge(Decimal(528))


BAD = [
    ("Subtotal", "1.234,56"),
    ("Subtotal", "(5.00)"),
    ("Total", "5.00-"),
    ("UnitPrice", "NaN"),
    ("EffectiveUnitPrice", "1_000"),
    ("PCToBCExchangeRate", "Infinity"),
    ("BillableQuantity", "1E+9000"),
    ("TaxTotal", "1E-999999999"),
    ("TaxTotal", "\u0661"),
    ("ChargeStartDate", "10/1/2026"),
    ("ChargeEndDate", "2026-02-30T00:00:00Z"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_text_that_cannot_be_read_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InputError, match=f"^{name} is ") as caught:
        charge_of({**SEATS, name: text}, Kind.RECONCILIATION)
    assert repr(text) in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("kind", list(Kind))
def test_a_line_item_without_an_amount_is_refused(kind: Kind) -> None:
    with pytest.raises(InputError, match=r"has no (Subtotal|BillingPreTaxTotal)"):
        charge_of({"Quantity": "1"}, kind)


def test_circumstances_are_read_by_kind() -> None:
    september = (date(2026, 9, 1), date(2026, 9, 30))
    use = circumstances_of(USE, Kind.USAGE, period=(date(2026, 11, 1), date(2026, 11, 30)))
    assert reason_for(charge_of(USE, Kind.USAGE), use, on_the_right=True)[0] is Cause.LATE_USAGE
    seats = circumstances_of(SEATS, Kind.RECONCILIATION, period=september)
    assert reason_for(charge_of(SEATS, Kind.RECONCILIATION), seats, on_the_right=True)[0] is Cause.OTHER_PERIOD
    credit = circumstances_of({**SEATS, "CreditReasonCode": "SLA"}, Kind.RECONCILIATION, has_twin=True)
    assert (credit.credit_reason_code, credit.has_twin, credit.charge_type) == ("SLA", True, "addQuantity")


Lines = dict[Kind, list[dict[str, str | None]]]


@pytest.fixture(scope="module")
def generated() -> Lines:
    with localcontext(Context()):
        return {kind: read_generated(kind) for kind in Kind}


def read_generated(kind: Kind) -> list[dict[str, str | None]]:
    """Line items without the special cases, some of which break rules on purpose."""
    blob = b"".join(generate(kind, 464, partner=PARTNER, scope=Scope.billed("G016907411")))
    return [json.loads(line, parse_float=str, parse_int=str) for line in blob.splitlines()][64:]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_generated_line_item_comes_about_by_a_known_rule(generated: Lines, kind: Kind) -> None:
    rules = Counter(reckon(charge_of(line, kind)).rule for line in generated[kind])
    assert rules.total() == 400
    assert not rules[Rounding.UNKNOWN]
    assert not rules[Rounding.NOT_TOLD]


@pytest.mark.parametrize("kind", list(Kind))
def test_twice_the_quantity_of_any_generated_line_item_is_a_quantity_and_its_rounding(
    generated: Lines, kind: Kind
) -> None:
    for line in generated[kind][::4]:
        charge = charge_of(line, kind)
        assert not explain(charge, charge).causes
        assert charge.quantity is not None
        twice = replace(charge, quantity=doubled(charge.quantity), net=doubled(charge.net), total=None, tax=Decimal(0))
        found = explain(replace(charge, total=None, tax=Decimal(0)), twice)
        assert {each.cause for each in found.causes} <= {Cause.QUANTITY, Cause.ROUNDING}
        assert abs(Fraction(found.amount_of(Cause.QUANTITY)) - Fraction(charge.net)) <= Fraction(2, 100)


def doubled(value: Decimal) -> Decimal:
    places = max(0, -int(value.as_tuple().exponent))
    return Decimal(f"{int(Fraction(value) * 2 * 10**places)}E-{places}")
