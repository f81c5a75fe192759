"""Scenarios in which no factor changes, but an amount: another rounding, another tax, and what follows from nothing."""

from __future__ import annotations

from fractions import Fraction

from counterfoil.generator.scenarios.exact_fractions import CENT, cut, half_up, written
from counterfoil.generator.scenarios.factor_scenarios import quantity
from counterfoil.generator.scenarios.injections import (
    Injected,
    InjectionSite,
    LineSort,
    number,
    sort_of,
    tax_moved,
    tax_rate,
    with_net,
)
from counterfoil.generator.scenarios.line_formulas import FORMULAS
from counterfoil.generator.scenarios.true_causes import TAX, UNEXPLAINED, without_zeros
from counterfoil.generator.spelling import Line


def rounding(line: Line, _: InjectionSite) -> Injected | None:
    """The same factors, cut or rounded per line. Another ledger does so."""
    formula = FORMULAS[sort_of(line)]
    before = formula.factors(line, formula.price_of(line))
    value = before.quantity * before.price * before.rate
    nets = [net for net in (cut(value), half_up(value)) if net != before.net]
    if not nets or not formula.follows(line):
        return None
    after = _with_amount(line, nets[0])
    net = nets[0] - before.net
    return Injected((line,), (after,), without_zeros({"rounding": net, TAX: tax_moved(line, after)}))


def tax_of_another_rate(line: Line, site: InjectionSite) -> Injected | None:
    """A rate of tax that is some percents higher."""
    after = with_net(line, number(line, "Subtotal"), tax_rate(line) + (1 + site.draws.below(5)) * CENT)
    return _taxed(line, after)


def tax_of_another_amount(line: Line, site: InjectionSite) -> Injected | None:
    """A tax that no rate gives."""
    more = (1 + site.draws.below(2_000)) * CENT
    after: Line = {name: written(number(line, name) + more, 2) for name in ("TaxTotal", "Total")}
    return _taxed(line, line | after)


def misstated(line: Line, site: InjectionSite) -> Injected | None:
    """A net amount that follows from nothing the line tells."""
    return Injected((line,), (_wrong(line, amount := _amount(site)),), {UNEXPLAINED: amount})


def total_that_does_not_add_up(line: Line, site: InjectionSite) -> Injected | None:
    """A total that is not net and tax."""
    wrong = _amount(site)
    return Injected((line,), (line | {"Total": written(number(line, "Total") + wrong, 2)},), {UNEXPLAINED: wrong})


def quantity_and_misstated(line: Line, site: InjectionSite) -> Injected | None:
    """More seats or more use, and an amount that does not follow."""
    found = quantity(line, site)
    if found is None:
        return None
    wrong = _amount(site)
    return Injected(found.left, (_wrong(found.right[0], wrong),), {**found.causes, UNEXPLAINED: wrong})


def _amount(site: InjectionSite) -> Fraction:
    return Fraction(100 + site.draws.below(9_900), 10)


def _wrong(line: Line, wrong: Fraction) -> Line:
    names = ("BillingPreTaxTotal",) if sort_of(line) is LineSort.USAGE else ("Subtotal", "Total")
    return line | {name: written(number(line, name) + wrong) for name in names}


def _with_amount(line: Line, net: Fraction) -> Line:
    if sort_of(line) is LineSort.USAGE:
        return line | {"BillingPreTaxTotal": written(net, 2)}
    return with_net(line, net, tax_rate(line))


def _taxed(before: Line, after: Line) -> Injected | None:
    moved = tax_moved(before, after)
    return Injected((before,), (after,), {TAX: moved}) if moved else None
