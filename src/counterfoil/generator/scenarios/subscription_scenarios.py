"""Scenarios of a subscription that changes in mid-term: a refund and a charge, both on one side.

Microsoft prints both ways of rounding the rest of a cycle, and the scenarios make both: the unit half up to cents and
then multiplied, and the uncut unit multiplied and then cut. Where the documented way (cut the unit) happens to lead to
both of the amounts, it is the one that counts: nobody could tell.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from counterfoil.generator.scenarios.exact_fractions import ONE, ZERO, cut, half_up, written
from counterfoil.generator.scenarios.injections import (
    Injected,
    InjectionSite,
    number,
    of_one_side,
    tax_rate,
    text_of,
    with_net,
)
from counterfoil.generator.scenarios.line_formulas import LICENCE
from counterfoil.generator.scenarios.true_causes import TAX, TrueFactors, true_causes
from counterfoil.generator.spelling import Line, compact

_UNIT_PLACES = 15


def seats_added(line: Line, site: InjectionSite) -> Injected | None:
    """Seats are added on a later day: the old ones come back for the rest, and more are charged."""
    return _changed_seats(line, site, "addQuantity", lambda seats: seats + 1 + site.draws.below(9))


def seats_removed(line: Line, site: InjectionSite) -> Injected | None:
    """Seats are given back."""
    if number(line, "BillableQuantity") < 2:
        return None
    return _changed_seats(line, site, "removeQuantity", lambda seats: seats - 1 - site.draws.below(int(seats) - 1))


def converted(line: Line, site: InjectionSite) -> Injected | None:
    """The old product comes back for the rest of the cycle, and another is charged: one `conversion`."""
    if not _is_whole(line, site):
        return None
    day = 2 + site.draws.below(site.length_days - 2)
    other = {"ProductId": f"CFQ7TTC0{site.draws.code(4)}", "SkuId": f"{1 + site.draws.below(9_000):04}"}
    dearer = half_up(number(line, "UnitPrice") * Fraction(130 + site.draws.below(70), 100))
    rest, rate = Fraction(site.length_days + 1 - day, site.length_days), tax_rate(line)
    common = _of_day(line, site, day) | {"ChargeType": "Convert"}
    back = _refund(LICENCE.stated(common, half_up(number(line, "EffectiveUnitPrice") * rest), rate), site)
    charge = LICENCE.stated(common | other | {"UnitPrice": written(dearer)}, half_up(dearer * rest), rate)
    if not number(back, "Subtotal"):
        return None
    return Injected((), (back, charge), of_one_side("conversion", back, charge, net=LICENCE.net), keeps=True)


def _changed_seats(
    line: Line, site: InjectionSite, charge_type: str, seats_after: Callable[[Fraction], Fraction]
) -> Injected | None:
    if not _is_whole(line, site):
        return None
    day = 2 + site.draws.below(site.length_days - 2)
    share = Fraction(site.length_days + 1 - day, site.length_days)
    uncut = site.draws.one_in(2)
    unit = half_up(number(line, "EffectiveUnitPrice") * share, _UNIT_PLACES if uncut else 2)
    common = _of_day(line, site, day) | {"ChargeType": charge_type, "EffectiveUnitPrice": written(unit)}
    before, rate = number(line, "BillableQuantity"), number(line, "PCToBCExchangeRate")
    sides = []
    for seats in (before, seats_after(before)):
        net = cut(unit * rate * seats) if uncut else cut(unit * rate) * seats
        counted = common | {"BillableQuantity": written(seats), "Quantity": written(seats)}
        sides.append(with_net(counted, net, tax_rate(line)))
    if not number(sides[0], "Subtotal"):
        return None
    per_unit = cut(unit * rate) - unit * rate
    if any(number(side, "Subtotal") != cut(unit * rate) * number(side, "BillableQuantity") for side in sides):
        per_unit = ZERO
    factors = [
        TrueFactors(number(side, "Subtotal"), number(side, "BillableQuantity"), unit, rate, per_unit) for side in sides
    ]
    back = _refund(sides[0], site)
    tax = of_one_side("", back, sides[1], net=LICENCE.net).get(TAX, ZERO)
    return Injected((), (back, sides[1]), true_causes(*factors, tax=tax), keeps=True)


def _is_whole(line: Line, site: InjectionSite) -> bool:
    whole = (line["ChargeStartDate"], line["ChargeEndDate"]) == (site.day(1), site.last_day())
    return whole and LICENCE.follows(line) and number(line, "EffectiveUnitPrice") >= ONE


def _of_day(line: Line, site: InjectionSite, day: int) -> Line:
    """Return what refund and charge share: the day, an order, and a reference, in the form of either age."""
    order, reference = site.draws.guid()[-12:], site.draws.guid()
    if site.draws.one_in(2):
        reference = compact({"osId": text_of(line, "SubscriptionId"), "id": reference, "v": "1"})
    told = {"ChargeStartDate": site.day(day), "OrderId": order, "AlternateId": order, "ReferenceId": reference}
    return line | told


def _refund(line: Line, site: InjectionSite) -> Line:
    """Turn the amounts, with the sign on the price (as Microsoft prints) or on the quantity."""
    signed = ("EffectiveUnitPrice",) if site.draws.one_in(2) else ("Quantity", "BillableQuantity")
    names = ("Subtotal", "TaxTotal", "Total", *signed)
    return line | {name: written(-number(line, name), 2 if name not in signed else 0) for name in names}
