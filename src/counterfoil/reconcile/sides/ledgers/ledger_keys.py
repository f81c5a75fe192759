"""Which attributes tell what a charge is for, from the customer down: by these a ledger's lines find their charges."""

from __future__ import annotations

from typing import Final

CUSTOMER: Final = ("CustomerId", "CustomerDomainName", "CustomerName")
PRODUCT: Final = ("ProductId", "ProductName")
KEYS: Final = (*CUSTOMER, "SubscriptionId", "SubscriptionDescription", *PRODUCT, "SkuId", "SkuName")
# Of several that name one thing, the first that is mapped counts: a name is spelled in more ways than an id.
SAME_THING: Final = (CUSTOMER, ("SubscriptionId", "SubscriptionDescription"), PRODUCT, ("SkuId", "SkuName"))


def keys_that_count(mapped: tuple[str, ...]) -> tuple[str, ...]:
    """Return, of the attributes that are mapped, the one of each thing by which lines are matched."""
    first = (next((name for name in names if name in mapped), None) for names in SAME_THING)
    return tuple(name for name in first if name is not None)


def stand_ins(mapped: tuple[str, ...]) -> dict[str, str]:
    """Return, for each id that is not mapped, the name of the same thing that stands in for it."""
    return {names[0]: counts for names in SAME_THING for counts in keys_that_count(mapped) if counts in names[1:]}


def ids_that_count(mapped: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids by which lines are matched, those included that a name stands in for."""
    return tuple(names[0] for names in SAME_THING if any(name in mapped for name in names))
