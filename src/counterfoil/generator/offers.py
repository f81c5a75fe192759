"""Licences and meters as reconciliation line items show them: ready spans, prices, and prorated prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from counterfoil.columns import RECONCILIATION
from counterfoil.generator import amounts
from counterfoil.generator.catalogue import PUBLISHER, Licence, Meter, licences_for, meters_for
from counterfoil.generator.draws import Draws
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.spelling import compact, span

EARNED_SENTENCE = "15.0% Partner earned credit for services managed"
_PROMOTION_SENTENCES = ("Price for given billing period", "You are getting a discount due to a promotion.")
_PROMOTED = Decimal("0.9")


@dataclass(frozen=True, slots=True)
class Offer:
    """What all line items of one licence or meter share. `adjusted` is without and with partner earned credit.

    A licence has an effective price and the subtotal of one unit. A meter has `shares`, what its price comes to without
    and with earned credit: its effective price depends on the quantity.
    """

    seats: bool
    product: str
    unit_price: str
    adjusted: tuple[str, str]
    charged: str
    unit: str
    priced: str
    qualified: str
    effective: str = ""
    unit_subtotal: Decimal = Decimal(0)
    shares: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))


def licence_offers(line_items: int, month: Month, rate: Decimal) -> tuple[Offer, ...]:
    """Return each licence at full price, promoted, and charged for a part of the month."""
    last = month.length_days
    starts = (1, 1, 1, 2, last // 2, last - 2)  # days from which the month is charged
    return tuple(
        _licence_offer(licence, month, rate, start, promoted=choice == 1)
        for licence in licences_for(line_items)
        for choice, start in enumerate(starts)
    )


def meter_offers(line_items: int, month: Month, rate: Decimal) -> tuple[Offer, ...]:
    """Return the meters."""
    return tuple(_meter_offer(meter, month, rate) for meter in meters_for(line_items))


def _licence_offer(licence: Licence, month: Month, rate: Decimal, start: int, *, promoted: bool) -> Offer:
    price = licence.price
    if promoted:
        price = amounts.times(price, _PROMOTED)
    days = month.length_days - start + 1
    if start > 1:
        price = amounts.prorated(price, days, month.length_days)
    adjustment = compact(list(_PROMOTION_SENTENCES)) if promoted else ""
    promotion = Draws("promotion", licence.product["ProductId"], licence.product["SkuId"]).guid() if promoted else ""
    adjusted = _adjusted(adjustment, "")
    return Offer(
        seats=True,
        product=span(RECONCILIATION, licence.product),
        unit_price=amounts.short(licence.price),
        effective=amounts.short(price),
        unit_subtotal=amounts.licence_subtotal(price, rate, Decimal(1)),
        adjusted=(adjusted, adjusted),
        charged=_charged(month, start, licence.term),
        unit=span(RECONCILIATION, {"UnitType": "Licenses"}),
        priced=_priced(licence.frequency, month, rate, ""),
        qualified=_qualified(promotion, "license-based"),
    )


def _meter_offer(meter: Meter, month: Month, rate: Decimal) -> Offer:
    name, region = meter.described["MeterName"], meter.described["MeterRegion"]
    earned = compact([EARNED_SENTENCE])
    return Offer(
        seats=False,
        product=span(RECONCILIATION, meter.product),
        unit_price=amounts.text(meter.price),
        shares=(meter.price, amounts.times(meter.price, amounts.EARNED)),
        adjusted=(_adjusted("", "Azure plan"), _adjusted(earned, "Azure plan")),
        charged=_charged(month, 1, "1 Month Subscription"),
        unit=span(RECONCILIATION, {"UnitType": meter.described["Unit"]}),
        priced=_priced("", month, rate, f"{name} - {region}" if region else name),
        qualified=_qualified("", "usage-based"),
    )


def _adjusted(adjustment: str, description: str) -> str:
    values = {
        "PriceAdjustmentDescription": adjustment,
        "PublisherName": PUBLISHER,
        "PublisherId": "",
        "SubscriptionDescription": description,
    }
    return span(RECONCILIATION, values)


def _charged(month: Month, start: int, term: str) -> str:
    # The end is the last day charged, itself included; usage files give the last second instead.
    values = {
        "ChargeStartDate": f"{month.day(start)}T00:00:00Z",
        "ChargeEndDate": f"{month.day(month.length_days)}T00:00:00Z",
        "TermAndBillingCycle": term,
    }
    return span(RECONCILIATION, values)


def _priced(frequency: str, month: Month, rate: Decimal, meter: str) -> str:
    values = {
        "BillingFrequency": frequency,
        "PricingCurrency": PRICING_CURRENCY,
        "PCToBCExchangeRate": amounts.text(rate),
        "PCToBCExchangeRateDate": month.start(),
        "MeterDescription": meter,
    }
    return span(RECONCILIATION, values)


def _qualified(promotion: str, category: str) -> str:
    values = {"ProductQualifiers": "", "PromotionId": promotion, "ProductCategory": category}
    return span(RECONCILIATION, values)
