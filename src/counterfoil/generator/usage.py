"""Ordinary usage line items: a resource's metered use on one day.

A *stream* is one resource on one meter; its number decides customer, meter and tags, so nothing is kept per
resource and memory stays flat. Customer, meter, resource and day do not form a key: one line item in six repeats
those of an earlier one with another quantity, as real files do.
"""

from __future__ import annotations

from decimal import Decimal

from counterfoil.columns import USAGE
from counterfoil.generator import amounts
from counterfoil.generator.catalogue import PUBLISHER, Meter, meters_for
from counterfoil.generator.draws import draw, key_of
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.population import SKEW_BITS, Population, Subscription, skewed
from counterfoil.generator.scatter import Walk
from counterfoil.generator.spelling import quoted, span

_SKEW_MASK = (1 << SKEW_BITS) - 1
_LATE_ONE_IN = 128  # streams whose use of the month before comes late
_REPEATED_OF_256 = 43
_MANTISSA_BITS = 20
# Powers of two millionths: a quarter tiny (from 0.000016), most about an hour or a day, an eighth up to 8,600.
_SIZES = (
    *(1 << 4 + step // 4 for step in range(64)),
    *(1 << 20 + step // 32 for step in range(160)),
    *(1 << 25 + step // 4 for step in range(32)),
)


class UsageLineItems:
    """Makes ordinary usage line items by number."""

    def __init__(
        self, population: Population, key: str, month: Month, invoice: str, currency: str, line_items: int
    ) -> None:
        self.rate = month.rate(PRICING_CURRENCY, currency)
        self._population = population
        self._invoice = invoice
        self._line_key = key_of("usage line item", key)
        self._stream_key = key_of("usage stream", key)
        self._places = tuple(self._place(subscription) for subscription in population.subscriptions)
        self._meters = tuple(self._meter(meter) for meter in meters_for(line_items))
        self._tags = tuple(quoted(text) for text in population.tags)
        self._days = self._dates(month)
        self._late_days = self._dates(month.shifted(-1))
        # A quarter more days than line items: a resource is not used every day.
        streams = 3 + line_items * 5 // 4 // month.length_days
        self._walk = Walk(streams * month.length_days, self._line_key)
        self._currency = span(USAGE, {"BillingCurrency": currency})
        self._pricing = span(USAGE, {"PricingCurrency": PRICING_CURRENCY, "ServiceInfo1": "", "ServiceInfo2": ""})

    def block(self, start: int, stop: int) -> bytes:
        """Return the line items `start` to `stop` - 1 as JSON lines."""
        line_key, stream_key, rate, days_count = self._line_key, self._stream_key, self.rate, len(self._days)
        places, meters, tags = self._places, self._meters, self._tags
        places_count, meters_count, tags_count = len(places), len(meters), len(tags)
        lines: list[bytes] = []
        for number in range(start, stop):
            bits = draw(line_key, number)
            repeats = bits & 255 < _REPEATED_OF_256 and number > 16
            stream, day = divmod(self._walk(number - 1 - (bits >> 8 & 15) if repeats else number), days_count)
            nature = draw(stream_key, stream)
            head, uri, groups, earns, subscription, tail = places[skewed(nature & _SKEW_MASK, places_count)]
            product, meter, resource, price, prices, unit_type, infos = meters[
                (nature >> 20 & 0xFFFF) * meters_count >> 16
            ]
            group = groups[nature >> 45 & 3]
            dates = self._days[day]
            if nature >> 51 & _LATE_ONE_IN - 1 == 0:
                dates = self._late_days[day % len(self._late_days)]
            charge = "Purchase" if nature >> 47 & 15 == 0 else "New"
            quantity = _quantity(bits, repeats)
            if bits >> 56 == 0:
                quantity, charge = f"-{quantity}", "Refund" if charge == "Purchase" else "Cancel"
            effective, effective_text = prices[earns]
            pricing, billing = amounts.rated(effective, Decimal(quantity), rate)
            lines.append(
                (
                    f'{head},{product},{subscription},{dates},{meter},"ResourceGroup":"{group}",'
                    f'"ResourceURI":"{uri}{group}{resource}-{stream:06}","ChargeType":"{charge}",'
                    f'"UnitPrice":{price},"Quantity":{quantity},{unit_type},'
                    f'"BillingPreTaxTotal":{amounts.text(billing)},{self._currency},'
                    f'"PricingPreTaxTotal":{amounts.text(pricing)},{self._pricing},'
                    f'"Tags":{tags[(nature >> 36 & 511) * tags_count >> 9]},'
                    f'"AdditionalInfo":{infos[bits >> 40 & 1]},"EffectiveUnitPrice":{effective_text},{tail}}}\n'
                ).encode()
            )
        return b"".join(lines)

    def _place(self, place: Subscription) -> tuple[str, str, tuple[str, ...], bool, str, str]:
        population, customer = self._population, place.customer
        head = {
            "PartnerId": population.partner,
            "PartnerName": population.partner_name,
            **customer.described,
            "MpnId": population.mpn_id,
            "Tier2MpnId": customer.reseller,
            "InvoiceNumber": self._invoice,
        }
        tail = {
            "PCToBCExchangeRate": amounts.text(self.rate),
            "EntitlementId": place.entitlement,
            "EntitlementDescription": place.entitlement_name,
            "PartnerEarnedCreditPercentage": "15" if place.earns_credit else "0",
            "CreditPercentage": "0",
            "CreditType": "Partner Earned Credit Applied" if place.earns_credit else "Credit Not Applied",
            "BenefitOrderID": "",
            "BenefitID": "",
            "BenefitType": "",
        }
        return (
            "{" + span(USAGE, head),
            f"/subscriptions/{place.entitlement}/resourceGroups/",
            place.groups,
            place.earns_credit,
            span(USAGE, {"SubscriptionId": place.id}),
            span(USAGE, tail),
        )

    @staticmethod
    def _meter(
        meter: Meter,
    ) -> tuple[str, str, str, str, tuple[tuple[Decimal, str], tuple[Decimal, str]], str, tuple[str, str]]:
        published = {"PublisherName": PUBLISHER, "PublisherId": "", "SubscriptionDescription": "Azure plan"}
        earned = amounts.times(meter.price, amounts.EARNED)
        infos = [quoted(info) for info in meter.infos]
        return (
            span(USAGE, {**meter.product, **published}),
            span(USAGE, meter.described),
            meter.resource,
            amounts.text(meter.price),
            ((meter.price, amounts.text(meter.price)), (earned, amounts.text(earned))),
            span(USAGE, {"UnitType": meter.described["Unit"]}),
            (infos[0], infos[-1]),
        )

    @staticmethod
    def _dates(month: Month) -> tuple[str, ...]:
        charged = {"ChargeStartDate": month.start(), "ChargeEndDate": month.end()}
        days = range(1, month.length_days + 1)
        return tuple(span(USAGE, {**charged, "UsageDate": f"{month.day(day)}T00:00:00Z"}) for day in days)


def _quantity(bits: int, repeats: bool) -> str:
    """Return a quantity: mostly six decimals, sometimes 24 or 24.0, as metering has it."""
    # Repeats are never tiny: two equal ones would make two identical line items, which are rare in real files.
    size = _SIZES[bits >> 12 & 255 | (128 if repeats else 0)]
    millionths = size + (size * (bits >> 20 & (1 << _MANTISSA_BITS) - 1) >> _MANTISSA_BITS)
    if bits >> 42 & 7 == 0 and not repeats:
        hours = 1 + millionths % 24
        return f"{hours}.0" if bits >> 45 & 1 else str(hours)
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06}"
