"""The special cases of usage line items. Each name says what a reader of the file must cope with."""

from __future__ import annotations

from decimal import Decimal

from counterfoil.generator import amounts
from counterfoil.generator.cases import SHARED, Case, Change, Setting, foreign_currency, own_currency, repeated, setting
from counterfoil.generator.spelling import Line, compact

_DOCUMENTED_PRICE = "0.1999968000511991808131"  # the 22 decimals of the v1 samples


def _stated(line: Line) -> Line:
    """Set both totals from price, quantity and rate."""
    price, quantity, rate = (
        Decimal(str(line[name])) for name in ("EffectiveUnitPrice", "Quantity", "PCToBCExchangeRate")
    )
    pricing, billing = amounts.rated(price, quantity, rate)
    return line | {"PricingPreTaxTotal": amounts.text(pricing), "BillingPreTaxTotal": amounts.text(billing)}


def _used(quantity: str, price: str, **values: str | None) -> Change:
    """A use of so much at such a price, without earned credit."""
    amounts_of: Line = {"Quantity": quantity, "UnitPrice": price, "EffectiveUnitPrice": price}
    credit: Line = {"PartnerEarnedCreditPercentage": "0", "CreditType": "Credit Not Applied"}
    return lambda line, _, __: _stated(line | {"ChargeType": "New"} | amounts_of | credit | values)


_EARNING: Line = {
    "EffectiveUnitPrice": "0.017845836214383695",  # 85 % of the price
    "PartnerEarnedCreditPercentage": "15",
    "CreditType": "Partner Earned Credit Applied",
}


def _every_digit(line: Line, _: Line, __: Setting) -> Line:
    """Totals with all digits of the product, as some real files have: far more than a double or .NET can hold."""
    price, quantity, rate = (Decimal(number) for number in (_DOCUMENTED_PRICE, "23.200004", "0.846202666417"))
    amount = amounts.times(price, quantity)
    values: Line = {
        "ChargeType": "New",
        "Quantity": amounts.text(quantity),
        "EffectiveUnitPrice": _DOCUMENTED_PRICE,
        "PCToBCExchangeRate": amounts.text(rate),
        "PricingCurrency": "CHF",
        "PricingPreTaxTotal": amounts.text(amount),
        "BillingPreTaxTotal": amounts.text(amounts.times(amount, rate)),
    }
    return line | values


def _zero_with_exponent(line: Line, before: Line, file: Setting) -> Line:
    used = _used("0.000000", "0")(line, before, file)
    return used | {"PricingPreTaxTotal": "0E-20", "BillingPreTaxTotal": "0E-20"}


def _late(line: Line, _: Line, file: Setting) -> Line:
    month = file.month.shifted(-1)
    return line | {
        "ChargeStartDate": month.start(),
        "ChargeEndDate": month.end(),
        "UsageDate": f"{month.day(month.length_days)}T00:00:00Z",
    }


def _same_key(_: Line, before: Line, __: Setting) -> Line:
    """Customer, entitlement, meter, resource, day, tags and additional info as before; the quantity differs."""
    return _stated(before | {"Quantity": "7.250001"})


def _other_case(line: Line, _: Line, __: Setting) -> Line:
    return line | {"ResourceGroup": str(line["ResourceGroup"]).upper()}


CASES: tuple[Case, ...] = (
    *SHARED,
    Case("15 significant digits", _used("24.0", "1.2799888920023")),
    Case("every digit", _every_digit),
    Case("22 decimals in a price", _used("1", _DOCUMENTED_PRICE)),
    Case("tiny amount", _used("0.000001", "0.00000123456789012345")),
    Case("tiny amount with an exponent", _used("1E-6", "0.0402")),
    Case("large amount", _used("74400", "9876.54321098765")),
    Case("large amount taken back", _used("-74400", "9876.54321098765", ChargeType="Refund")),
    Case("zero amount with an exponent", _zero_with_exponent),
    Case("zero amount", _used("0", "0.868")),
    Case("zeros at the end", _used("24.000000", "0.500")),
    Case("whole numbers", _used("24", "2")),
    Case("negative quantity", _used("-3.5", "0.868", ChargeType="Cancel")),
    Case("purchase", _used("1.000000", "0.868", ChargeType="Purchase")),
    Case("refund", _used("-1.000000", "0.868", ChargeType="Refund")),
    Case("charge taken back, first half", _used("-10", "0.0456", ChargeType="New")),
    Case("charge taken back, second half", lambda _, before, __: _stated(before | {"Quantity": "12"})),
    Case("charge type in lower case", _used("2.5", "0.1", ChargeType="new")),
    Case("charge type empty", _used("2.25", "0.1", ChargeType="")),
    Case("charge type unknown", _used("2.125", "0.1", ChargeType="ReRate – später")),
    Case("partner earned credit", _used("23.350007", "0.0209951014286867", **_EARNING)),
    Case("no partner earned credit", _used("5.125", "0.868")),
    Case(
        "covered by a credit",
        _used("8", "0.25", EffectiveUnitPrice="0", CreditPercentage="100", CreditType="Azure Credit Applied"),
    ),
    Case("pricing currency is billing currency", own_currency(_stated)),
    Case("long exchange rate", foreign_currency(_stated)),
    Case("late usage", _late),
    Case("number not there", setting(UnitPrice=None, PartnerEarnedCreditPercentage=None)),
    Case("date not there", setting(ChargeStartDate=None, ChargeEndDate=None)),
    Case("date empty", setting(ChargeStartDate="", ChargeEndDate=""), hostile=True),
    Case("tags", setting(Tags=compact({"env": "prod", "Kostenstelle": "Zoë", "quote": 'say "yes"', "path": "C:\\x"}))),
    Case("tags empty", setting(Tags="")),
    Case("tags that are not JSON", setting(Tags='"env": "prod","owner": "nobody"'), hostile=True),
    Case(
        "additional info with odd spaces",
        setting(AdditionalInfo='{  "ImageType": null,  "VCPUs": 4,  "UsageType": "ComputeHR_SW"}'),
    ),
    Case("additional info empty", setting(AdditionalInfo="")),
    Case("additional info nested", setting(AdditionalInfo='{"Plan":{"Tier":"P2","Zones":[1,2,3]}}'), hostile=True),
    Case("resource group in other letter case", _other_case),
    Case("meter id that is not a GUID", setting(MeterId="4core", MeterRegion="", ResourceLocation="EASTUS")),
    Case("legacy service info", setting(ServiceInfo1="Canonical", ServiceInfo2="{}")),
    Case(
        "benefit",
        setting(
            BenefitOrderID="5f9d52bb1408",
            BenefitID="28b535e0-68f4-40b5-84f7-8ed9241eb149",
            BenefitType="SavingsPlan",
        ),
    ),
    Case("other publisher", setting(PublisherName="Test Alto Networks, Inc.", PublisherId="00047")),
    Case("same key, first", _used("6.5", "0.868", ChargeType="New")),
    Case("same key, second", _same_key),
    Case("identical to the one before", repeated),
)
