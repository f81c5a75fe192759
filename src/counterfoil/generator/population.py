"""Who buys: the partner, its resellers, its customers and their subscriptions.

Everything depends on the partner and the seed alone, so that both kinds, and every month, have the same customers; a
larger file has more of them, and the first ones stay. The first customers and subscriptions are the big ones: picking
by `skewed` gives a heavy tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

from counterfoil.generator.draws import Draws
from counterfoil.generator.spelling import compact
from counterfoil.generator.vocabulary import vocabulary

SKEW_BITS = 20
_CUSTOMERS_MAX = 6000
_SUBSCRIPTIONS_OF_ONE_MAX = 5


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer tenant, and what line items state of it; `reseller` is empty where the partner sells directly."""

    described: Mapping[str, str]
    tax_thousandths: int
    reseller: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """An Azure plan of a customer (`id`), and one Azure subscription under it (`entitlement`)."""

    customer: Customer
    id: str
    entitlement: str
    entitlement_name: str
    earns_credit: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """A partner's whole world."""

    partner: str
    partner_name: str
    mpn_id: str
    subscriptions: tuple[Subscription, ...]
    tags: tuple[str, ...]


def populate(partner: str, seed: int, line_items: int, resellers: int) -> Population:
    """Return the population for a file of so many line items: thousands of customers for a million."""
    own = Draws("partner", partner)
    name = own.pick(vocabulary().partner_names)
    mpn_id = _partner_id(own)
    reseller_ids = tuple(_partner_id(Draws("reseller", partner, number)) for number in range(resellers))
    subscriptions: list[Subscription] = []
    for number in range(min(max(12, 2 * isqrt(line_items)), _CUSTOMERS_MAX)):
        draws = Draws("customer", partner, seed, number)
        customer = _customer(draws, number, reseller_ids)
        subscriptions += [_subscription(draws, customer) for _ in range(1 + draws.below(_SUBSCRIPTIONS_OF_ONE_MAX))]
    tags = tuple(_tags(Draws("tags", partner, seed, number)) for number in range(min(16 + isqrt(line_items), 512)))
    return Population(partner, name, mpn_id, tuple(subscriptions), tags)


def skewed(bits: int, count: int) -> int:
    """Turn SKEW_BITS bits into an index below `count`: the first comes up most, by the cube root of its share."""
    return (bits * bits * bits * count) >> 3 * SKEW_BITS


def _partner_id(draws: Draws) -> str:
    return str(1_000_000 + draws.below(6_000_000))


def _customer(draws: Draws, number: int, resellers: tuple[str, ...]) -> Customer:
    country, tax = draws.pick(vocabulary().countries)
    # One customer in eight buys from the partner itself.
    reseller = "" if not resellers or draws.one_in(8) else draws.pick(resellers)
    described = {
        "CustomerId": draws.guid(),
        "CustomerName": _name(draws),
        "CustomerDomainName": f"customer{number:05}.example",
        "CustomerCountry": country,
    }
    return Customer(described, tax, reseller)


def _name(draws: Draws) -> str:
    style = draws.below(16)
    if style == 0:
        return draws.pick(vocabulary().awkward_names)
    if style <= 3:
        return f"{draws.pick(vocabulary().foreign_names)} {draws.pick(vocabulary().legal_forms)}"
    first, second = draws.pick(vocabulary().first_words), draws.pick(vocabulary().second_words)
    return f"{first} {second} {draws.pick(vocabulary().legal_forms)}"


def _subscription(draws: Draws, customer: Customer) -> Subscription:
    stage = draws.pick(("prod", "dev", "test", "Produktion", "sandbox"))
    groups = tuple(f"{draws.pick(('rg', 'RG', 'team'))}-{stage}-{draws.code(4)}" for _ in range(4))
    return Subscription(
        customer=customer,
        id=draws.guid(),
        entitlement=draws.guid(),
        entitlement_name=f"{customer.described['CustomerName']} – {stage}"
        if draws.one_in(3)
        else f"Azure subscription {stage}",
        earns_credit=not draws.one_in(7),
        groups=groups,
    )


def _tags(draws: Draws) -> str:
    """Return tags as Azure gives them: a JSON object with scalar members in a text, or an empty text."""
    count = draws.below(6)
    chosen = {draws.pick(vocabulary().tag_keys): draws.pick(vocabulary().tag_values) for _ in range(count)}
    return compact(chosen) if chosen else ""
