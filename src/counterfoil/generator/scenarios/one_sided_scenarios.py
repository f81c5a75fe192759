"""Scenarios of line items that one side has and the other has not."""

from __future__ import annotations

from counterfoil.generator.scenarios.exact_fractions import ZERO, written
from counterfoil.generator.scenarios.injections import (
    Injected,
    InjectionSite,
    LineSort,
    number,
    of_one_side,
    sort_of,
    tax_rate,
    text_of,
)
from counterfoil.generator.scenarios.line_formulas import FORMULAS
from counterfoil.generator.spelling import Line

_TAKEN_BACK = {
    LineSort.LICENCE: ("cancelImmediate", "Refund", "cancel"),
    LineSort.METERED: ("Refund", "Cancel"),
    LineSort.USAGE: ("Refund", "Cancel"),
}
_DAY = slice(8, 10)
_AMOUNTS = ("Subtotal", "TaxTotal", "Total", "BillingPreTaxTotal", "PricingPreTaxTotal")


def new(line: Line, _: InjectionSite) -> Injected | None:
    """A line item that only the right has."""
    causes = of_one_side("new", line, net=_net(line))
    return Injected((), (line,), causes) if causes else None


def vanished(line: Line, site: InjectionSite) -> Injected | None:
    """A line item that only the left has."""
    found = new(line, site)
    return found.mirrored() if found else None


def new_customer(line: Line, site: InjectionSite) -> Injected | None:
    """The first line item of a customer."""
    names = ("CustomerId", "SubscriptionId", *(["EntitlementId"] if "EntitlementId" in line else []))
    return _beside(line, "new", line | {name: site.draws.guid() for name in names})


def duplicate(line: Line, _: InjectionSite) -> Injected | None:
    """One delivery loaded twice."""
    return _beside(line, "duplicate", dict(line))


def late_usage(line: Line, site: InjectionSite) -> Injected | None:
    """Use of the month before, which its own invoice missed."""
    return _of_another_month(line, site, "late usage", -1)


def other_period(line: Line, site: InjectionSite) -> Injected | None:
    """A charge of the month after."""
    return _of_another_month(line, site, "other period", 1)


def cancelled(line: Line, site: InjectionSite) -> Injected | None:
    """A charge that is taken back; the sign stands on the price or on the quantity."""
    sort = sort_of(line)
    signed = "EffectiveUnitPrice" if site.draws.one_in(2) else FORMULAS[sort].quantity
    negative = [name for name in (*_AMOUNTS, signed) if name in line]
    back = line | {name: written(-number(line, name)) for name in negative}
    return _beside(line, "cancelled", back | {"ChargeType": site.draws.pick(_TAKEN_BACK[sort])})


def credit(line: Line, site: InjectionSite) -> Injected | None:
    """Money that is given back for a reason, or by a charge type that says so."""
    given = line | {"ChargeType": "customerCredit", FORMULAS[sort_of(line)].quantity: "-1"}
    given |= {"UnitPrice": "5", "EffectiveUnitPrice": "5"}
    if "CreditReasonCode" in line and site.draws.one_in(2):
        given |= {"CreditReasonCode": "Credit for customer", "ChargeType": line["ChargeType"]}
    return _beside(line, "credit", _stated(given))


def _of_another_month(line: Line, site: InjectionSite, cause: str, months_on: int) -> Injected | None:
    """Use of the same day as the line item's, so that no two sites have use of one resource on one day."""
    days = {"ChargeStartDate": site.day(1, months_on), "ChargeEndDate": site.last_day(months_on)}
    if sort_of(line) is LineSort.USAGE:
        days["UsageDate"] = site.day(int(text_of(line, "UsageDate")[_DAY]), months_on)
        if days["UsageDate"] > days["ChargeEndDate"]:
            return None
    return _beside(line, cause, _again(line, site, days))


def _again(line: Line, site: InjectionSite, days: dict[str, str]) -> Line:
    """Return a like charge of other days, for another quantity."""
    name = FORMULAS[sort_of(line)].quantity
    return _stated(line | days | {name: written(number(line, name) + 1 + site.draws.below(9))})


def _stated(line: Line) -> Line:
    formula = FORMULAS[sort_of(line)]
    return formula.stated(line, formula.price_of(line), tax_rate(line) if "TaxTotal" in line else ZERO)


def _beside(line: Line, cause: str, extra: Line) -> Injected | None:
    causes = of_one_side(cause, extra, net=_net(line))
    return Injected((), (extra,), causes, keeps=True) if causes else None


def _net(line: Line) -> str:
    return FORMULAS[sort_of(line)].net
