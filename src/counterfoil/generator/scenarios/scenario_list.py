"""Every scenario by name: what it changes, and of which line items it can be made."""

from __future__ import annotations

from typing import Final

from counterfoil.errors import UsageError
from counterfoil.generator.scenarios import amount_scenarios as amounts
from counterfoil.generator.scenarios import factor_scenarios as factors
from counterfoil.generator.scenarios import key_scenarios as keys
from counterfoil.generator.scenarios import one_sided_scenarios as one_sided
from counterfoil.generator.scenarios import subscription_scenarios as subscriptions
from counterfoil.generator.scenarios.injections import Injection, LineSort, Scenario
from counterfoil.model import Kind

ALL: Final = "all"
_LICENCES, _METERED, _USAGE = LineSort.LICENCE, LineSort.METERED, LineSort.USAGE
_INVOICED, _USED = (_LICENCES, _METERED), (_METERED, _USAGE)
_EACH = (_LICENCES, _METERED, _USAGE)


def _scenario(
    name: str, summary: str, injection: Injection, sorts: tuple[LineSort, ...] = _EACH, *, mirrors: bool = True
) -> Scenario:
    return Scenario(name, summary, dict.fromkeys(sorts, injection), mirrors)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    _scenario("quantity", "more seats, or more use", factors.quantity),
    _scenario("unit-price", "a dearer list price", factors.unit_price),
    _scenario("trial-to-paid", "a free trial that is charged for", factors.trial_to_paid, (_LICENCES,)),
    _scenario("pricing-currency", "priced in another currency", factors.pricing_currency, (_LICENCES,)),
    _scenario("proration", "charged for a part of the month", factors.proration, (_LICENCES,)),
    _scenario("earned-credit", "partner earned credit is lost", factors.earned_credit, _USED),
    _scenario("covered-by-credit", "an Azure credit pays for the use", factors.covered_by_credit, (_USAGE,)),
    _scenario("discount", "a promotion", factors.discount),
    _scenario("exchange-rate", "another rate to the billing currency", factors.exchange_rate),
    _scenario("rounding", "rounded per line, to cents", amounts.rounding),
    _scenario("tax-rate", "another rate of tax", amounts.tax_of_another_rate, _INVOICED),
    _scenario("tax-amount", "a tax that no rate gives", amounts.tax_of_another_amount, _INVOICED),
    _scenario("misstated", "a net amount that does not follow from price and quantity", amounts.misstated),
    _scenario("misstated-total", "a total that is not net and tax", amounts.total_that_does_not_add_up, _INVOICED),
    _scenario("duplicate", "a line item twice", one_sided.duplicate),
    _scenario("late-usage", "use of the month before", one_sided.late_usage, _USED),
    _scenario("other-period", "a charge of the month after", one_sided.other_period),
    _scenario("cancelled", "a charge that is taken back", one_sided.cancelled),
    _scenario("credit", "money that is given back", one_sided.credit),
    _scenario("new", "a line item that came", one_sided.new, mirrors=False),
    _scenario("new-customer", "the first line item of a customer", one_sided.new_customer),
    _scenario("vanished", "a line item that went", one_sided.vanished, mirrors=False),
    _scenario("customer-changed", "the same charge of another customer", keys.key_changed("CustomerId")),
    _scenario("subscription-changed", "of another subscription", keys.key_changed("SubscriptionId")),
    _scenario("product-changed", "of another product", keys.key_changed("ProductId")),
    _scenario("sku-changed", "of another SKU", keys.key_changed("SkuId")),
    _scenario("entitlement-changed", "of another Azure subscription", keys.key_changed("EntitlementId"), (_USAGE,)),
    _scenario("order-changed", "the same charge under another order", keys.order_changed, _INVOICED),
    _scenario("reference-changed", "under another reference", keys.reference_changed, _INVOICED),
    _scenario("seats-added", "a refund and a charge for more seats", subscriptions.seats_added, (_LICENCES,)),
    _scenario("seats-removed", "a refund and a charge for fewer seats", subscriptions.seats_removed, (_LICENCES,)),
    _scenario("conversion", "a refund of one product and a charge of another", subscriptions.converted, (_LICENCES,)),
    _scenario("words", "other names, tags and frequencies, and no money", keys.words),
    _scenario("quantity-and-unit-price", "more, and dearer", factors.quantity_and_unit_price),
    _scenario("quantity-and-exchange-rate", "more, at another rate", factors.quantity_and_exchange_rate),
    _scenario("quantity-and-proration", "more, for fewer days", factors.quantity_and_proration, (_LICENCES,)),
    _scenario("quantity-and-discount", "more, at a discount", factors.quantity_and_discount),
    _scenario("unit-price-and-discount", "dearer, at a discount", factors.unit_price_and_discount, (_LICENCES, _USAGE)),
    _scenario("everything", "more, dearer, at other rates of exchange and tax", factors.everything, _INVOICED),
    _scenario("quantity-and-misstated", "more, and an amount that does not follow", amounts.quantity_and_misstated),
    _scenario("customer-changed-and-quantity", "of another customer, and more", keys.customer_changed_and_quantity),
)
_BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}


def scenarios_of(kind: Kind) -> tuple[str, ...]:
    """Return the names of the scenarios that line items of this kind can tell of."""
    sorts = {_USAGE} if kind is Kind.USAGE else {_LICENCES, _METERED}
    return tuple(scenario.name for scenario in SCENARIOS if sorts & scenario.injections.keys())


def chosen(name: str, kind: Kind) -> tuple[Scenario, ...]:
    """Return the scenario of this name, or each of the kind for `all`; raises UsageError for another name."""
    names = scenarios_of(kind)
    if name != ALL and name not in names:
        raise UsageError(
            f"There is no scenario {name!r} of {kind} line items.",
            remedy=f"Take {ALL}, or one of {', '.join(names)}.",
            parameter="scenario",
        )
    return tuple(_BY_NAME[each] for each in names if name in (ALL, each))
