"""Line items by hand: what is given is kept, the rest is filled in so that it adds up, and what cannot be is told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from counterfoil.columns import RECONCILIATION, USAGE, Type
from counterfoil.errors import UsageError
from counterfoil.testing import reconciliation, usage


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {"Subtotal": "10.00", "TaxTotal": "0", "Total": "10.00", "Quantity": "1", "EffectiveUnitPrice": "10.00"}),
        ({"Total": "10.10"}, {"Subtotal": "10.10", "TaxTotal": "0", "UnitPrice": "10.10", "ChargeType": "new"}),
        ({"Total": "11.90", "TaxTotal": "1.90"}, {"Subtotal": "10.00"}),
        ({"Total": "11.90", "Subtotal": "10"}, {"TaxTotal": "1.90"}),
        ({"Subtotal": 10, "TaxTotal": 2}, {"Total": "12"}),
        # Refunds: negative price, positive quantity.
        ({"Total": "-30", "Quantity": 10}, {"EffectiveUnitPrice": "-3", "UnitPrice": "3", "BillableQuantity": "10"}),
        ({"Total": -1}, {"ChargeType": "cancelImmediate"}),
        # Microsoft's printed lines: 10.08 x 10; 9.408 x 12, once cut before and once after multiplying.
        ({"EffectiveUnitPrice": "10.08", "Quantity": 10}, {"Total": "100.80"}),
        ({"EffectiveUnitPrice": "9.408", "Quantity": 12}, {"Subtotal": "112.80"}),
        ({"EffectiveUnitPrice": "9.408", "Quantity": 12, "Subtotal": "112.89"}, {"Total": "112.89"}),
        ({"EffectiveUnitPrice": "2.5415", "Quantity": 32, "Subtotal": "81.33"}, {"Total": "81.33"}),
        # Metered: cut twice after the quantity.
        ({"EffectiveUnitPrice": "0.12345", "Quantity": "7.5", "PCToBCExchangeRate": "0.9"}, {"Subtotal": "0.82"}),
        ({"Subtotal": "22614.68", "Quantity": 500}, {"EffectiveUnitPrice": "45.22936"}),
        ({"Subtotal": "10", "Quantity": 3}, {"EffectiveUnitPrice": "3.333333333333333"}),
        ({"Total": "0.1999968000511991808131"}, {"EffectiveUnitPrice": "0.1999968000511991808131"}),
        ({"Quantity": 0, "EffectiveUnitPrice": 5}, {"Total": "0"}),
        ({"InvoiceNumber": "G1"}, {"BillingFrequency": "Monthly"}),
        ({}, {"BillingFrequency": ""}),
        ({"period": "2024-02"}, {"ChargeStartDate": "2024-02-01T00:00:00Z", "ChargeEndDate": "2024-02-29T00:00:00Z"}),
        ({"ChargeStartDate": date(2026, 4, 3)}, {"OrderDate": "2026-04-03T00:00:00Z"}),
        ({"Currency": "USD"}, {"PricingCurrency": "USD"}),
    ],
)
def test_a_charge_adds_up(given: dict[str, object], filled: dict[str, str]) -> None:
    item = reconciliation(**given)  # type: ignore[arg-type]
    assert item["Subtotal"] + item["TaxTotal"] == item["Total"]
    for name, text in filled.items():
        assert item[name] == (Decimal(text) if RECONCILIATION.by_name[name].type is Type.NUMBER else text), name
    for name, value in given.items():
        if name in item and isinstance(value, str):
            assert str(item[name]) == value


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {"BillingPreTaxTotal": "1.00", "Quantity": "1", "CreditType": "Credit Not Applied"}),
        ({"Quantity": "3.5", "UnitPrice": "0.868"}, {"BillingPreTaxTotal": "3.038", "PricingPreTaxTotal": "3.038"}),
        (
            {"UnitPrice": 2, "Quantity": 4, "PartnerEarnedCreditPercentage": 15},
            {"EffectiveUnitPrice": "1.7", "BillingPreTaxTotal": "6.8", "CreditType": "Partner Earned Credit Applied"},
        ),
        (
            {"CreditPercentage": 100, "UnitPrice": "0.25", "Quantity": 8},
            {"EffectiveUnitPrice": "0", "BillingPreTaxTotal": "0", "CreditType": "Azure Credit Applied"},
        ),
        ({"BillingPreTaxTotal": "0.1999968000511991808131"}, {"EffectiveUnitPrice": "0.1999968000511991808131"}),
        # 15 significant digits, as Microsoft's lines have them.
        ({"UnitPrice": "1.2799888920023", "Quantity": "24.000007"}, {"BillingPreTaxTotal": "30.7197423679774"}),
        ({"PricingPreTaxTotal": 10, "PCToBCExchangeRate": "0.5"}, {"BillingPreTaxTotal": "5"}),
        ({"BillingPreTaxTotal": 5, "PCToBCExchangeRate": "0.5"}, {"PricingPreTaxTotal": "10"}),
        ({"BillingPreTaxTotal": "-1"}, {"ChargeType": "Refund", "EffectiveUnitPrice": "-1"}),
        ({"UsageDate": datetime(2026, 2, 3, tzinfo=UTC)}, {"ChargeEndDate": "2026-02-28T23:59:59Z"}),
    ],
)
def test_a_days_use_adds_up(given: dict[str, object], filled: dict[str, str]) -> None:
    item = usage(**given)  # type: ignore[arg-type]
    for name, text in filled.items():
        assert item[name] == (Decimal(text) if USAGE.by_name[name].type is Type.NUMBER else text), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Total": 10.10}, 'Total is the float 10.1.*Write Decimal("10.1")'),
        ({"Total": True}, "must be a number"),
        ({"Total": "1,000"}, "not a JSON number"),
        ({"Total": Decimal("NaN")}, "NaN"),
        ({"Total": ""}, "must be a number"),
        ({"total": "1"}, "no attribute 'total'. Did you mean Total"),
        ({"totalForCustomer": "1"}, "Did you mean Total"),
        ({"pcToBCExchangeRate": "1"}, "Did you mean PCToBCExchangeRate"),
        ({"customer_id": "1"}, "Did you mean CustomerId"),
        ({"Foo": "1", "Bar": "2"}, "no attribute 'Foo' and no 'Bar'. docs/line-items.md"),
        ({"SkuId": 2}, 'must be a text. Write "2"'),
        ({"CustomerName": ["a"]}, "must be a text"),
        ({"CustomerName": "a\0"}, "U+0000"),
        ({"OrderDate": "some day"}, "OrderDate of reconciliation is 'some day'"),
        ({"OrderDate": 20261231}, "must be a date"),
        ({"period": "2026-13"}, "not a billing period"),
        ({"Subtotal": 1, "TaxTotal": 2, "Total": 4}, "Subtotal 1 + TaxTotal 2 is 3, not Total 4. Leave one"),
        ({"EffectiveUnitPrice": 3, "Quantity": 2, "Subtotal": "6.01"}, "is not Subtotal 6.01"),
        ({"Quantity": 0, "Total": 5}, "nothing to charge"),
        ({"ChargeStartDate": "2026-10-05", "ChargeEndDate": "2026-10-04"}, "is before"),
        ({"PartnerId": None, "Total": None, "Currency": ""}, "without: PartnerId, Total, Currency"),
    ],
)
def test_what_cannot_be_is_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        reconciliation(**given)  # type: ignore[arg-type]
    first, _, second = said.partition(".*")
    assert first in str(refused.value)
    assert second in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"UnitPrice": 1, "EffectiveUnitPrice": 1, "Quantity": 2, "BillingPreTaxTotal": 3},
        {"PricingPreTaxTotal": 1, "BillingPreTaxTotal": 2},
        {"BillingPreTaxTotal": 1, "PCToBCExchangeRate": 0},
        {"BillingPreTaxTotal": 0.1},
    ],
)
def test_amounts_of_usage_that_contradict_one_another_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        usage(**given)  # type: ignore[arg-type]


def test_none_leaves_an_attribute_out_and_the_order_is_the_tables() -> None:
    item = reconciliation(CustomerName=None, UnitPrice=None, Total="5")
    assert not {"CustomerName", "UnitPrice"} & item.keys()
    names = [column.name for column in RECONCILIATION.columns]
    assert [*item] == sorted(item, key=names.index)
