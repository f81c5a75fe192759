"""One line item by itself: how each of its amounts comes about, in words, and which rules it breaks.

The sentences are those of `explaining.sentences`, so that an audit and the explanation of a difference say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from counterfoil.model import Kind
from counterfoil.reconcile.auditing.amount_rules import AMOUNT_RULES
from counterfoil.reconcile.auditing.rounding_rules import ROUNDING_RULES
from counterfoil.reconcile.auditing.rule import NET, AuditRule, Facts, own_name
from counterfoil.reconcile.auditing.word_rules import WORD_RULES
from counterfoil.reconcile.explaining import Charge, Reckoning, charge_of, reckon
from counterfoil.reconcile.explaining import arithmetic as exact

_PRICING = "PricingPreTaxTotal"


@dataclass(frozen=True, slots=True)
class ReckonedAmount:
    """How one amount of a line item comes about."""

    attribute: str
    reckoning: Reckoning

    def to_json(self) -> dict[str, object]:
        """Return the members, amounts with all their digits."""
        return {
            "attribute": self.attribute,
            "rounding": self.reckoning.rule.value,
            "sentence": self.reckoning.sentence,
            "result": f"{self.reckoning.result:f}",
            "also": [each.value for each in self.reckoning.also],
        }


def reckoned(attributes: Mapping[str, str | None], kind: Kind) -> tuple[ReckonedAmount, ...]:
    """Return how the amount before tax of a line item comes about; of daily use, first that in the pricing currency.

    Raises InputError for a line item without an amount, or with a text that is no number or date.
    """
    net_name = own_name(NET, kind)
    charge = charge_of(attributes, kind)
    pricing = Facts(kind, attributes).number(_PRICING) if kind is Kind.USAGE else None
    if pricing is None:
        allowed = exact.ZERO if kind is Kind.USAGE else exact.CENT
        return (ReckonedAmount(net_name, reckon(charge, allowed=allowed)),)
    before = replace(charge, net=pricing, rate=None, credit=exact.ZERO)
    by_price, by_list_price = reckon(before), reckon(replace(before, price=before.list_price, earned_credit=exact.ZERO))
    is_listed = not by_price.is_known and by_list_price.is_known
    of_pricing = ReckonedAmount(_PRICING, by_list_price if is_listed else by_price)
    # The rate takes the place of the quantity: what is multiplied with it is rounded already.
    rate = exact.ONE if charge.rate is None else charge.rate
    from_pricing, from_price = reckon(Charge(charge.net, rate, price=pricing, metered=True)), reckon(charge)
    is_whole = not from_pricing.is_known and from_price.is_known
    return of_pricing, ReckonedAmount(net_name, from_price if is_whole else from_pricing)


def broken_rules(attributes: Mapping[str, str | None], kind: Kind) -> tuple[AuditRule, ...]:
    """Return the rules of the audit that a line item breaks, of those that look at one line item alone."""
    facts = Facts(kind, attributes)
    rules = (*ROUNDING_RULES, *AMOUNT_RULES, *WORD_RULES)
    return tuple(rule for rule in rules if kind in rule.kinds and rule.check is not None and rule.check(facts) is False)


def in_numbers(rule: AuditRule) -> str:
    """Return the example of a rule that rounds, with its numbers put in; '' for any other rule."""
    kind = Kind.USAGE if Kind.USAGE in rule.kinds else Kind.RECONCILIATION
    net = own_name(NET, kind)
    given = dict(rule.passes)
    if rule not in ROUNDING_RULES:
        return ""
    if net not in given:
        given[net] = given[_PRICING]
        given.pop(_PRICING)
    return reckoned(given, kind)[-1].reckoning.sentence
