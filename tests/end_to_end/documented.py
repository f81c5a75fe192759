"""Line items as Microsoft's references have them, in plain Python: what each stored form of an input line must hold.

Nothing of Counterfoil is used here, and its table of columns least of all: the attributes are typed in from the
references of both APIs, and the codecs are written a second time. `-` marks what the basic set leaves out.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

RECONCILIATION = """
PartnerId CustomerId CustomerName CustomerDomainName- CustomerCountry- InvoiceNumber MpnId- Tier2MpnId OrderId
OrderDate:date ProductId SkuId AvailabilityId SkuName ProductName ChargeType UnitPrice:number Quantity:number-
Subtotal:number TaxTotal:number Total:number Currency PriceAdjustmentDescription PublisherName PublisherId-
SubscriptionDescription- SubscriptionId ChargeStartDate:date ChargeEndDate:date TermAndBillingCycle
EffectiveUnitPrice:number UnitType- AlternateId- BillableQuantity:number BillingFrequency- PricingCurrency
PCToBCExchangeRate:number PCToBCExchangeRateDate:date- MeterDescription- ReservationOrderId CreditReasonCode
SubscriptionStartDate:date SubscriptionEndDate:date ReferenceId ProductQualifiers- PromotionId ProductCategory
"""
USAGE = """
PartnerId PartnerName CustomerId CustomerName CustomerDomainName- CustomerCountry- MpnId- Tier2MpnId-
InvoiceNumber ProductId SkuId AvailabilityId- SkuName ProductName- PublisherName PublisherId-
SubscriptionDescription- SubscriptionId ChargeStartDate:date ChargeEndDate:date UsageDate:date MeterType-
MeterCategory- MeterId- MeterSubCategory- MeterName- MeterRegion- Unit- ResourceLocation- ConsumedService-
ResourceGroup- ResourceURI ChargeType UnitPrice:number Quantity:number UnitType BillingPreTaxTotal:number
BillingCurrency PricingPreTaxTotal:number PricingCurrency ServiceInfo1- ServiceInfo2- Tags- AdditionalInfo
EffectiveUnitPrice:number PCToBCExchangeRate:number EntitlementId EntitlementDescription-
PartnerEarnedCreditPercentage:number- CreditPercentage:number CreditType BenefitOrderID BenefitID- BenefitType
"""
ATTRIBUTES = {"reconciliation": RECONCILIATION.split(), "usage": USAGE.split()}
TOTALS = {"reconciliation": ("Subtotal", "TaxTotal", "Total"), "usage": ("BillingPreTaxTotal",)}
DATE_OF = {"reconciliation": "ChargeStartDate", "usage": "UsageDate"}
# Attributes that only v1 knows: columns of the lake, and part of what a line item is, wherever they stand.
ONLY_V1 = {"reconciliation": ("DiscountDetails",), "usage": ("PCToBCExchangeRateDate", "HasPartnerEarnedCredit")}
V1_NAMES = {
    "Tier2MpnId": "resellerMpnId",
    "Total": "totalForCustomer",
    "Unit": "unitOfMeasure",
    "ResourceURI": "resourceUri",
    "PCToBCExchangeRate": "pcToBCExchangeRate",
    "PCToBCExchangeRateDate": "pcToBCExchangeRateDate",
    "PartnerEarnedCreditPercentage": "rateOfPartnerEarnedCredit",
    "CreditPercentage": "rateOfCredit",
    "BenefitOrderID": "benefitOrderId",
    "BenefitID": "benefitId",
}
V1_CONSTANTS = {
    "reconciliation": {
        "invoiceLineItemType": "billing_line_items",
        "billingProvider": "one_time",
        "attributes": {"objectType": "OneTimeInvoiceLineItem"},
    },
    "usage": {
        "invoiceLineItemType": "usage_line_items",
        "billingProvider": "marketplace",
        "attributes": {"objectType": "DailyRatedUsageLineItem"},
    },
}
RATES = {"0": "0", "15": "0.15", "100": "1"}  # all percentages that the generator writes
EXACT = Context(prec=200)


class Number(str):
    """A JSON number as the text that stood there; equal to the same text only, and to no string."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and str.__eq__(self, other)

    def __hash__(self) -> int:
        return hash(("number", str(self)))

    def __repr__(self) -> str:
        return f"<{self!s}>"


def _constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a key is given twice: {pairs}"
    return found


def strict(text: str | bytes) -> Any:
    """Parse JSON: no key twice, no NaN, and every number kept as its text."""
    return json.loads(text, object_pairs_hook=_members, parse_int=Number, parse_float=Number, parse_constant=_constant)


class Expected:
    """What becomes of an input line (Graph's spelling) in the lake, in both sets of Graph, and in v1."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        spelled = [attribute.rstrip("-") for attribute in ATTRIBUTES[kind]]
        self.names = [attribute.partition(":")[0] for attribute in spelled]
        self.types = dict(zip(self.names, (each.partition(":")[2] or "text" for each in spelled), strict=True))
        self.basic_names = [
            name for name, written in zip(self.names, ATTRIBUTES[kind], strict=True) if not written.endswith("-")
        ]

    def stored(self, line: dict[str, Any]) -> dict[str, Any]:
        """The text of each attribute, None for what is not there; and what we do not know, by name."""
        for name, value in line.items():
            type_ = self.types.get(name)
            assert value is None or type_ is None or isinstance(value, Number) == (type_ == "number"), (name, value)
        known = {name: line[name] for name in self.names}
        return {name: None if value == "" and self.types[name] != "text" else value for name, value in known.items()}

    def unknown(self, line: dict[str, Any]) -> dict[str, Any]:
        """The attributes that no reference has."""
        return {name: value for name, value in line.items() if name not in self.types}

    def full(self, line: dict[str, Any]) -> list[tuple[str, Any]]:
        """Graph's full set, in order: '' for a text that is not there, nothing for the rest; unknown ones last."""
        return [*self._graph(line, self.names), *self.unknown(line).items()]

    def basic(self, line: dict[str, Any]) -> list[tuple[str, Any]]:
        """Graph's basic set, in order."""
        return self._graph(line, self.basic_names)

    def _graph(self, line: dict[str, Any], names: list[str]) -> list[tuple[str, Any]]:
        stored = self.stored(line)
        there = [name for name in names if stored[name] is not None or self.types[name] == "text"]
        return [(name, "" if stored[name] is None else stored[name]) for name in there]

    def v1(self, line: dict[str, Any]) -> dict[str, Any]:
        """The v1 resource: what is absent is left out."""
        found: dict[str, Any] = {}
        for name, value in self.stored(line).items():
            if value is not None and name != "ProductCategory":
                found[V1_NAMES.get(name, name[0].lower() + name[1:])] = self._in_v1(name, value)
        return found | self.unknown(line) | V1_CONSTANTS[self.kind]

    def _in_v1(self, name: str, value: Any) -> Any:
        if name == "ProductQualifiers":
            return json.loads(value) if value else []
        if name == "Tier2MpnId" and self.kind == "reconciliation" and value == "":
            return "0"
        if name in {"PartnerEarnedCreditPercentage", "CreditPercentage"}:
            return Number(RATES[str(value)])
        if name == "ChargeType":
            return {"purchase": "New", "refund": "Cancel"}.get(value.lower(), value)
        return value

    def lake(self, line: dict[str, Any], extra: str | None) -> dict[str, Any]:
        """A row of the lake: the exact texts, numbers also as DECIMAL(28,15) and dates also as moments in UTC.

        `extra` is the unknown ones' own text.
        """
        row: dict[str, Any] = {}
        for name in ONLY_V1[self.kind]:
            row |= {name: None, f"{name}Text": None} if name.endswith("Date") else {name: None}
        for name, value in self.stored(line).items():
            if self.types[name] == "number":
                row[f"{name}Text"] = None if value is None else str(value)
                row[name] = None if value is None else _decimal(value)
            elif self.types[name] == "date":
                row[f"{name}Text"] = value
                row[name] = None if value is None else _moment(value)
            else:
                row[name] = value
        return row | {"Extra": extra, "LineItemSha256": self.digest(line)}

    def sort_key(self, line: dict[str, Any], extra: str | None) -> tuple[bytes, bytes, bytes, bytes]:
        """Where a line item stands: customer, subscription, date, and the SHA-256 of all its texts."""
        stored = self.stored(line)
        date = stored[DATE_OF[self.kind]]
        return stored["CustomerId"].encode(), stored["SubscriptionId"].encode(), date.encode(), self.digest(line)

    def digest(self, line: dict[str, Any]) -> bytes:
        """The SHA-256 of a line item, from its definition: names in lower case, then texts, of what has a value."""
        values = {name.lower(): value for name, value in line.items() if value is not None and value != ""}
        texts = {name: value if type(value) is str else _compact(value) for name, value in values.items()}
        names = sorted(texts)
        form = hashlib.sha256("\0".join(names).encode()).digest() + "\0".join(texts[name] for name in names).encode()
        return hashlib.sha256(form).digest()


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_compact(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _decimal(text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("1E-15"), ROUND_HALF_EVEN, EXACT)


def etag(kind: str, partner: str, scope: tuple[str, str, str], digests: list[bytes]) -> str:
    """The eTag, from its definition."""
    together = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
    parts = ("counterfoil-etag-2", kind, partner, *scope, str(len(digests)), together)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
