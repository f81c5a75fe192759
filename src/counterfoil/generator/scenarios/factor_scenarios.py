"""Scenarios in which factors of a net amount change: one alone, and several at once.

The trap: a metered price that follows from no list price is taken as it is shown, after it was cut. So what a discount
is worth is reckoned with the shown price, see `_discount`.
"""

from __future__ import annotations

from fractions import Fraction

from counterfoil.generator.scenarios.exact_fractions import CENT, ONE, half_up, written
from counterfoil.generator.scenarios.injections import (
    Injected,
    InjectionSite,
    LineSort,
    number,
    sort_of,
    tax_moved,
    tax_rate,
)
from counterfoil.generator.scenarios.line_formulas import (
    EARNED_CREDIT_KEPT,
    FORMULAS,
    LICENCE,
    USAGE,
    BothShares,
    earns_credit,
)
from counterfoil.generator.scenarios.true_causes import (
    CREDIT,
    DISCOUNT,
    EARNED_CREDIT,
    PRORATION,
    UNIT_PRICE,
    TrueFactors,
    true_causes,
)
from counterfoil.generator.spelling import Line

_DEARER = (Fraction(105, 100), Fraction(110, 100), Fraction(125, 100))
_NINE_TENTHS, _SEVEN_TENTHS = Fraction(9, 10), Fraction(7, 10)
_FIRST_DAY = slice(8, 10)


def quantity(line: Line, site: InjectionSite) -> Injected | None:
    """More seats, or more use."""
    return FORMULAS[sort_of(line)].varied(line, _more(line, site))


def exchange_rate(line: Line, site: InjectionSite) -> Injected | None:
    """Another rate of the same currencies."""
    return FORMULAS[sort_of(line)].varied(line, _rated(line, site)) if is_converted(line) else None


def unit_price(line: Line, site: InjectionSite) -> Injected | None:
    """A dearer list price; days, credits and promotions stay."""
    dearer = _dearer(line, site)
    if dearer is None:
        return None
    changes, price = dearer
    return FORMULAS[sort_of(line)].varied(line, changes, price, _unit_price_shares(line, changes))


def trial_to_paid(line: Line, _: InjectionSite) -> Injected | None:
    """A trial, free by its list price, that is charged for."""
    free = {"UnitPrice": "0", "EffectiveUnitPrice": "0", "Subtotal": "0", "TaxTotal": "0", "Total": "0"}
    if not LICENCE.follows(line):
        return None
    trial, listed = line | free, number(line, "UnitPrice")
    factors = (
        LICENCE.factors(trial, Fraction(0), {UNIT_PRICE: Fraction(0)}),
        LICENCE.factors(line, number(line, "EffectiveUnitPrice"), {UNIT_PRICE: listed}),
    )
    return Injected((trial,), (line,), true_causes(*factors, tax=tax_moved(trial, line)))


def pricing_currency(line: Line, _: InjectionSite) -> Injected | None:
    """Priced in dollars, then in pounds: prices cannot be compared, amounts can, so all of it is the price."""
    if not (is_converted(line) and LICENCE.follows(line)):
        return None
    price, rate = number(line, "EffectiveUnitPrice"), number(line, "PCToBCExchangeRate")
    price_after, rate_after = half_up(price * Fraction(80, 100)), half_up(rate * Fraction(127, 100), 12)
    if not price_after:
        return None
    told: Line = {"PricingCurrency": "GBP", "PCToBCExchangeRate": written(rate_after)}
    told |= {"UnitPrice": written(half_up(number(line, "UnitPrice") * Fraction(80, 100)))}
    after = LICENCE.stated(line | told, price_after, tax_rate(line))
    in_billing = (
        _in_billing_currency(line, price * rate, number(line, "Subtotal")),
        _in_billing_currency(line, price_after * rate_after, number(after, "Subtotal")),
    )
    return Injected((line,), (after,), true_causes(*in_billing, tax=tax_moved(line, after)))


def proration(line: Line, site: InjectionSite) -> Injected | None:
    """Charged from a later day on. One seat of a part of the month is rounded half up to cents."""
    return _prorated(line, site, {})


def earned_credit(line: Line, _: InjectionSite) -> Injected | None:
    """Partner earned credit of 15 % is lost."""
    if not earns_credit(line):
        return None
    formula = FORMULAS[sort_of(line)]
    shares = {EARNED_CREDIT: EARNED_CREDIT_KEPT}, {EARNED_CREDIT: ONE}
    return formula.varied(line, _without_earned_credit(line), number(line, "UnitPrice"), shares)


def covered_by_credit(line: Line, site: InjectionSite) -> Injected | None:
    """An Azure credit pays for the use; the price may be shown all the same."""
    if not USAGE.follows(line):
        return None
    price = number(line, "EffectiveUnitPrice")
    paid = line | {"CreditPercentage": "100", "CreditType": "Azure Credit Applied"}
    paid |= {"PricingPreTaxTotal": "0", "BillingPreTaxTotal": "0"}
    if site.draws.one_in(2):
        paid |= {"EffectiveUnitPrice": "0"}
    factors = USAGE.factors(line, price, {CREDIT: ONE}), USAGE.factors(paid, Fraction(0), {CREDIT: Fraction(0)})
    return Injected((line,), (paid,), true_causes(*factors))


def discount(line: Line, site: InjectionSite) -> Injected | None:
    """A promotion that no list price, day or credit tells of."""
    return _discounted(line, site, {})


def quantity_and_unit_price(line: Line, site: InjectionSite) -> Injected | None:
    """More, and dearer."""
    dearer = _dearer(line, site)
    if dearer is None:
        return None
    changes, price = dearer
    more = changes | _more(line, site)
    return FORMULAS[sort_of(line)].varied(line, more, price, _unit_price_shares(line, changes))


def quantity_and_exchange_rate(line: Line, site: InjectionSite) -> Injected | None:
    """More, at another rate."""
    if not is_converted(line):
        return None
    return FORMULAS[sort_of(line)].varied(line, _more(line, site) | _rated(line, site))


def quantity_and_proration(line: Line, site: InjectionSite) -> Injected | None:
    """More seats, for a part of the month."""
    return _prorated(line, site, _more(line, site))


def quantity_and_discount(line: Line, site: InjectionSite) -> Injected | None:
    """More, at a discount."""
    return _discounted(line, site, _more(line, site))


def unit_price_and_discount(line: Line, site: InjectionSite) -> Injected | None:
    """A dearer list price, and a promotion."""
    dearer = _dearer(line, site)
    if dearer is None:
        return None
    changes, price = dearer
    before = number(line, "EffectiveUnitPrice")
    share = price / number(changes, "UnitPrice")
    if share * number(line, "UnitPrice") != before:
        return None  # a price of a part of the month: rounded, so that its factors do not lead to it
    return FORMULAS[sort_of(line)].varied(
        line,
        changes,
        price * _SEVEN_TENTHS,
        ({UNIT_PRICE: before, DISCOUNT: ONE}, {UNIT_PRICE: price, DISCOUNT: _SEVEN_TENTHS}),
    )


def everything(line: Line, site: InjectionSite) -> Injected | None:
    """More seats, a dearer list price, another exchange rate, and another rate of tax."""
    dearer = _dearer(line, site)
    if dearer is None or not is_converted(line):
        return None
    changes, price = dearer
    several = changes | _more(line, site) | _rated(line, site)
    shares = _unit_price_shares(line, changes)
    return FORMULAS[sort_of(line)].varied(line, several, price, shares, more_tax=CENT)


def is_converted(line: Line) -> bool:
    """Whether a line item is priced in another currency than it is billed in."""
    return number(line, "PCToBCExchangeRate") != 1


def _more(line: Line, site: InjectionSite) -> Line:
    if sort_of(line) is LineSort.LICENCE:
        seats = written(number(line, "BillableQuantity") + 1 + site.draws.below(9))
        return {"Quantity": seats, "BillableQuantity": seats}
    name = FORMULAS[sort_of(line)].quantity
    return {name: written(number(line, name) * Fraction(110 + site.draws.below(90), 100))}


def _rated(line: Line, site: InjectionSite) -> Line:
    moved = Fraction(1 + site.draws.below(99), 10_000)
    return {"PCToBCExchangeRate": written(number(line, "PCToBCExchangeRate") + moved)}


def _without_earned_credit(line: Line) -> Line:
    if sort_of(line) is LineSort.METERED:
        return {"PriceAdjustmentDescription": ""}
    return {"PartnerEarnedCreditPercentage": "0", "CreditType": "Credit Not Applied"}


def _dearer(line: Line, site: InjectionSite) -> tuple[Line, Fraction] | None:
    """Return a dearer list price and the price before rounding that it leads to."""
    factor, listed, price = site.draws.pick(_DEARER), number(line, "UnitPrice"), number(line, "EffectiveUnitPrice")
    if sort_of(line) is not LineSort.LICENCE:
        kept = EARNED_CREDIT_KEPT if earns_credit(line) else ONE
        return {"UnitPrice": written(listed * factor)}, listed * factor * kept
    dearer = half_up(listed * factor)
    if dearer == listed:
        return None
    for promotion in (ONE, _NINE_TENTHS):
        if price == listed * promotion:
            return {"UnitPrice": written(dearer)}, dearer * promotion
    days = Fraction(site.length_days + 1 - int(str(line["ChargeStartDate"])[_FIRST_DAY]), site.length_days)
    return ({"UnitPrice": written(dearer)}, half_up(dearer * days)) if price == half_up(listed * days) else None


def _unit_price_shares(line: Line, changes: Line) -> BothShares:
    return {UNIT_PRICE: number(line, "UnitPrice")}, {UNIT_PRICE: number(changes, "UnitPrice")}


def _prorated(line: Line, site: InjectionSite, more: Line) -> Injected | None:
    if (line["ChargeStartDate"], line["ChargeEndDate"]) != (site.day(1), site.last_day()):
        return None
    first = 2 + site.draws.below(site.length_days - 1)
    share = Fraction(site.length_days + 1 - first, site.length_days)
    before = number(line, "EffectiveUnitPrice")
    price = half_up(before * share)
    if price in (0, before):
        return None
    changes = more | {"ChargeStartDate": site.day(first)}
    return LICENCE.varied(line, changes, price, ({PRORATION: ONE}, {PRORATION: share}))


def _discounted(line: Line, site: InjectionSite, more: Line) -> Injected | None:
    formula = FORMULAS[sort_of(line)]
    share = Fraction(70 + site.draws.below(25), 100)
    price = formula.price_of(line) * share
    found = formula.varied(line, more, price, ({DISCOUNT: ONE}, {DISCOUNT: share}))
    if found is None or sort_of(line) is not LineSort.METERED:
        return found
    after = found.right[0]
    whole, shown = formula.price_of(line), number(after, "EffectiveUnitPrice")
    if (whole - shown) * number(after, formula.quantity) < CENT:
        return None  # nobody could tell it from cutting
    factors = (
        formula.factors(line, whole, {DISCOUNT: ONE}),
        formula.factors(after, shown, {DISCOUNT: share}),
    )
    return Injected((line,), (after,), true_causes(*factors, tax=tax_moved(line, after)))


def _in_billing_currency(line: Line, price: Fraction, net: Fraction) -> TrueFactors:
    per_unit = LICENCE.per_unit(price, ONE)
    return TrueFactors(net, number(line, LICENCE.quantity), price, ONE, per_unit, shares={UNIT_PRICE: price})
