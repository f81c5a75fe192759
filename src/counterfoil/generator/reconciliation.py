"""Ordinary reconciliation line items: licences and metered Azure plans, in groups of three.

The number of a group decides subscription and product, so that changes come in pairs that belong together: the
refund of the old quantity and the charge of the new one have the same ChargeType and opposite signs, and are far
apart in the file. A group is not a unit of arithmetic: each line item follows the formulas of `amounts` by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from counterfoil.columns import RECONCILIATION
from counterfoil.generator import amounts
from counterfoil.generator.draws import draw, key_of
from counterfoil.generator.months import PRICING_CURRENCY, Month
from counterfoil.generator.offers import Offer, licence_offers, meter_offers
from counterfoil.generator.population import SKEW_BITS, Population, Subscription, skewed
from counterfoil.generator.scatter import Walk
from counterfoil.generator.spelling import span

_SKEW_MASK = (1 << SKEW_BITS) - 1
_TAIL_MASK = (1 << 48) - 1  # the last twelve digits of a GUID, or an order id
_TIMES = tuple(f"T{8 + number // 24:02}:{number * 7 % 60:02}:{number * 13 % 60:02}Z" for number in range(256))
GROUP = 3
_METERED_OF_64 = 24  # groups that are an Azure plan's
_CHANGED_OF_64 = 40  # the rest up to here: licences with a change of quantity
_SINGLE_CHARGES = ("cycleCharge", "cycleCharge", "cycleCharge", "New", "New", "Purchase", "renew", "Convert")


@dataclass(frozen=True, slots=True)
class _Place:
    head: str
    azure_plan: str
    licensed: str  # the first four fifths of the subscription ids of licences; the group's number ends them
    reference: str
    tax: Decimal
    earns_credit: bool


class ReconciliationLineItems:
    """Makes ordinary reconciliation line items by number."""

    def __init__(
        self, population: Population, key: str, month: Month, invoice: str, currency: str, line_items: int
    ) -> None:
        self.rate = month.rate(PRICING_CURRENCY, currency)
        self._population = population
        self._invoice = invoice
        self._line_key = key_of("reconciliation line item", key)
        self._group_key = key_of("reconciliation group", key)
        self._places = tuple(self._place(subscription) for subscription in population.subscriptions)
        self._licences = licence_offers(line_items, month, self.rate)
        self._meters = meter_offers(line_items, month, self.rate)
        self._days = tuple(month.day(number) for number in range(1, month.length_days + 1))
        self._spans = tuple(self._subscribed(month, age) for age in range(16))
        # Whole groups only: what is left over after the last one are plain charges.
        self._walk = Walk(max(line_items // GROUP, 1) * GROUP, self._line_key)
        self._currency = span(RECONCILIATION, {"Currency": currency})

    def block(self, start: int, stop: int) -> bytes:
        """Return the line items `start` to `stop` - 1 as JSON lines."""
        walk, line_key, group_key = self._walk, self._line_key, self._group_key
        places, places_count = self._places, len(self._places)
        lines: list[bytes] = []
        for number in range(start, stop):
            bits = draw(line_key, number)
            whole = number < walk.length
            group, part = divmod(walk(number) if whole else number, GROUP)
            nature = draw(group_key, group)
            place = places[skewed(nature & _SKEW_MASK, places_count)]
            sort = nature >> SKEW_BITS & 63
            if whole and sort < _METERED_OF_64:
                lines.append(self._metered(bits, nature, place))
            else:
                changed = whole and part > 0 and sort < _CHANGED_OF_64
                charge, quantity = _change(nature, part) if changed else _single(bits)
                lines.append(self._licensed(bits, nature, place, group, charge, quantity))
        return b"".join(lines)

    def _licensed(self, bits: int, nature: int, place: _Place, group: int, charge: str, quantity: int) -> bytes:
        offer = self._licences[(nature >> 26 & 0xFFFF) * len(self._licences) >> 16]
        subtotal = amounts.times(offer.unit_subtotal, Decimal(quantity))
        subscription = f"{place.licensed}{group:012x}"
        return self._line(bits, nature, place, offer, charge, str(quantity), subscription, subtotal, offer.effective)

    def _metered(self, bits: int, nature: int, place: _Place) -> bytes:
        offer = self._meters[(bits & 0xFFFF) * len(self._meters) >> 16]
        # From a thousandth to about 8,000, small ones more often.
        size = 1 << 10 + (bits >> 16 & 15) * (bits >> 20 & 15) * 21 // 225
        millionths = size + (size * (bits >> 24 & 0xFFFFF) >> 20)
        quantity = f"{millionths // 1_000_000}.{millionths % 1_000_000:06}"
        value = Decimal(quantity)
        price = amounts.metered_price(offer.shares[place.earns_credit], value)
        charge = "Purchase" if nature >> 42 & 7 == 0 else "New"
        if bits >> 58 == 0:
            quantity, value, charge = f"-{quantity}", value.copy_negate(), "Refund"
        subtotal = amounts.metered_subtotal(price, self.rate, value)
        return self._line(
            bits, nature, place, offer, charge, quantity, place.azure_plan, subtotal, amounts.short(price)
        )

    def _line(
        self, bits: int, nature: int, place: _Place, offer: Offer, charge: str, billable: str, subscription: str,
        subtotal: Decimal, effective: str,
    ) -> bytes:  # fmt: skip
        tax = amounts.round_down(amounts.times(subtotal, place.tax))
        quantity = billable if offer.seats else "1"
        order = f"{bits & _TAIL_MASK:012x}"
        ordered = f"{self._days[(bits >> 48) % len(self._days)]}{_TIMES[bits >> 52 & 255]}"
        return (
            f'{place.head},"OrderId":"{order}","OrderDate":"{ordered}",{offer.product},"ChargeType":"{charge}",'
            f'"UnitPrice":{offer.unit_price},"Quantity":{quantity},"Subtotal":{subtotal!s},"TaxTotal":{tax!s},'
            f'"Total":{amounts.plus(subtotal, tax)!s},{self._currency},{offer.adjusted[place.earns_credit]},'
            f'"SubscriptionId":"{subscription}",{offer.charged},"EffectiveUnitPrice":{effective},{offer.unit},'
            f'"AlternateId":"{order}","BillableQuantity":{billable},{offer.priced},'
            f'"ReservationOrderId":"","CreditReasonCode":"",{self._spans[nature >> 46 & 15]},'
            f'"ReferenceId":"{place.reference}{nature & _TAIL_MASK:012x}",{offer.qualified}}}\n'
        ).encode()

    def _place(self, place: Subscription) -> _Place:
        customer = place.customer
        head = {
            "PartnerId": self._population.partner,
            **customer.described,
            "InvoiceNumber": self._invoice,
            "MpnId": self._population.mpn_id,
            "Tier2MpnId": customer.reseller,
        }
        tax = amounts.scaled(customer.tax_thousandths, 3)
        start = "{" + span(RECONCILIATION, head)
        return _Place(start, place.id, place.id[:24], place.entitlement[:24], tax, place.earns_credit)

    @staticmethod
    def _subscribed(month: Month, age: int) -> str:
        """Return the dates of a subscription that began so many months ago and lasts a year, or three."""
        first = month.shifted(-age)
        last = first.shifted(11 if age < 12 else 35)
        dates = {"SubscriptionStartDate": first.start(), "SubscriptionEndDate": f"{last.end()[:10]}T00:00:00Z"}
        return span(RECONCILIATION, dates)


def _single(bits: int) -> tuple[str, int]:
    """Return charge type and number of seats of a line item that belongs to no group; some are cancelled."""
    seats = 1 + (bits >> 24 & 7) * (bits >> 27 & 7) * (bits >> 30 & 15)
    if bits >> 59 == 0:
        return ("cancelImmediate" if bits & 1 else "Refund"), -seats
    return _SINGLE_CHARGES[bits >> 20 & 7], seats


def _change(nature: int, part: int) -> tuple[str, int]:
    """Return one half of a change of quantity: the old seats with a minus, or the new ones."""
    before = 1 + (nature >> 50 & 63)
    step = 1 + (nature >> 56 & 15)
    adds = bool(nature >> 60 & 1)
    low, high = before, before + step
    old, new = (low, high) if adds else (high, low)
    return ("addQuantity" if adds else "removeQuantity"), (-old if part == 1 else new)
