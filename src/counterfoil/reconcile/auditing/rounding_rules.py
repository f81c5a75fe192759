"""The rules of arithmetic that round. No single rounding is Microsoft's: its own examples use three.

So each rule is a set of named ways, and the audit counts which of them explains how many line items. A line item that
several ways explain is undecided: it does not tell which of them is in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from counterfoil.model import Kind
from counterfoil.reconcile.auditing import quick_roundings
from counterfoil.reconcile.auditing.columns_read import BatchColumns
from counterfoil.reconcile.auditing.quick_roundings import QuickRoundings
from counterfoil.reconcile.auditing.rule import (
    METERED_BY,
    NET,
    QUANTITY,
    RECONCILIATION,
    USAGE,
    AuditRule,
    Facts,
    Severity,
)
from counterfoil.reconcile.explaining import arithmetic as exact
from counterfoil.reconcile.explaining.roundings import Priced, Rounding

_LICENCES: Final = (
    Rounding.CUT_PER_UNIT,
    Rounding.CUT_PER_LINE,
    Rounding.HALF_UP_PER_UNIT,
    Rounding.HALF_UP_PER_LINE,
)
_METERED: Final = (Rounding.CUT_TWICE, Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_LINE)
_USAGE: Final = (Rounding.NONE, Rounding.DIGITS, Rounding.CUT_PER_LINE, Rounding.HALF_UP_PER_LINE)
_FIFTEEN: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
_DIGITS_SHOWN_MIN: Final = 3  # fewer are a rounding to cents, and not the digits of a computation


@dataclass(frozen=True, slots=True)
class Explained:
    """How a line item's amount comes about.

    `ways`: every rounding that leads to it, none where the rule is broken. `others`: what each way that does not lead
    to it would have given more, if just one does. `allowed`: the cents by which it is off and is let pass.
    """

    ways: tuple[Rounding, ...]
    others: Mapping[Rounding, Decimal] = field(default_factory=dict)
    allowed: Decimal = exact.ZERO


Explain = Callable[[Facts], Explained | None]
Decide = Callable[[BatchColumns], QuickRoundings]


@dataclass(frozen=True, slots=True)
class RoundingRule(AuditRule):
    """A rule whose amounts are rounded in one of several ways; `explain` is None for a line it does not apply to.

    `decide` is what `explain` says of a whole batch, as far as it can be said at once.
    """

    explain: Explain = field(kw_only=True)
    decide: Decide = field(kw_only=True)


def _rounding_rule(
    id_: str,
    sentence: str,
    reads: tuple[str, ...],
    explain: Explain,
    decide: Decide,
    passes: Mapping[str, str],
    fails: Mapping[str, str],
    kinds: frozenset[Kind],
) -> RoundingRule:
    def check(facts: Facts) -> bool | None:
        explained = explain(facts)
        return None if explained is None else bool(explained.ways)

    source = "Microsoft: reconciliation file, billing scenarios"
    return RoundingRule(
        id_,
        sentence,
        Severity.ERROR,
        source,
        reads,
        check,
        passes,
        fails,
        kinds,
        explain=explain,
        decide=decide,
    )


def _priced(facts: Facts, *, metered: bool) -> Priced | None:
    if facts.net is None or facts.price is None or facts.quantity is None:
        return None
    return Priced(facts.net, facts.quantity, facts.price, facts.rate, metered, exact.CENT)


def _told(net: Decimal, results: Mapping[Rounding, Decimal]) -> Explained | None:
    ways = tuple(way for way, result in results.items() if result == net)
    if not ways:
        return None
    others = {way: exact.subtract(result, net) for way, result in results.items() if result != net}
    return Explained(ways, others if len(ways) == 1 else {})


def _of_ways(priced: Priced, ways: Sequence[Rounding]) -> Explained | None:
    return _told(priced.net, {way: priced.by(way) for way in ways})


def _licence(facts: Facts) -> Explained | None:
    if facts.metered:
        return None
    priced = _priced(facts, metered=False)
    if priced is None:
        return None
    found = _of_ways(priced, _LICENCES)
    if found is None and facts.metered is None:  # the basic attribute set: either formula may be meant
        found = _of_use(priced)
    if found is None and priced.net == priced.value:
        found = Explained((Rounding.NONE,))
    return found or Explained(())


def _metered(facts: Facts) -> Explained | None:
    if not facts.metered:
        return None
    priced = _priced(facts, metered=True)
    return None if priced is None else _of_use(priced) or Explained(())


def _of_use(priced: Priced) -> Explained | None:
    found = _of_ways(priced, _METERED)
    if found is None and priced.net == priced.value:
        found = Explained((Rounding.NONE,))
    if found is None:
        # The effective price of a period was made from an amount that was cut: computed back, a cent may be missing.
        apart = exact.subtract(priced.net, priced.by(Rounding.CUT_TWICE))
        if exact.magnitude(apart) <= exact.CENT:
            found = Explained((Rounding.WITHIN_A_UNIT,), allowed=apart)
    return found


def _of_usage(amount: Decimal, values: Sequence[Decimal]) -> Explained:
    """Explain a daily amount by the first value that leads to it: whole, to the digits shown, or to cents."""
    for value in values:
        if amount == value:
            return Explained((Rounding.NONE,))
        if amount == _FIFTEEN.plus(value):
            return Explained((Rounding.DIGITS,))
    for value in values:
        results = {
            Rounding.CUT_PER_LINE: exact.rounded(value, exact.CENT, exact.CUT),
            Rounding.HALF_UP_PER_LINE: exact.rounded(value, exact.CENT, exact.HALF_UP),
        }
        if found := _told(amount, results):
            return found
        if _shows_digits(value, amount):
            return Explained((Rounding.DIGITS,))
    return Explained(())


def _shows_digits(value: Decimal, amount: Decimal) -> bool:
    """Whether an amount is a value to its digits, or one off in the last: Microsoft's sample went through a double."""
    places = exact.places_shown(amount)
    apart = exact.magnitude(exact.subtract(amount, value))
    return places >= _DIGITS_SHOWN_MIN and apart <= exact.ONE.scaleb(-places)


def _pricing_total(facts: Facts) -> Explained | None:
    amount, listed = facts.number("PricingPreTaxTotal"), facts.number("UnitPrice")
    if amount is None or facts.price is None or facts.quantity is None:
        return None
    prices = [facts.price] if listed is None else [facts.price, listed]
    return _of_usage(amount, [exact.multiply(price, facts.quantity) for price in prices])


def _billing_total(facts: Facts) -> Explained | None:
    before = facts.number("PricingPreTaxTotal")
    if facts.net is None or before is None or not facts.text("PCToBCExchangeRate"):
        return None
    values = [exact.multiply(before, facts.rate)]
    if facts.price is not None and facts.quantity is not None:
        values.append(exact.product(facts.price, facts.quantity, facts.rate))
    return _of_usage(facts.net, values)


_PRICED: Final = (NET, "EffectiveUnitPrice", QUANTITY, "PCToBCExchangeRate", *METERED_BY)
_SEATS: Final = {"Currency": "EUR", "UnitType": "Licenses"}
_USE: Final = {"UsageDate": "2026-10-05T00:00:00Z", "BillingCurrency": "EUR"}
_D4: Final = {"MeterDescription": "D4", "EffectiveUnitPrice": "0.737586206896552", "BillableQuantity": "29"}
_RATE: Final = {"PCToBCExchangeRate": "0.846202666"}

ROUNDING_RULES: Final = (
    _rounding_rule(
        "subtotal-licence",
        "The Subtotal of a licence is EffectiveUnitPrice x rate x BillableQuantity, rounded per unit or per line.",
        _PRICED, _licence, quick_roundings.licences,
        _SEATS | _RATE | {"Subtotal": "465.25", "EffectiveUnitPrice": "22", "BillableQuantity": "25"},
        _SEATS | _RATE | {"Subtotal": "465.75", "EffectiveUnitPrice": "22", "BillableQuantity": "25"}, RECONCILIATION,
    ),
    _rounding_rule(
        "subtotal-metered",
        "A metered Subtotal is EffectiveUnitPrice x BillableQuantity, cut to cents, x rate, cut again; or a cent off.",
        _PRICED, _metered, quick_roundings.metered_use,
        _D4 | _RATE | {"Subtotal": "18.10"}, _D4 | _RATE | {"Subtotal": "18.18"}, RECONCILIATION,
    ),
    _rounding_rule(
        "usage-pricing-total",
        "PricingPreTaxTotal is price (effective or list) x Quantity: whole, to the digits shown, or to cents.",
        ("PricingPreTaxTotal", "UnitPrice", "EffectiveUnitPrice", QUANTITY), _pricing_total,
        quick_roundings.pricing_totals,
        _USE | {"EffectiveUnitPrice": "0.0209951014286867", "Quantity": "23.350007",
                "PricingPreTaxTotal": "0.490235765325545"},
        _USE | {"UnitPrice": "1", "EffectiveUnitPrice": "1", "Quantity": "2", "PricingPreTaxTotal": "2.01"}, USAGE,
    ),
    _rounding_rule(
        "usage-billing-total",
        "BillingPreTaxTotal is PricingPreTaxTotal x rate: whole, to the digits shown, or to cents.",
        (NET, "PricingPreTaxTotal", "EffectiveUnitPrice", QUANTITY, "PCToBCExchangeRate"), _billing_total,
        quick_roundings.billing_totals,
        _USE | _RATE | {"PricingPreTaxTotal": "0.89313776775", "BillingPreTaxTotal": "0.75"},
        _USE | _RATE | {"PricingPreTaxTotal": "0.89313776775", "BillingPreTaxTotal": "0.77"}, USAGE,
    ),
)  # fmt: skip
