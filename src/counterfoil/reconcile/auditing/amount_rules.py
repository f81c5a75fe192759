"""The rules about amounts, prices and rates of one line item. Those that round are in `rounding_rules`."""

from __future__ import annotations

from typing import Final

from counterfoil.reconcile.auditing import quick_checks
from counterfoil.reconcile.auditing.excerpts import Excerpt
from counterfoil.reconcile.auditing.rule import (
    CURRENCY,
    METERED_BY,
    NET,
    QUANTITY,
    RECONCILIATION,
    USAGE,
    AuditRule,
    Facts,
    Severity,
    needs,
    sign_of,
)
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.cycles import charged_days

TAKEN_BACK: Final = frozenset({"refund", "cancel", "cancelimmediate"})
CHANGES: Final = frozenset({"addquantity", "removequantity"})
# Each of these takes the old state back and charges the new one, so a negative amount is half of a change.
_IN_PAIRS: Final = CHANGES | {"convert", "movequantity", "changebillingplan", "renew"}
_USE: Final = {"UsageDate": "2026-10-05T00:00:00Z", "BillingCurrency": "EUR"}
_SEATS: Final = {"Currency": "EUR", "UnitType": "Licenses"}
_ADJUSTED: Final = {"PriceAdjustmentDescription": '["15.0% Partner earned credit for services managed"]'}


@needs("Total", NET, "TaxTotal")
def _adds_up(facts: Facts) -> bool:
    net, tax, total = (facts.number(name) or exact.ZERO for name in (NET, "TaxTotal", "Total"))
    return total == exact.add(net, tax)


@needs("PricingCurrency", "PCToBCExchangeRate")
def _own_currency(facts: Facts) -> bool | None:
    same = facts.text("PricingCurrency").upper() == facts.text(CURRENCY).upper()
    return facts.rate == exact.ONE if same else None


@needs("UnitPrice", "EffectiveUnitPrice")
def _not_above_list(facts: Facts) -> bool:
    price, listed = facts.price or exact.ZERO, facts.number("UnitPrice") or exact.ZERO
    return exact.magnitude(price) <= exact.magnitude(listed)


@needs("UnitPrice", "EffectiveUnitPrice", QUANTITY)
def _earned_credit(facts: Facts) -> bool | None:
    if not facts.earned_credit or not facts.metered:
        return None
    left = exact.multiply(exact.subtract(exact.HUNDRED, facts.earned_credit), exact.CENT)
    whole = exact.multiply(facts.number("UnitPrice") or exact.ZERO, left)
    apart = exact.subtract(facts.price or exact.ZERO, whole)
    # The effective price of a whole period is made from an amount that was cut to a cent.
    return exact.magnitude(exact.multiply(apart, facts.quantity or exact.ZERO)) < exact.CENT


@needs("PartnerEarnedCreditPercentage")
def _known_credit(facts: Facts) -> bool:
    return facts.earned_credit in (0, 15)


@needs("CreditPercentage")
def _credit_covers(facts: Facts) -> bool:
    credit = facts.number("CreditPercentage")
    return credit == 0 or (credit == 100 and not facts.net)


@needs("UnitPrice", "EffectiveUnitPrice", "ChargeStartDate", "ChargeEndDate")
def _prorated(facts: Facts) -> bool | None:
    start, end = facts.day("ChargeStartDate"), facts.day("ChargeEndDate")
    is_monthly = facts.text("BillingFrequency").lower() == "monthly"
    if facts.metered is not False or not is_monthly or facts.text("PromotionId") or not facts.price:
        return None
    days = charged_days(start, end)
    if days.whole:
        return None
    part = exact.scale(facts.number("UnitPrice") or exact.ZERO, days.ratio)
    return exact.magnitude(facts.price) == exact.magnitude(exact.rounded(part, exact.CENT, exact.HALF_UP))


def _sign(facts: Facts) -> bool | None:
    if not facts.net or not facts.price or not facts.quantity:
        return None
    return facts.net.is_signed() == (facts.price.is_signed() != facts.quantity.is_signed())


def _taken_back(facts: Facts) -> bool | None:
    return None if facts.charge_type not in TAKEN_BACK or facts.net is None else facts.net <= 0


def _credit_reason(facts: Facts) -> bool | None:
    if facts.net is None or facts.net >= 0 or facts.charge_type in TAKEN_BACK | _IN_PAIRS:
        return None
    return bool(facts.text("CreditReasonCode"))


@needs(NET, "TaxTotal")
def _tax_needs_base(facts: Facts) -> bool | None:
    return None if facts.net else not facts.number("TaxTotal")


def _whole_seats(facts: Facts) -> bool | None:
    if facts.metered is not False or facts.quantity is None:
        return None
    return facts.quantity == facts.quantity.to_integral_value()


AMOUNT_RULES: Final = (
    AuditRule(
        "total", "Total is Subtotal plus TaxTotal.", Severity.ERROR, "Microsoft: reconciliation file",
        (NET, "TaxTotal", "Total"), _adds_up,
        {"Subtotal": "465.25", "TaxTotal": "88.40", "Total": "553.65"},
        {"Subtotal": "720", "TaxTotal": "0", "Total": "0"}, RECONCILIATION, quick_checks.total,
    ),
    AuditRule(
        "own-currency", "Within one currency the exchange rate is 1.", Severity.ERROR, "Microsoft: attributes",
        ("PricingCurrency", CURRENCY, "PCToBCExchangeRate"), _own_currency,
        _SEATS | {"PricingCurrency": "EUR", "PCToBCExchangeRate": "1"},
        _SEATS | {"PricingCurrency": "EUR", "PCToBCExchangeRate": "0.92"},
    ),
    AuditRule(
        "rate-positive", "An exchange rate is above zero.", Severity.ERROR, "Microsoft: attributes",
        ("PCToBCExchangeRate",), needs("PCToBCExchangeRate")(lambda facts: facts.rate > 0),
        {"PCToBCExchangeRate": "0.92"}, {"PCToBCExchangeRate": "0"},
    ),
    AuditRule(
        "not-above-list", "The effective price is not above the list price.", Severity.WARNING,
        "Microsoft: effective unit price", ("UnitPrice", "EffectiveUnitPrice"), _not_above_list,
        {"UnitPrice": "16", "EffectiveUnitPrice": "14.4"}, {"UnitPrice": "14.4", "EffectiveUnitPrice": "16"},
        quick=quick_checks.not_above_list,
    ),
    AuditRule(
        "earned-credit",
        "With partner earned credit the effective price is the list price less it, within a cent of the line.",
        Severity.WARNING, "Microsoft: effective unit price",
        ("UnitPrice", "EffectiveUnitPrice", QUANTITY, "PriceAdjustmentDescription", "PartnerEarnedCreditPercentage",
         *METERED_BY), _earned_credit,
        _ADJUSTED | {"MeterDescription": "D4", "UnitPrice": "0.868", "EffectiveUnitPrice": "0.737586206896552",
                     "BillableQuantity": "29"},
        _ADJUSTED | {"MeterDescription": "D4", "UnitPrice": "0.868", "EffectiveUnitPrice": "0.868",
                     "BillableQuantity": "29"},
        quick=quick_checks.earned_credit,
    ),
    AuditRule(
        "earned-credit-known", "PartnerEarnedCreditPercentage is 0 or 15.", Severity.WARNING, "Microsoft: daily usage",
        ("PartnerEarnedCreditPercentage",), _known_credit,
        _USE | {"PartnerEarnedCreditPercentage": "15"}, _USE | {"PartnerEarnedCreditPercentage": "1.5"}, USAGE,
    ),
    AuditRule(
        "credit-covers", "CreditPercentage is 0, or 100 and the use costs nothing.", Severity.ERROR,
        "Microsoft: daily usage", ("CreditPercentage", sign_of(NET)), _credit_covers,
        _USE | {"CreditPercentage": "100", "BillingPreTaxTotal": "0"},
        _USE | {"CreditPercentage": "100", "BillingPreTaxTotal": "2"}, USAGE,
    ),
    AuditRule(
        "proration",
        "For a part of its cycle a licence costs list price x days / days of the cycle, to the cent, half up.",
        Severity.NOTE, "Microsoft: billing scenarios",
        ("UnitPrice", "EffectiveUnitPrice", "ChargeStartDate", "ChargeEndDate", "BillingFrequency", "PromotionId",
         *METERED_BY), _prorated,
        _SEATS | {"UnitPrice": "4", "EffectiveUnitPrice": "3.87", "ChargeStartDate": "2019-06-11",
                  "ChargeEndDate": "2019-07-09", "BillingFrequency": "Monthly"},
        _SEATS | {"UnitPrice": "4", "EffectiveUnitPrice": "3.86", "ChargeStartDate": "2019-06-11",
                  "ChargeEndDate": "2019-07-09", "BillingFrequency": "Monthly"}, RECONCILIATION,
        quick_checks.proration,
    ),
    AuditRule(
        "sign", "An amount has the sign of quantity x price, whichever of the two bears it.", Severity.ERROR,
        "Microsoft: billing scenarios", tuple(map(sign_of, (NET, "EffectiveUnitPrice", QUANTITY))), _sign,
        _SEATS | {"Subtotal": "-30", "EffectiveUnitPrice": "-3", "BillableQuantity": "10"},
        _SEATS | {"Subtotal": "-30", "EffectiveUnitPrice": "3", "BillableQuantity": "10"},
    ),
    AuditRule(
        "taken-back", "Refunds and cancellations are not above zero.", Severity.WARNING, "Microsoft: charge types",
        ("ChargeType", sign_of(NET)), _taken_back,
        _SEATS | {"ChargeType": "cancelImmediate", "Subtotal": "-30"},
        _SEATS | {"ChargeType": "Refund", "Subtotal": "30"},
    ),
    AuditRule(
        "credit-reason", "A negative line item that takes nothing back and changes nothing has a CreditReasonCode.",
        Severity.WARNING, "Microsoft: attributes", ("ChargeType", sign_of(NET), "CreditReasonCode"), _credit_reason,
        _SEATS | {"ChargeType": "credit", "Subtotal": "-40", "CreditReasonCode": "Azure consumption credit"},
        _SEATS | {"ChargeType": "New", "Subtotal": "-40"}, RECONCILIATION,
    ),
    AuditRule(
        "tax-needs-base", "Where nothing is charged, nothing is taxed.", Severity.NOTE, "Counterfoil",
        (sign_of(NET), sign_of("TaxTotal")), _tax_needs_base,
        {"Subtotal": "0", "TaxTotal": "0"}, {"Subtotal": "0", "TaxTotal": "1.61"}, RECONCILIATION,
    ),
    AuditRule(
        "whole-seats", "The quantity of a licence is whole.", Severity.WARNING, "Microsoft: attributes",
        (Excerpt.WHOLENESS.of(QUANTITY), *METERED_BY), _whole_seats,
        _SEATS | {"BillableQuantity": "5.00"}, _SEATS | {"BillableQuantity": "3.1618"}, RECONCILIATION,
    ),
)  # fmt: skip
