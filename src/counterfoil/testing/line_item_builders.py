"""Line items by hand: `reconciliation(Total="10.10")` and `usage(Quantity=3)` fill in the rest so that it adds up.

Amounts that are given are kept digit for digit, and those that are not follow from them: Subtotal + TaxTotal is Total,
and the effective price times the quantity (times the exchange rate) is the amount. What is given twice and does not
agree is refused. To make a line item that is wrong on purpose, change the mapping that comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from counterfoil.columns import RECONCILIATION, USAGE, LineItemTable
from counterfoil.errors import UsageError
from counterfoil.generator import amounts
from counterfoil.generator.months import Month
from counterfoil.periods import BillingPeriod
from counterfoil.testing.given_attributes import Attributes, read_attributes, refuse_missing

LineItem = dict[str, Any]

PARTNER: Final = "0e195b37-4574-4539-bc42-0e539b9684c0"
DEFAULT_PERIOD: Final = "2026-10"
_CUSTOMER: Final = {
    "CustomerId": "f5fe9b87-4a2c-4b3e-8ba2-5d4d0a5d1d3f",
    "CustomerName": "Contoso",
    "CustomerDomainName": "contoso.example",
    "CustomerCountry": "DE",
}
_PARTNER_IDS: Final = {"PartnerId": PARTNER, "MpnId": "1234567", "Tier2MpnId": ""}
_LICENCE: Final = {
    "OrderId": "a1b2c3d4e5f6",
    "ProductId": "CFQ7TTC0LCHC",
    "SkuId": "0002",
    "AvailabilityId": "CFQ7TTC0K5RQ",
    "SkuName": "Seat plan",
    "ProductName": "Seat plan",
    "PublisherName": "Microsoft",
    "SubscriptionDescription": "Seat plan",
    "SubscriptionId": "307628f1-d9d2-f09c-ea1f-4183f0cae308",
    "TermAndBillingCycle": "One-Year commitment for monthly/yearly billing",
    "UnitType": "Licenses",
    "ProductCategory": "license-based",
}
_METER: Final = {
    "PartnerName": "Fabrikam",
    "ProductId": "DZH318Z0BPS6",
    "SkuId": "0001",
    "AvailabilityId": "DZH318Z0BQ3Q",
    "SkuName": "Virtual machines",
    "ProductName": "Azure plan",
    "PublisherName": "Microsoft",
    "SubscriptionDescription": "Azure plan",
    "SubscriptionId": "5a4e4b9c-0b1f-4d1e-9d6f-0c7f3a2b1e00",
    "MeterType": "1 Hour - D2s v5",
    "MeterCategory": "Virtual Machines",
    "MeterId": "6dc5c039-750a-4b4f-8d2b-0f6f0f7f4d10",
    "MeterSubCategory": "Dsv5 Series",
    "MeterName": "D2s v5",
    "MeterRegion": "EU West",
    "Unit": "1 Hour",
    "UnitType": "1 Hour",
    "ResourceLocation": "WESTEUROPE",
    "ConsumedService": "Microsoft.Compute",
    "ResourceGroup": "rg-prod",
    "ResourceURI": "/subscriptions/28b535e0-68f4-40b5-84f7-8ed9241eb149/resourceGroups/rg-prod/providers/"
    "Microsoft.Compute/virtualMachines/vm-1",
    "Tags": "",
    "AdditionalInfo": "",
    "EntitlementId": "28b535e0-68f4-40b5-84f7-8ed9241eb149",
    "EntitlementDescription": "Azure subscription",
}
_ONE: Final = Decimal(1)
_HUNDRED: Final = Decimal(100)
_CENT: Final = Decimal("0.01")
_ROUNDINGS: Final = (ROUND_DOWN, ROUND_HALF_UP)
_EXACT: Final = Context(prec=200)
_PRICE: Final = Context(prec=40, rounding=ROUND_HALF_UP)
_PRICE_QUANTUM: Final = Decimal(1).scaleb(-15)


def reconciliation(*, period: str = DEFAULT_PERIOD, **attributes: object) -> LineItem:
    """Return a line item of reconciliation with the attributes that are given, in Graph's names, and the rest filled.

    Numbers are Decimal, int or text. Without any amount it is one licence at 10.00. `period` is the month of the dates
    that are not given. Raises UsageError for unknown names, floats, and amounts that contradict one another.
    """
    given = read_attributes(RECONCILIATION, attributes)
    item = _filled({**_PARTNER_IDS, **_CUSTOMER, **_LICENCE}, given)
    item.setdefault("Currency", "EUR")
    item.setdefault("PricingCurrency", item["Currency"])
    item.update(_charge(given) | _left_out(given))
    item.setdefault("ChargeType", "cancelImmediate" if (item["Subtotal"] or 0) < 0 else "new")
    month = _month(period, given.get("ChargeStartDate"))
    item.setdefault("ChargeStartDate", month.start())
    item.setdefault("ChargeEndDate", f"{month.day(month.length_days)}T00:00:00Z")
    item.setdefault("OrderDate", item["ChargeStartDate"])
    item.setdefault("PCToBCExchangeRateDate", month.start())
    # Microsoft leaves it blank until the charge is on an invoice.
    item.setdefault("BillingFrequency", "Monthly" if item.get("InvoiceNumber") else "")
    return _finished(RECONCILIATION, item)


def usage(*, period: str = DEFAULT_PERIOD, **attributes: object) -> LineItem:
    """Return a line item of daily rated usage with the attributes that are given, and the rest filled in to match.

    Numbers are Decimal, int or text. Without any amount it is one hour at 1.00. `period` is the month of the dates
    that are not given. Raises UsageError for unknown names, floats, and amounts that contradict one another.
    """
    given = read_attributes(USAGE, attributes)
    item = _filled({**_PARTNER_IDS, **_CUSTOMER, **_METER}, given)
    item.setdefault("BillingCurrency", "EUR")
    item.setdefault("PricingCurrency", item["BillingCurrency"])
    item.update(_rating(given) | _left_out(given))
    item.setdefault("ChargeType", "Refund" if (item["BillingPreTaxTotal"] or 0) < 0 else "New")
    earns, credited = item["PartnerEarnedCreditPercentage"], item["CreditPercentage"]
    applied = "Azure Credit Applied" if credited else "Partner Earned Credit Applied" if earns else "Credit Not Applied"
    item.setdefault("CreditType", applied)
    month = _month(period, given.get("UsageDate"))
    item.setdefault("UsageDate", month.start())
    item.setdefault("ChargeStartDate", month.start())
    item.setdefault("ChargeEndDate", month.end())
    return _finished(USAGE, item)


def _left_out(given: Attributes) -> Attributes:
    return {name: None for name, value in given.items() if value is None}


def _filled(defaults: Mapping[str, str], given: Attributes) -> LineItem:
    return {**defaults, **given}


def _finished(table: LineItemTable, item: LineItem) -> LineItem:
    """Return the line item in the table's order, without what was given as None."""
    refuse_missing(table, item)
    start, end = item.get("ChargeStartDate"), item.get("ChargeEndDate")
    if start and end and start[:10] > end[:10]:
        raise UsageError(f"ChargeEndDate {end} is before ChargeStartDate {start}.", remedy="Give both, or neither.")
    return {name: item[name] for name in table.by_name if item.get(name) is not None}


def _month(period: str, given: str | None) -> Month:
    """Return the month that dates belong to: that of the date that is given, or else the period."""
    month = BillingPeriod.parse(given[:7] if given else period)
    return Month(month.year, month.month)


def _charge(given: Attributes) -> Attributes:
    """Return all amounts of a charge, worked out from those that are given."""
    known = {name: value for name, value in given.items() if value is not None}
    quantity = known.get("BillableQuantity", known.get("Quantity", _ONE))
    rate = known.get("PCToBCExchangeRate", _ONE)
    price = known.get("EffectiveUnitPrice")
    if not known.keys() & {"Subtotal", "Total"}:
        if price is None:
            price = known.get("UnitPrice", Decimal("10.00"))
        counts = quantity == quantity.to_integral_value()
        known["Subtotal"] = (amounts.licence_subtotal if counts else amounts.metered_subtotal)(price, rate, quantity)
    subtotal, tax, total = _sum(known)
    if price is None:
        price = _price(subtotal, quantity, rate)
    elif not _explains(price, quantity, rate, subtotal):
        raise UsageError(
            f"EffectiveUnitPrice {price} x quantity {quantity} x rate {rate} is not Subtotal {subtotal}, however it "
            "is rounded.",
            remedy="Leave one of them out.",
        )
    return {
        "UnitPrice": known.get("UnitPrice", abs(price)),
        "EffectiveUnitPrice": price,
        "Quantity": known.get("Quantity", quantity),
        "BillableQuantity": known.get("BillableQuantity", quantity),
        "PCToBCExchangeRate": rate,
        "Subtotal": subtotal,
        "TaxTotal": tax,
        "Total": total,
    }


def _sum(known: Mapping[str, Decimal]) -> tuple[Decimal, Decimal, Decimal]:
    """Return Subtotal, TaxTotal and Total; at least one of the first and the last is known."""
    subtotal, total = known.get("Subtotal"), known.get("Total")
    tax = known.get("TaxTotal")
    if tax is None:
        tax = _EXACT.subtract(total, subtotal) if total is not None and subtotal is not None else Decimal(0)
    if subtotal is None:
        assert total is not None
        subtotal = _EXACT.subtract(total, tax)
    whole = _EXACT.add(subtotal, tax)
    if total is not None and total != whole:
        message = f"Subtotal {subtotal} + TaxTotal {tax} is {whole}, not Total {total}."
        raise UsageError(message, remedy="Leave one of the three out.")
    return subtotal, tax, whole if total is None else total


def _price(amount: Decimal, quantity: Decimal, rate: Decimal) -> Decimal:
    """Return the price of one unit: exact where that has an end, else to 15 decimals, half up, as Microsoft prints."""
    if not quantity or not rate:
        if amount:
            raise UsageError(
                f"The amount is {amount}, and there is nothing to charge: quantity {quantity}, rate {rate}.",
                remedy="Give a quantity and an exchange rate that are not 0.",
            )
        return Decimal(0)
    units = _EXACT.multiply(quantity, rate)
    if units == 1:
        return amount
    price = _PRICE.quantize(_PRICE.divide(amount, units), _PRICE_QUANTUM)
    return Decimal(amounts.short(price)) if _EXACT.multiply(price, units) == amount else price


def _explains(price: Decimal, quantity: Decimal, rate: Decimal, amount: Decimal) -> bool:
    """Whether one of Microsoft's roundings turns price and quantity into the amount; see `amounts`."""
    whole = _EXACT.multiply(_EXACT.multiply(price, quantity), rate)
    found = {whole, amounts.metered_subtotal(price, rate, quantity), amounts.licence_subtotal(price, rate, quantity)}
    for rounding in _ROUNDINGS:
        context = Context(prec=200, rounding=rounding)
        unit = context.quantize(context.multiply(price, rate), _CENT)
        found |= {context.quantize(whole, _CENT), context.multiply(unit, quantity)}
    # A price of 15 decimals may be the quotient of an amount: then it comes within half a unit of its last digit.
    slack = _EXACT.multiply(_EXACT.multiply(_PRICE_QUANTUM, abs(quantity)), abs(rate))
    return amount in found or (price.as_tuple().exponent == -15 and abs(_EXACT.subtract(whole, amount)) <= slack)


def _rating(given: Attributes) -> Attributes:
    """Return all amounts of a day's use, worked out from those that are given."""
    known = {name: value for name, value in given.items() if value is not None}
    quantity, rate = known.get("Quantity", _ONE), known.get("PCToBCExchangeRate", _ONE)
    earned, credited = known.get("PartnerEarnedCreditPercentage"), known.get("CreditPercentage")
    share = _EXACT.multiply(_HUNDRED - (earned or 0), _HUNDRED - (credited or 0)).scaleb(-4)
    left = Decimal(amounts.short(share))
    price = known.get("EffectiveUnitPrice")
    billing, pricing = known.get("BillingPreTaxTotal"), known.get("PricingPreTaxTotal")
    if price is None and billing is None and pricing is None:
        known.setdefault("UnitPrice", Decimal("1.00"))
        price = _EXACT.multiply(known["UnitPrice"], left)
    if pricing is None:
        pricing = _rated(price, quantity) if price is not None and billing is None else None
    if pricing is None:
        assert billing is not None
        pricing = billing if rate == 1 else _price(billing, _ONE, rate)
    if billing is None:
        billing = _rated(pricing, rate)
    if price is None:
        price = _price(pricing, quantity, _ONE)
    if not (_agree(_EXACT.multiply(price, quantity), pricing) and _agree(_EXACT.multiply(pricing, rate), billing)):
        raise UsageError(
            f"EffectiveUnitPrice {price} x Quantity {quantity}, PricingPreTaxTotal {pricing}, x rate {rate} and "
            f"BillingPreTaxTotal {billing} contradict one another.",
            remedy="Leave one of them out.",
        )
    return {
        "UnitPrice": known.get("UnitPrice", _price(price, _ONE, left) if left else price),
        "EffectiveUnitPrice": price,
        "Quantity": quantity,
        "PCToBCExchangeRate": rate,
        "PricingPreTaxTotal": pricing,
        "BillingPreTaxTotal": billing,
        "PartnerEarnedCreditPercentage": earned or Decimal(0),
        "CreditPercentage": credited or Decimal(0),
    }


def _rated(left: Decimal, right: Decimal) -> Decimal:
    """Return a product: exact up to 15 significant digits, as usage has them, and rounded to these beyond."""
    whole = _EXACT.multiply(left, right)
    return whole if len(whole.normalize(_EXACT).as_tuple().digits) <= 15 else amounts.rated(left, right, _ONE)[0]


def _agree(computed: Decimal, stated: Decimal) -> bool:
    """Whether two amounts are the same to 14 significant digits: one may be the quotient of the other."""
    difference = abs(_EXACT.subtract(computed, stated))
    return difference <= abs(stated).scaleb(-13, _EXACT) or (not stated and not computed)
