"""The attributes by which lines of two sides are the same charge, and those that carry no money.

Keys compare in any letter case, and absent is as empty. Dates compare as they stand: no time zone moves a charge to
another day. The trap is ReferenceId: a GUID until June 2026, and JSON that holds the GUID as `id` since (wire/graph.md
18), so it counts by that `id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Final

import msgspec

from counterfoil.columns import EXTRA, LineItemTable, table_of
from counterfoil.model import Kind

Key = Callable[[Mapping[str, str]], str]
REFERENCE: Final = "ReferenceId"
# Documented to be empty on one of an unbilled and a billed line, or words that carry no money.
_WORDS: Final = {
    "InvoiceNumber", "BillingFrequency", "MpnId", "PartnerName", "CustomerName", "CustomerDomainName",
    "CustomerCountry", "SkuName", "ProductName", "ProductCategory", "PublisherName", "PublisherId", "AvailabilityId",
    "OrderDate", "SubscriptionDescription", "SubscriptionStartDate", "SubscriptionEndDate", "TermAndBillingCycle",
    "ProductQualifiers", "DiscountDetails", "EntitlementDescription", "MeterType", "MeterCategory",
    "MeterSubCategory", "MeterName", "CreditType", "PriceAdjustmentDescription", "Tags", "PCToBCExchangeRateDate",
    "HasPartnerEarnedCredit", EXTRA,
}  # fmt: skip
_WORDS_BY_KIND: Final = {Kind.USAGE: {"Tier2MpnId"}, Kind.RECONCILIATION: set[str]()}
_CHARGE: Final = {
    Kind.USAGE: (
        "CustomerId", "SubscriptionId", "EntitlementId", "ProductId", "SkuId", "MeterId", "ResourceURI", "UsageDate",
        "ChargeType", "UnitType", "AdditionalInfo",
    ),
    Kind.RECONCILIATION: (
        "CustomerId", "SubscriptionId", "ProductId", "SkuId", "MeterDescription", "ChargeType", "ChargeStartDate",
        "ChargeEndDate",
    ),
}  # fmt: skip
_ORDER: Final = "OrderId"
_CHARGE_OF_ANY_DATES: Final = ("CustomerId", "SubscriptionId", "ProductId", "SkuId", "ChargeType")
# An order or a reference that changed alone is found before: the charge is the same.
_IDS: Final = ("CustomerId", "SubscriptionId", "ProductId", "SkuId", "EntitlementId")
_AMOUNTS: Final = {
    Kind.USAGE: ("BillingPreTaxTotal", "Quantity", "EffectiveUnitPrice"),
    Kind.RECONCILIATION: ("Subtotal", "BillableQuantity", "EffectiveUnitPrice"),
}


@dataclass(frozen=True)
class LineKeys:
    """The keys of one kind of line item. A key is one text, whatever it is made of."""

    kind: Kind

    @property
    def table(self) -> LineItemTable:
        """The attributes of the kind."""
        return table_of(self.kind)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All attributes of the kind, and Extra."""
        return (*(column.name for column in self.table.columns), EXTRA)

    @cached_property
    def alone(self) -> frozenset[str]:
        """The attributes whose values hardly repeat."""
        return frozenset(column.name for column in self.table.columns if column.alone)

    @cached_property
    def words(self) -> frozenset[str]:
        """The attributes that carry no money, or are documented to differ."""
        return frozenset((_WORDS | _WORDS_BY_KIND[self.kind]).intersection(self.names))

    @property
    def place(self) -> tuple[str, str, str]:
        """The attributes that sides are sorted by, byte for byte."""
        return ("CustomerId", "SubscriptionId", self.table.date)

    @property
    def amounts(self) -> tuple[str, str, str]:
        """The net amount, the quantity and the price."""
        return _AMOUNTS[self.kind]

    @cached_property
    def without_words(self) -> Key:
        """All but what carries no money."""
        return _key(name for name in self.names if name not in self.words)

    @cached_property
    def same_charge(self) -> Key:
        """What makes two lines one charge."""
        return _key(self._of_charge)

    @cached_property
    def other_order(self) -> Key | None:
        """The same without the order; None where lines name none."""
        return _key(_CHARGE[self.kind]) if self.kind is Kind.RECONCILIATION else None

    @cached_property
    def other_dates(self) -> Key | None:
        """The same without dates, for licences; None for usage, where it would pair strangers."""
        return _key(_CHARGE_OF_ANY_DATES) if self.kind is Kind.RECONCILIATION else None

    @cached_property
    def moved(self) -> tuple[Key, ...]:
        """For each id all but it, and but what carries no money."""
        return tuple(
            _key(name for name in self.names if name not in self.words and name != moved)
            for moved in _IDS
            if moved in self.names
        )

    @cached_property
    def moved_and_changed(self) -> tuple[Key, ...]:
        """For each id what makes two lines one charge, but it."""
        return tuple(_key(name for name in self._of_charge if name != moved) for moved in _IDS if moved in self.names)

    @cached_property
    def without_ids(self) -> Key:
        """What all of `moved` and `moved_and_changed` have in common."""
        return _key(name for name in self._of_charge if name not in _IDS)

    @property
    def _of_charge(self) -> tuple[str, ...]:
        return (*_CHARGE[self.kind], *((_ORDER,) if self.kind is Kind.RECONCILIATION else ()))

    @cached_property
    def exact_place(self) -> Key:
        """`place`, byte for byte."""
        joined = itemgetter(*self.place)
        return lambda attributes: "\0".join(joined(attributes))

    @cached_property
    def within(self) -> Key:
        """What all keys but `moved` have in common: upgrades of licences go from one subscription to another."""
        names = ("CustomerId", "SubscriptionId") if self.kind is Kind.USAGE else ("CustomerId",)
        return lambda attributes: "\0".join(attributes[name] for name in names).lower()


def reference_of(attributes: Mapping[str, str]) -> str:
    """Return the inner id of a ReferenceId, in lower case."""
    text = attributes.get(REFERENCE) or ""
    if text.startswith("{"):
        try:
            return msgspec.json.decode(text, type=_Reference).id.lower() or text.lower()
        except msgspec.MsgspecError:  # whatever it is, it counts as it stands
            return text.lower()
    return text.lower()


class _Reference(msgspec.Struct):
    id: str


def _key(names: Iterable[str]) -> Key:
    chosen = tuple(names)
    plain = itemgetter(*(name for name in chosen if name != REFERENCE))
    if REFERENCE not in chosen:
        return lambda attributes: "\0".join(plain(attributes)).lower()
    return lambda attributes: "\0".join((*plain(attributes), reference_of(attributes))).lower()
