"""The first 64 line items hold every special case: each is named here and recognised by what it looks like."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from decimal import Decimal

import pytest

from counterfoil import numbers
from counterfoil.columns import table_of
from counterfoil.generator import reconciliation_cases, usage_cases
from counterfoil.generator.cases import COVERED
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from tests.generator.reading import BILLED, UNBILLED, Line, fraction, generated, parse

Seen = Callable[[Line, Line], bool]  # the line item, and the one before it


def name_has(test: Callable[[str], bool]) -> Seen:
    return lambda line, _: test(str(line["CustomerName"]))


def has(**values: str | None) -> Seen:
    return lambda line, _: all(line[name] == text for name, text in values.items())


def negative(name: str, charge: str) -> Seen:
    return lambda line, _: line["ChargeType"] == charge and fraction(line[name]) < 0


def opposite(name: str) -> Seen:
    def seen(line: Line, before: Line) -> bool:
        pair = [fraction(each[name]) for each in (before, line)]
        return min(pair) < 0 < max(pair) and before["SubscriptionId"] == line["SubscriptionId"] != ""

    return seen


def digits(text: str | None) -> int:
    return len(Decimal(str(text)).as_tuple().digits)


def decimals(text: str | None) -> int:
    return -int(Decimal(str(text)).as_tuple().exponent)


def same_but(*differing: str) -> Seen:
    return lambda line, before: {name for name in line if line[name] != before[name]} == set(differing)


SHARED: dict[str, Seen] = {
    "name in Latin letters with marks": name_has(lambda name: "Ż" in name and "û" in name),
    "name in other scripts": name_has(lambda name: all(letter in name for letter in "株Мش")),
    "name beyond the first plane": name_has(lambda name: max(name) > "\uffff"),
    "name with a combining mark": name_has(lambda name: unicodedata.normalize("NFC", name) != name),
    "name with quotes, backslashes and commas": name_has(lambda name: {'"', "\\", ","} <= set(name)),
    "name with control characters": name_has(lambda name: {"\n", "\t", "\u0001", "\u2028"} <= set(name)),
    "name like a formula": name_has(lambda name: name.startswith("=")),
    "name like another type": name_has(lambda name: name == "null"),
    "name with outer spaces": name_has(lambda name: name != name.strip()),
    "long name": name_has(lambda name: len(name) > 900),
    "empty customer": has(CustomerId="", CustomerName="", CustomerDomainName=""),
    "customer id with a prefix": lambda line, _: str(line["CustomerId"]).startswith("org:"),
    "leading zeros": has(SkuId="0002"),
    "sold by a reseller": lambda line, _: len(str(line["Tier2MpnId"])) == 7,
    "sold directly": has(Tier2MpnId=""),
    "no reseller as zero": has(Tier2MpnId="0"),
    "charge type empty": has(ChargeType=""),
    "charge type unknown": lambda line, _: "später" in str(line["ChargeType"]),
    "purchase": has(ChargeType="Purchase"),
    "other publisher": lambda line, _: str(line["PublisherName"]).endswith(", Inc."),
    "identical to the one before": lambda line, before: line == before,
}

USAGE: dict[str, Seen] = SHARED | {
    "15 significant digits": lambda line, _: digits(line["BillingPreTaxTotal"]) == 15,
    "every digit": lambda line, _: digits(line["BillingPreTaxTotal"]) > 28 > 15 < digits(line["PricingPreTaxTotal"]),
    "22 decimals in a price": lambda line, _: decimals(line["EffectiveUnitPrice"]) == 22,
    "tiny amount": lambda line, _: 0 < fraction(line["BillingPreTaxTotal"]) < fraction("1e-10"),
    "tiny amount with an exponent": has(Quantity="1E-6"),
    "large amount": lambda line, _: fraction(line["PricingPreTaxTotal"]) > 700_000_000,
    "large amount taken back": lambda line, before: (
        fraction(line["BillingPreTaxTotal"]) < -500_000_000
        and line["ChargeType"] == "Refund"
        and fraction(line["PricingPreTaxTotal"]) == -fraction(before["PricingPreTaxTotal"])
    ),
    "zero amount with an exponent": has(BillingPreTaxTotal="0E-20"),
    "zero amount": has(Quantity="0"),
    "zeros at the end": has(Quantity="24.000000", EffectiveUnitPrice="0.500"),
    "whole numbers": has(Quantity="24", PricingPreTaxTotal="48"),
    "negative quantity": negative("Quantity", "Cancel"),
    "refund": negative("BillingPreTaxTotal", "Refund"),
    "charge taken back, first half": negative("Quantity", "New"),
    "charge taken back, second half": opposite("Quantity"),
    "charge type in lower case": has(ChargeType="new"),
    "partner earned credit": has(PartnerEarnedCreditPercentage="15", CreditType="Partner Earned Credit Applied"),
    "no partner earned credit": has(PartnerEarnedCreditPercentage="0"),
    "covered by a credit": has(CreditPercentage="100", EffectiveUnitPrice="0"),
    "pricing currency is billing currency": lambda line, _: (
        line["PricingCurrency"] == line["BillingCurrency"] and line["PCToBCExchangeRate"] == "1"
    ),
    "long exchange rate": lambda line, _: decimals(line["PCToBCExchangeRate"]) == 12,
    "late usage": lambda line, _: str(line["UsageDate"]).startswith("2026-09"),
    "number not there": has(UnitPrice=None, PartnerEarnedCreditPercentage=None),
    "date not there": has(ChargeStartDate=None, ChargeEndDate=None),
    "date empty": has(ChargeStartDate="", ChargeEndDate=""),
    "tags": lambda line, _: "Zoë" in str(line["Tags"]) and json.loads(str(line["Tags"]))["path"] == "C:\\x",
    "tags empty": has(Tags=""),
    "tags that are not JSON": lambda line, _: str(line["Tags"]).startswith('"env"'),
    "additional info with odd spaces": lambda line, _: str(line["AdditionalInfo"]).startswith("{  "),
    "additional info empty": has(AdditionalInfo=""),
    "additional info nested": lambda line, _: '"Zones":[1,2,3]' in str(line["AdditionalInfo"]),
    "resource group in other letter case": lambda line, _: f"/{line['ResourceGroup']}/" not in str(line["ResourceURI"]),
    "meter id that is not a GUID": has(MeterId="4core"),
    "legacy service info": has(ServiceInfo2="{}"),
    "benefit": has(BenefitType="SavingsPlan"),
    "same key, first": has(Quantity="6.5"),
    "same key, second": same_but("Quantity", "BillingPreTaxTotal", "PricingPreTaxTotal"),
}

RECONCILIATION: dict[str, Seen] = SHARED | {
    "licence": has(UnitType="Licenses", MeterDescription="", BillableQuantity="25"),
    "metered use": lambda line, _: line["MeterDescription"] != "" and line["BillableQuantity"] == "29",
    "metered use, many seconds": has(BillableQuantity="555.950039", EffectiveUnitPrice="0.737782122900436"),
    "prorated licence": has(UnitPrice="4", EffectiveUnitPrice="3.87"),
    "tiny amount": lambda line, _: 0 < fraction(line["EffectiveUnitPrice"]) < fraction("1e-5"),
    "15 significant digits": lambda line, _: digits(line["UnitPrice"]) == 15 == digits(line["EffectiveUnitPrice"]),
    "22 decimals in a price": lambda line, _: decimals(line["EffectiveUnitPrice"]) == 22,
    "large amount": lambda line, _: fraction(line["Subtotal"]) > 800_000_000,
    "large amount taken back": lambda line, before: (
        fraction(line["Subtotal"]) < -800_000_000
        and line["ChargeType"] == "Refund"
        and fraction(line["Total"]) == -fraction(before["Total"])
    ),
    "zero amount with an exponent": has(TaxTotal="0E-20"),
    "zero amount": lambda line, _: line["UnitPrice"] == "0" and line["Subtotal"] == "0.00",
    "zeros at the end": has(BillableQuantity="5.00", UnitPrice="22.0000"),
    "amount with an exponent": has(BillableQuantity="1E+2", EffectiveUnitPrice="8.68E-1"),
    "negative quantity": negative("BillableQuantity", "New"),
    "refund": negative("Subtotal", "Refund"),
    "quantity added, old seats back": negative("Quantity", "addQuantity"),
    "quantity added, new seats charged": lambda line, before: (
        opposite("Subtotal")(line, before)
        and {line["ChargeType"], before["ChargeType"]} == {"addQuantity"}
        and fraction(line["Quantity"]) > -fraction(before["Quantity"])
    ),
    "quantity removed, old seats back": negative("Quantity", "removeQuantity"),
    "quantity removed, new seats charged": lambda line, before: (
        opposite("Subtotal")(line, before)
        and {line["ChargeType"], before["ChargeType"]} == {"removeQuantity"}
        and fraction(line["Quantity"]) < -fraction(before["Quantity"])
    ),
    "cancellation": negative("Subtotal", "cancelImmediate"),
    "credit": lambda line, _: line["CreditReasonCode"] != "" and fraction(line["Total"]) < 0,
    "reservation": lambda line, _: line["ReservationOrderId"] != "",
    "partner earned credit": lambda line, _: "earned credit" in str(line["PriceAdjustmentDescription"]),
    "no partner earned credit": lambda line, _: (
        line["MeterDescription"] != ""
        and line["PriceAdjustmentDescription"] == ""
        and line["EffectiveUnitPrice"] == line["UnitPrice"]
    ),
    "promotion": lambda line, _: (
        line["PromotionId"] != "" and len(json.loads(str(line["PriceAdjustmentDescription"]))) == 2
    ),
    "product qualifiers": has(ProductQualifiers='["AddOn","Trial"]'),
    "product qualifiers, an empty list": has(ProductQualifiers="[]"),
    "pricing currency is billing currency": lambda line, _: (
        line["PricingCurrency"] == line["Currency"] and line["PCToBCExchangeRate"] == "1"
    ),
    "long exchange rate": lambda line, _: decimals(line["PCToBCExchangeRate"]) == 12,
    "late charge": lambda line, _: str(line["ChargeStartDate"]).startswith("2026-09"),
    "number not there": has(UnitPrice=None, Quantity=None),
    "date not there": has(SubscriptionEndDate=None),
    "date empty": has(SubscriptionStartDate="", SubscriptionEndDate=""),
    "date with seven decimals": lambda line, _: ".6045692Z" in str(line["OrderDate"]),
    "tax without a subtotal": lambda line, _: fraction(line["Subtotal"]) == 0 < fraction(line["TaxTotal"]),
    "same key, first": has(BillableQuantity="7"),
    "same key, second": same_but("OrderId", "AlternateId"),
}

OF_KIND = {Kind.USAGE: (usage_cases.CASES, USAGE), Kind.RECONCILIATION: (reconciliation_cases.CASES, RECONCILIATION)}
SCOPES = [UNBILLED, Scope.unbilled(BillingPeriod(2026, 10), "USD")]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_case_has_one_name_and_fits_into_the_first_64(kind: Kind) -> None:
    cases, seen = OF_KIND[kind]
    names = [case.name for case in cases]
    assert len(names) == len(set(names)) <= COVERED == 64
    assert set(names) == set(seen)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind in Kind for n in range(len(OF_KIND[kind][0]))])
def test_each_case_stands_at_its_place_in_any_file(kind: Kind, number: int, scope: Scope) -> None:
    cases, seen = OF_KIND[kind]
    lines = list(parse(kind, generated(kind, 64, scope=scope, seed=number, hostile=True)))
    assert seen[cases[number].name](lines[number], lines[number - 1]), lines[number]


@pytest.mark.parametrize("kind", list(Kind))
def test_without_hostile_ones_ordinary_line_items_stand_in_their_places_and_no_other_changes(kind: Kind) -> None:
    cases, seen = OF_KIND[kind]
    hostile, tame = (list(parse(kind, generated(kind, 5_000, hostile=asked))) for asked in (True, False))
    differ = {number for number, (one, other) in enumerate(zip(hostile, tame, strict=True)) if one != other}
    assert differ == {number for number, case in enumerate(cases) if case.hostile} != set()
    for number in differ:
        assert not seen[cases[number].name](tame[number], tame[number - 1])


@pytest.mark.parametrize("kind", list(Kind))
def test_the_cases_do_not_depend_on_the_size_of_the_file(kind: Kind) -> None:
    cases, seen = OF_KIND[kind]
    for line_items in (64, 65, 70, 5000):
        lines = list(parse(kind, generated(kind, line_items, scope=UNBILLED, hostile=True)))
        for number, case in enumerate(cases):
            assert seen[case.name](lines[number], lines[number - 1]), case.name


@pytest.mark.parametrize("kind", list(Kind))
def test_a_file_of_64_has_plain_line_items_too_and_sums_that_a_person_can_read(kind: Kind) -> None:
    lines = list(parse(kind, generated(kind, 64, scope=BILLED)))
    name = "BillingPreTaxTotal" if kind is Kind.USAGE else "Total"
    assert abs(numbers.total(str(line[name]) for line in lines)) < 1_000_000
    assert len(OF_KIND[kind][0]) < 64


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("line_items", [1, 64, 100, 5_000])
def test_amounts_are_of_ordinary_size_unless_special_line_items_are_asked_for(kind: Kind, line_items: int) -> None:
    """Nobody's first look at a month should be at a customer who owes 702 million."""
    total = table_of(kind).totals[-1]

    def amounts_of(special: bool) -> list[Decimal]:
        return [abs(Decimal(str(line[total]))) for line in parse(kind, generated(kind, line_items, special=special))]

    ordinary = amounts_of(special=False)
    assert len(ordinary) == line_items
    assert max(ordinary) < 250_000
    assert max(amounts_of(special=True)) > 1_000_000 or line_items < 64
