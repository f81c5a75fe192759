"""Scenarios in which no money moves in all: a key of a line item changes, or only its words do."""

from __future__ import annotations

from fractions import Fraction

from counterfoil.generator.scenarios.factor_scenarios import quantity
from counterfoil.generator.scenarios.injections import Injected, Injection, InjectionSite, LineSort, sort_of, text_of
from counterfoil.generator.scenarios.true_causes import KEY_CHANGED
from counterfoil.generator.spelling import Line


def key_changed(attribute: str) -> Injection:
    """Return the injection that gives a line item another id under this attribute."""

    def inject(line: Line, site: InjectionSite) -> Injected | None:
        return Injected((line,), (line | {attribute: _other(attribute, site)},), {KEY_CHANGED: Fraction(0)})

    return inject


def order_changed(line: Line, site: InjectionSite) -> Injected | None:
    """The same charge under another order: no money, and no customer, subscription or product, is moved."""
    return Injected((line,), (line | dict.fromkeys(("OrderId", "AlternateId"), site.draws.guid()[-12:]),), {})


def reference_changed(line: Line, site: InjectionSite) -> Injected | None:
    """The same charge under another reference."""
    return Injected((line,), (line | {"ReferenceId": site.draws.guid()},), {})


def customer_changed_and_quantity(line: Line, site: InjectionSite) -> Injected | None:
    """Moved to another customer, and more of it."""
    found = quantity(line, site)
    if found is None:
        return None
    moved = found.right[0] | {"CustomerId": site.draws.guid()}
    return Injected(found.left, (moved,), {**found.causes, KEY_CHANGED: Fraction(0)})


def words(line: Line, site: InjectionSite) -> Injected | None:
    """Names, tags and billing frequencies are no difference."""
    renamed = line | {"CustomerName": f"{text_of(line, 'CustomerName')} (renamed)"}
    if sort_of(line) is LineSort.USAGE:
        renamed |= {"Tags": f'{{"moved":"{site.draws.code(6)}"}}'}
    else:
        renamed |= {"BillingFrequency": "" if line["BillingFrequency"] else "Monthly"}
    return Injected((line,), (renamed,), {})


def _other(attribute: str, site: InjectionSite) -> str:
    match attribute:
        case "ProductId":
            return f"DZH318Z0{site.draws.code(4)}"
        case "SkuId":
            return f"{1 + site.draws.below(9_000):04}"
        case _:
            return site.draws.guid()
