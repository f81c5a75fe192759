"""A month of one licence: its cycle charge, and what each change of seats within the month comes to.

Microsoft's arithmetic, from its billing scenarios: a change refunds the whole rest of the cycle for the old seats and
charges it for the new ones. The unit price of the rest is price / days of the cycle x days left, and is not cut; the
product is (rule 2 there). A cancellation cuts the unit price first, and then multiplies (rule 1). A refund has a
negative price and a positive quantity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from counterfoil.generator import amounts
from counterfoil.generator.catalogue import PUBLISHER, Licence
from counterfoil.generator.draws import Draws
from counterfoil.generator.months import Month
from counterfoil.generator.population import Customer
from counterfoil.generator.spelling import Line, compact

REFUND_DAYS = 7  # seats can be given back so many days after they were bought
_JSON_REFERENCES_FROM = "2026-06-15"  # ReferenceId is a GUID on orders before, and JSON in a text from then on
_PRICE_QUANTUM = Decimal(1).scaleb(-15)
_MINUS, _PLUS = Decimal(-1), Decimal(1)
_PRICE = Context(prec=60, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class SeatChange:
    """From a day on there are other seats; `after` is 0 for a cancellation."""

    day: int
    charge_type: str
    before: int
    after: int
    order: str
    reference: str


@dataclass(frozen=True, slots=True)
class SeatLicence:
    """A licence that a customer holds; it renews on the first day of each month."""

    customer: Customer
    licence: Licence
    subscription: str
    order: str
    reference: str
    began: Month
    seats: int
    changes: tuple[SeatChange, ...]


def held_licence(draws: Draws, number: int, customer: Customer, licence: Licence, month: Month) -> SeatLicence:
    """Return the licence of a month's customer `number`, with what happens to it.

    Of each four customers one adds seats and gives some back, one cancels, one adds seats and one changes nothing.
    """
    seats, age = 2 + draws.below(40), draws.below(8)
    changes = (_more_and_back, _cancelled, _more, _unchanged)[number % 4]
    return SeatLicence(
        customer=customer,
        licence=licence,
        subscription=draws.guid(),
        order=draws.guid()[-12:],
        reference=draws.guid(),
        began=month.shifted(-age if number % 2 else -age - 5),
        seats=seats,
        changes=tuple(changes(draws, month, seats)),
    )


def _unchanged(_: Draws, __: Month, ___: int) -> list[SeatChange]:
    return []


def _cancelled(draws: Draws, _: Month, seats: int) -> list[SeatChange]:
    return [_change(draws, 2 + draws.below(REFUND_DAYS - 2), "cancelImmediate", seats, 0)]


def _more(draws: Draws, month: Month, seats: int) -> list[SeatChange]:
    day = 2 + draws.below(month.length_days - REFUND_DAYS - 2)
    return [_change(draws, day, "addQuantity", seats, seats + 1 + draws.below(10))]


def _more_and_back(draws: Draws, month: Month, seats: int) -> list[SeatChange]:
    [added] = _more(draws, month, seats)
    left = seats + draws.below(added.after - seats)
    return [added, _change(draws, added.day + 1 + draws.below(REFUND_DAYS - 1), "removeQuantity", added.after, left)]


def _change(draws: Draws, day: int, charge_type: str, before: int, after: int) -> SeatChange:
    return SeatChange(day, charge_type, before, after, draws.guid()[-12:], draws.guid())


def licence_charges(held: SeatLicence, month: Month, rate: Decimal, until: int) -> Iterator[Line]:
    """Yield the charges of a licence up to a day, without what a whole file has in common."""
    price = held.licence.price
    subtotal = amounts.licence_subtotal(price, rate, Decimal(held.seats))
    ordered = f"{held.began.start()[:10]}T08:00:00Z"
    renews = "new" if held.began == month else "cycleCharge"
    yield _line(held, month, 1, renews, price, held.seats, subtotal, held.order, ordered, held.reference)
    for change in held.changes:
        if change.day > until:
            return
        left = month.length_days - change.day + 1
        unit = _PRICE.divide(amounts.times(price, Decimal(left)), Decimal(month.length_days))
        unit = Decimal(amounts.short(_PRICE.quantize(unit, _PRICE_QUANTUM)))
        ordered = f"{month.day(change.day)}T10:{change.day:02}:00Z"
        for seats, sign in ((change.before, _MINUS), (change.after, _PLUS)):
            if seats:
                subtotal = amounts.times(sign, _rest(change.charge_type, unit, rate, seats))
                signed = amounts.times(sign, unit)
                yield _line(
                    held, month, change.day, change.charge_type, signed, seats, subtotal, change.order, ordered,
                    change.reference,
                )  # fmt: skip


def _rest(charge_type: str, unit: Decimal, rate: Decimal, seats: int) -> Decimal:
    """Return what the rest of a cycle costs for so many seats."""
    if charge_type == "cancelImmediate":
        return amounts.licence_subtotal(unit, rate, Decimal(seats))
    return amounts.round_down(amounts.times(amounts.times(unit, rate), Decimal(seats)))


def _line(
    held: SeatLicence, month: Month, day: int, charge: str, price: Decimal, seats: int, subtotal: Decimal, order: str,
    ordered: str, reference: str,
) -> Line:  # fmt: skip
    ends = held.began.shifted(11)
    return {
        **held.customer.described,
        "Tier2MpnId": held.customer.reseller,
        "OrderId": order,
        "OrderDate": ordered,
        **held.licence.product,
        "ChargeType": charge,
        "UnitPrice": amounts.short(held.licence.price),
        "Quantity": str(seats),
        "Subtotal": str(subtotal),
        "PublisherName": PUBLISHER,
        "SubscriptionDescription": held.licence.product["SkuName"],
        "SubscriptionId": held.subscription,
        "ChargeStartDate": f"{month.day(day)}T00:00:00Z",
        "ChargeEndDate": f"{month.day(month.length_days)}T00:00:00Z",
        "TermAndBillingCycle": held.licence.term,
        "EffectiveUnitPrice": amounts.short(price),
        "UnitType": "Licenses",
        "AlternateId": order,
        "BillableQuantity": str(seats),
        "BillingFrequency": "Monthly",
        "SubscriptionStartDate": held.began.start(),
        "SubscriptionEndDate": f"{ends.day(ends.length_days)}T00:00:00Z",
        "ReferenceId": _reference(reference, held.subscription, ordered),
        "ProductCategory": "license-based",
    }


def _reference(reference: str, subscription: str, ordered: str) -> str:
    """Write a ReferenceId as it was written when the order was made; archives hold both forms."""
    if ordered[:10] < _JSON_REFERENCES_FROM:
        return reference
    return compact({"osId": subscription, "id": reference, "v": "1"})
