"""The special cases of reconciliation line items. Each name says what a reader of the file must cope with."""

from __future__ import annotations

from decimal import Decimal

from counterfoil.generator import amounts
from counterfoil.generator.cases import SHARED, Case, Change, Setting, foreign_currency, own_currency, repeated, setting
from counterfoil.generator.offers import EARNED_SENTENCE
from counterfoil.generator.spelling import Line, compact

_TAX = Decimal("0.19")
_SEATS: Line = {"UnitType": "Licenses", "MeterDescription": "", "ProductCategory": "license-based"}
_METER: Line = {
    "UnitType": "1 Hour",
    "MeterDescription": "D4 v5 - EU West",
    "ProductCategory": "usage-based",
    "SubscriptionDescription": "Azure plan",
    "BillingFrequency": "",
    "TermAndBillingCycle": "1 Month Subscription",
}


def _stated(line: Line, tax: Decimal = _TAX) -> Line:
    """Set subtotal, tax and total from price, quantity and rate, by the formula of the line item's sort."""
    price, quantity, rate = (
        Decimal(str(line[name])) for name in ("EffectiveUnitPrice", "BillableQuantity", "PCToBCExchangeRate")
    )
    formula = amounts.metered_subtotal if line["MeterDescription"] else amounts.licence_subtotal
    subtotal = formula(price, rate, quantity)
    taxed = amounts.round_down(amounts.times(subtotal, tax))
    return line | {
        "Subtotal": amounts.text(subtotal),
        "TaxTotal": amounts.text(taxed),
        "Total": amounts.text(amounts.plus(subtotal, taxed)),
    }


def _seats(seats: str, price: str, list_price: str = "22", **values: str | None) -> Change:
    """A licence for so many seats, at an effective price."""
    numbers = {"Quantity": seats, "BillableQuantity": seats, "UnitPrice": list_price, "EffectiveUnitPrice": price}
    return lambda line, _, __: _stated(line | _SEATS | {"ChargeType": "cycleCharge"} | numbers | values)


def _metered(quantity: str, price: str, list_price: str = "0.868", **values: str | None) -> Change:
    """Metered use of an Azure plan."""
    numbers = {"Quantity": "1", "BillableQuantity": quantity, "UnitPrice": list_price, "EffectiveUnitPrice": price}
    return lambda line, _, __: _stated(line | _METER | {"ChargeType": "New"} | numbers | values)


def _other_half(seats: str) -> Change:
    """The counterpart of the line item before: same change, same charge type, other sign."""
    return lambda _, before, __: _stated(before | {"Quantity": seats, "BillableQuantity": seats})


def _zero_with_exponent(line: Line, before: Line, file: Setting) -> Line:
    free = _seats("25", "0", "0", TermAndBillingCycle="One-Month commitment for trial")(line, before, file)
    return free | {"Subtotal": "0", "TaxTotal": "0E-20", "Total": "0E-20"}


def _late(line: Line, _: Line, file: Setting) -> Line:
    month = file.month.shifted(-1)
    return line | {
        "ChargeStartDate": month.start(),
        "ChargeEndDate": f"{month.day(month.length_days)}T00:00:00Z",
        "OrderDate": f"{month.day(9)}T11:30:06.6045692Z",
    }


_RESERVED: Line = {
    "ReservationOrderId": "99f246cf-ed96-41b4-b0cd-0aa43eb1fe91",
    "TermAndBillingCycle": "Three-Year commitment for one-time billing",
    "BillingFrequency": "",
    "SubscriptionDescription": "Reserved VM Instance",
    "ProductCategory": "reservation",
}

CASES: tuple[Case, ...] = (
    *SHARED,
    Case("licence", _seats("25", "22")),
    Case("metered use", _metered("29", "0.737586206896552")),
    Case("metered use, many seconds", _metered("555.950039", "0.737782122900436")),
    Case("prorated licence", _seats("2", "3.87", "4")),
    Case("tiny amount", _metered("0.000001", "0.00000123456789012345")),
    Case("15 significant digits", _metered("210.950039", "0.737757626107858", "0.867938383656303")),
    Case("22 decimals in a price", _metered("744", "0.1999968000511991808131")),
    Case("large amount", _seats("1", "1234567890.12", "1234567890.12", **(_RESERVED | {"ChargeType": "Purchase"}))),
    Case("large amount taken back", lambda line, before, file: _other_half("-1")(line, before, file) | {
        "ChargeType": "Refund",
    }),
    Case("zero amount with an exponent", _zero_with_exponent),
    Case("zero amount", _seats("10", "0", "0")),
    Case("zeros at the end", _seats("5.00", "22.0000", "22.0000")),
    Case("amount with an exponent", _metered("1E+2", "8.68E-1")),
    Case("negative quantity", _metered("-12.5", "0.868")),
    Case("purchase", _seats("3", "14.4", "16", ChargeType="Purchase")),
    Case("refund", _seats("-3", "14.4", "16", ChargeType="Refund")),
    Case("quantity added, old seats back", _seats("-10", "22", ChargeType="addQuantity")),
    Case("quantity added, new seats charged", _other_half("15")),
    Case("quantity removed, old seats back", _seats("-15", "22", ChargeType="removeQuantity")),
    Case("quantity removed, new seats charged", _other_half("12")),
    Case("cancellation", _seats("-4", "18.33", ChargeType="cancelImmediate")),
    Case("charge type empty", _seats("1", "22", ChargeType="")),
    Case("charge type unknown", _seats("6", "22", ChargeType="Umstellung – später")),
    Case("credit", _metered("-40", "1", "1", CreditReasonCode="Azure consumption credit", ChargeType="credit")),
    Case("reservation", _seats("2", "512.5", "512.5", **_RESERVED)),
    Case("partner earned credit", _metered(
        "29", "0.737586206896552", PriceAdjustmentDescription=compact([EARNED_SENTENCE]),
    )),
    Case("no partner earned credit", _metered("29", "0.868", PriceAdjustmentDescription="")),
    Case("promotion", _seats(
        "50", "14.4", "16",
        PromotionId="78bcf906-b945-4210-8818-cfb93caf12a1",
        PriceAdjustmentDescription=compact(["Price for given term", 'A "guarantee", for your price.']),
    )),
    Case("product qualifiers", _seats("25", "0", "0", ProductQualifiers=compact(["AddOn", "Trial"]))),
    Case("product qualifiers, an empty list", setting(ProductQualifiers="[]")),
    Case("pricing currency is billing currency", own_currency(_stated)),
    Case("long exchange rate", foreign_currency(_stated)),
    Case("late charge", _late),
    Case("number not there", setting(UnitPrice=None, Quantity=None)),
    Case("date not there", setting(SubscriptionEndDate=None, PCToBCExchangeRateDate=None)),
    Case("date empty", setting(SubscriptionStartDate="", SubscriptionEndDate=""), hostile=True),
    Case("date with seven decimals", setting(OrderDate="2021-05-20T18:30:06.6045692Z")),
    Case("tax without a subtotal", lambda line, before, file: _seats("1", "0", "0")(line, before, file) | {
        "TaxTotal": "1.61", "Total": "1.61",
    }),
    Case("other publisher", setting(PublisherName="Test Alto Networks, Inc.", PublisherId="00047")),
    Case("same key, first", _seats("7", "22")),
    Case("same key, second", lambda _, before, __: before | {"OrderId": "94e858b6d855", "AlternateId": "94e858b6d855"}),
    Case("identical to the one before", repeated),
)  # fmt: skip
