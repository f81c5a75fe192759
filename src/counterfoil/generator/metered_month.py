"""A month's metered use of one Azure plan, as daily usage and as the one charge that it comes to.

The days are rated one by one and not cut to cents; the charge is the sum of the quantities at the same price, cut
twice (see `amounts`). So usage adds up to the charge but for the cents that were cut, as Microsoft's does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from counterfoil.generator import amounts
from counterfoil.generator.catalogue import PUBLISHER, Meter
from counterfoil.generator.draws import Draws
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.offers import EARNED_SENTENCE
from counterfoil.generator.population import Subscription
from counterfoil.generator.spelling import Line, compact

LATE_DAYS = 2  # the last days of a month whose use reaches Microsoft when the month is over
_NO_PRICE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Metering:
    """One meter's use by one subscription; `quantities` are those of the days, from the first.

    `covered`: an Azure credit pays for it. `is_late`: its last days are not in what is unbilled before the month ends,
    and `late_before` is use of the last day of the month before, which missed that month's invoice.
    """

    subscription: Subscription
    meter: Meter
    quantities: tuple[Decimal, ...]
    covered: bool
    is_late: bool
    late_before: Decimal

    @property
    def price(self) -> Decimal:
        """What a unit costs, less earned credit, or nothing where a credit pays."""
        if self.covered:
            return _NO_PRICE
        return amounts.times(self.meter.price, amounts.EARNED) if self.subscription.earns_credit else self.meter.price

    def days(self, month: Month, until: int, *, invoiced: bool) -> Iterator[tuple[str, Month, Decimal]]:
        """Yield date, month and quantity of each use that is known: on a day while unbilled, or on the invoice."""
        if self.late_before:
            before = month.shifted(-1)
            yield before.day(before.length_days), before, self.late_before
        known = month.length_days if invoiced or not self.is_late else month.length_days - LATE_DAYS
        for day, quantity in enumerate(self.quantities[: min(until, known)], 1):
            yield month.day(day), month, quantity


def metered_use(
    draws: Draws, customer: int, subscription: Subscription, meters: Sequence[Meter], days: int
) -> list[Metering]:
    """Return what the Azure plan of a month's customer `customer` uses of two meters, in a month of so many days.

    Every second customer's use of the first meter arrives late, every third's has some of the month before, and a
    credit covers every fourth's use of the second.
    """
    first = draws.below(len(meters))
    second = (first + 1 + draws.below(len(meters) - 1)) % len(meters)
    return [
        Metering(
            subscription=subscription,
            meter=meters[number],
            quantities=tuple(_quantity(draws) for _ in range(days)),
            covered=number == second and customer % 4 == 0,
            is_late=number == first and customer % 2 == 0,
            late_before=_quantity(draws) if number == first and customer % 3 == 0 else Decimal(0),
        )
        for number in (first, second)
    ]


def usage_lines(metering: Metering, month: Month, rate: Decimal, until: int, *, invoiced: bool) -> Iterator[Line]:
    """Yield the daily line items, without what a whole file has in common."""
    place, meter = metering.subscription, metering.meter
    earns, group = place.earns_credit, place.groups[0]
    credit = "Partner Earned Credit Applied" if earns else "Credit Not Applied"
    for date, of_month, quantity in metering.days(month, until, invoiced=invoiced):
        pricing, billing = amounts.rated(metering.price, quantity, rate)
        yield {
            **place.customer.described,
            "Tier2MpnId": place.customer.reseller,
            **meter.product,
            **meter.described,
            "PublisherName": PUBLISHER,
            "SubscriptionDescription": "Azure plan",
            "SubscriptionId": place.id,
            "ChargeStartDate": of_month.start(),
            "ChargeEndDate": of_month.end(),
            "UsageDate": f"{date}T00:00:00Z",
            "ResourceGroup": group,
            "ResourceURI": f"/subscriptions/{place.entitlement}/resourceGroups/{group}{meter.resource}-1",
            "ChargeType": "New",
            "UnitPrice": amounts.text(meter.price),
            "Quantity": amounts.text(quantity),
            "UnitType": meter.described["Unit"],
            "BillingPreTaxTotal": amounts.text(billing),
            "PricingPreTaxTotal": amounts.text(pricing),
            "PricingCurrency": PRICING_CURRENCY,
            "AdditionalInfo": meter.infos[0],
            "EffectiveUnitPrice": amounts.text(metering.price),
            "PCToBCExchangeRate": amounts.text(rate),
            "EntitlementId": place.entitlement,
            "EntitlementDescription": place.entitlement_name,
            "PartnerEarnedCreditPercentage": "15" if earns else "0",
            "CreditPercentage": "100" if metering.covered else "0",
            "CreditType": "Azure Credit Applied" if metering.covered else credit,
        }


def metered_charge(metering: Metering, month: Month, rate: Decimal, until: int, *, invoiced: bool) -> Line | None:
    """Return the charge for all use that is known, without what a whole file has in common; None if there is none."""
    quantity = amounts.total(each for _, _, each in metering.days(month, until, invoiced=invoiced))
    if not quantity:
        return None
    place, meter = metering.subscription, metering.meter
    price = amounts.metered_price(metering.price, quantity)
    name, region = meter.described["MeterName"], meter.described["MeterRegion"]
    return {
        **place.customer.described,
        "Tier2MpnId": place.customer.reseller,
        **meter.product,
        "OrderDate": month.start(),
        "ChargeType": "new",
        "UnitPrice": amounts.text(meter.price),
        "Quantity": "1",
        "Subtotal": str(amounts.metered_subtotal(price, rate, quantity)),
        "PriceAdjustmentDescription": compact([EARNED_SENTENCE]) if place.earns_credit else "",
        "PublisherName": PUBLISHER,
        "SubscriptionDescription": "Azure plan",
        "SubscriptionId": place.id,
        "ChargeStartDate": month.start(),
        "ChargeEndDate": f"{month.day(month.length_days)}T00:00:00Z",
        "TermAndBillingCycle": "1 Month Subscription",
        "EffectiveUnitPrice": amounts.short(price),
        "UnitType": meter.described["Unit"],
        "BillableQuantity": amounts.text(quantity),
        "MeterDescription": f"{name} - {region}" if region else name,
        "CreditReasonCode": "Azure consumption credit" if metering.covered else "",
        "ProductCategory": "usage-based",
    }


def _quantity(draws: Draws) -> Decimal:
    """Return a day's use, a few units with six decimals."""
    return amounts.scaled(1 + draws.below(24_000_000), 6)
