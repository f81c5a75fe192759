"""The table of columns: every attribute of both kinds of line item, and all its spellings.

Everything else derives from this table: the lake's schema, the rendered JSON, the checks on input, the page of
the documentation that lists the attributes. When Microsoft adds an attribute, one line is added here, anywhere in
its list: what is stored already keeps its hashes and renders as it was written.

Names are Microsoft Graph's; so is the order (which is also that of Partner Center's CSV files). `v1` is what
Partner Center REST v1 calls the same thing, and v1 is not a mere renaming: see `Codec`. Sources: the attribute
lists of the Graph reference (July 2025 edition), the two v1 pages, and the CSV headers.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache, partial
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from counterfoil.model import Kind


class Type(Enum):
    """What a value is. All are stored as the text that came in."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    FLAG = "flag"  # true or false


class Codec(Enum):
    """How a stored value becomes v1's, and back."""

    SAME = "same"
    RATE = "rate"  # 15 (a percentage) <-> 0.15 (a rate)
    RESELLER = "reseller"  # '' <-> '0': .NET reads a billing row's resellerMpnId as an integer
    LIST = "list"  # '["AddOn"]' (text holding JSON) <-> ["AddOn"] (an array)
    CHARGE_TYPE = "charge type"  # Purchase -> New, Refund -> Cancel; one way only
    PRESENT = "present"  # v1 readers fail when this text is absent: emit '' instead


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute. Its name is its permanent identity (see `identity_of`); its place in the table means nothing.

    `basic`: Graph's basic set holds it; `graph`: Graph has it at all. `v1` is None if v1 does not have it.

    `older` are the names of earlier editions of Microsoft's pages, as `folded` leaves them.

    Columns of one group change together, so that few of their combinations occur: `group` marks the first of each, and
    `alone` a column whose values hardly repeat, which is a group of its own.
    """

    name: str
    type: Type
    basic: bool = False
    v1: str | None = None
    codec: Codec = Codec.SAME
    graph: bool = True
    required: bool = False
    digits: bool = False  # a text of digits that some sources write as a JSON number
    group: bool = False
    alone: bool = False
    older: tuple[str, ...] = ()

    @property
    def is_id(self) -> bool:
        """Whether its values name something, and are worth nothing if one character of them is lost."""
        return self.type is Type.TEXT and self.name.endswith(_ENDS_OF_IDS)


_ENDS_OF_IDS: Final = ("Id", "ID", "InvoiceNumber")


@dataclass(frozen=True, slots=True)
class Spelling:
    """What an input name means: a column, and whether its value is in v1's form and must be decoded."""

    column: Column
    from_v1: bool


@dataclass(frozen=True)
class LineItemTable:
    """All columns of one kind, with the roles that some of them play."""

    kind: Kind
    columns: tuple[Column, ...]
    currency: str
    date: str
    totals: tuple[str, ...]
    v1_object_type: str
    v1_line_item_type: str
    v1_billing_provider: str
    constants: frozenset[str] = field(
        default=frozenset({"invoicelineitemtype", "billingprovider", "attributes", "attributes/objecttype"})
    )

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.kind, self.columns))

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by their Graph (lake) name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the attributes without which a line item is refused."""
        return tuple(column.name for column in self.columns if column.required)

    @cached_property
    def graph_full(self) -> tuple[Column, ...]:
        """The attributes of Graph's full set, in order."""
        return tuple(column for column in self.columns if column.graph)

    @cached_property
    def v1_columns(self) -> tuple[Column, ...]:
        """The attributes v1 knows, in our order (readers of v1 do not mind the order)."""
        return tuple(column for column in self.columns if column.v1 is not None)

    @cached_property
    def spellings(self) -> dict[str, Spelling]:
        """Every input name, lower-cased, and what it means."""
        found: dict[str, Spelling] = {}
        for column in self.columns:
            if column.v1 is not None:
                found[column.v1.lower()] = Spelling(column, from_v1=True)
        for column in self.columns:
            # Graph's spelling wins where both lower-case alike: the two forms differ for RATE, RESELLER and LIST
            # only, and of those only LIST shares its name, where the value itself shows which form it is.
            found[column.name.lower()] = Spelling(column, from_v1=False)
        return found

    def spelling_of(self, name: str) -> Spelling | None:
        """Return what an input name means, however it is dressed (see `folded`); None for an unknown one."""
        return self.spellings.get(name.lower()) or self._folded_spellings.get(folded(name))

    def is_constant(self, name: str) -> bool:
        """Whether this is a name of v1 whose value says nothing about a line item."""
        return name.lower() in self.constants or folded(name) in self.constants

    @cached_property
    def _folded_spellings(self) -> dict[str, Spelling]:
        older = {name: Spelling(column, from_v1=False) for column in self.columns for name in column.older}
        return older | {folded(name): spelling for name, spelling in self.spellings.items()}


# Separators, hyphens, and what nobody sees: byte order marks, soft hyphens, characters of no width.
_FOLDED_CATEGORIES: Final = frozenset({"Zs", "Zl", "Zp", "Pd", "Cf"})
_FOLDED_SIGNS: Final = frozenset("_\t\r\n")


@lru_cache(maxsize=4_096)
def folded(name: str) -> str:
    """Return a name as names are compared: in lower case, without spaces, underscores, hyphens and invisible signs.

    U+0000 stays: a name that holds it is damaged, and no other way to write a good one.
    """
    kept = (sign for sign in name if sign not in _FOLDED_SIGNS and unicodedata.category(sign) not in _FOLDED_CATEGORIES)
    return "".join(kept).lower()


_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def identity_of(name: str) -> str:
    """Return what names an attribute for ever: its Graph name, with A to Z in lower case."""
    return name.translate(_LOWER)


EXTRA: Final = "Extra"  # the lake column that keeps attributes we do not know, as one JSON object


def _v1_name(name: str) -> str:
    return "pc" + name[2:] if name.startswith("PC") else name[0].lower() + name[1:]


def _column(
    type_: Type, name: str, flags: str = "", v1: str | None = None, codec: Codec = Codec.SAME, older: str = ""
) -> Column:
    marks = set(flags.split())
    unknown = marks - {"basic", "required", "digits", "v1-only", "graph-only", "group", "alone"}
    assert not unknown, unknown
    return Column(
        name=name,
        type=type_,
        basic="basic" in marks,
        v1=None if "graph-only" in marks else v1 or _v1_name(name),
        codec=codec,
        graph="v1-only" not in marks,
        required="required" in marks,
        digits="digits" in marks,
        group="group" in marks,
        alone="alone" in marks,
        older=tuple(folded(each) for each in older.split()),
    )


_text = partial(_column, Type.TEXT)
_number = partial(_column, Type.NUMBER)
_date = partial(_column, Type.DATE)
_flag = partial(_column, Type.FLAG)


RECONCILIATION: Final = LineItemTable(
    kind=Kind.RECONCILIATION,
    currency="Currency",
    date="ChargeStartDate",
    totals=("Subtotal", "TaxTotal", "Total"),
    v1_object_type="OneTimeInvoiceLineItem",
    v1_line_item_type="billing_line_items",
    v1_billing_provider="one_time",
    columns=(
        _text("PartnerId", "basic required"),
        _text("CustomerId", "basic"),
        _text("CustomerName", "basic", older="CustomerCompanyName"),
        _text("CustomerDomainName"),
        _text("CustomerCountry"),
        _text("InvoiceNumber", "basic"),
        _text("MpnId", "digits"),
        _text("Tier2MpnId", "basic digits", v1="resellerMpnId", codec=Codec.RESELLER),
        _text("OrderId", "basic group"),
        _date("OrderDate", "basic"),
        _text("ProductId", "basic group"),
        _text("SkuId", "basic"),
        _text("AvailabilityId", "basic"),
        _text("SkuName", "basic"),
        _text("ProductName", "basic"),
        _text("ChargeType", "basic group", codec=Codec.CHARGE_TYPE),
        _number("UnitPrice", "basic"),
        _number("Quantity", "alone"),
        _number("Subtotal", "basic required alone"),
        _number("TaxTotal", "basic required alone"),
        _number("Total", "basic required alone", v1="totalForCustomer"),
        _text("Currency", "basic required group"),
        _text("PriceAdjustmentDescription", "basic"),
        _text("PublisherName", "basic"),
        _text("PublisherId"),
        _text("SubscriptionDescription"),
        _text("SubscriptionId", "basic group"),
        _date("ChargeStartDate", "basic required group"),
        _date("ChargeEndDate", "basic"),
        _text("TermAndBillingCycle", "basic"),
        _number("EffectiveUnitPrice", "basic group"),
        _text("UnitType"),
        _text("AlternateId", "group"),
        _number("BillableQuantity", "basic alone"),
        _text("BillingFrequency", "group"),
        _text("PricingCurrency", "basic"),
        _number("PCToBCExchangeRate", "basic"),
        _date("PCToBCExchangeRateDate"),
        _text("MeterDescription"),
        _text("ReservationOrderId", "basic group"),
        _text("CreditReasonCode", "basic"),
        _date("SubscriptionStartDate", "basic"),
        _date("SubscriptionEndDate", "basic"),
        _text("ReferenceId", "basic group"),
        _text("ProductQualifiers", "group", codec=Codec.LIST),
        _text("PromotionId", "basic"),
        _text("ProductCategory", "basic graph-only"),
        _text("DiscountDetails", "v1-only"),
    ),
)

USAGE: Final = LineItemTable(
    kind=Kind.USAGE,
    currency="BillingCurrency",
    date="UsageDate",
    totals=("BillingPreTaxTotal",),
    v1_object_type="DailyRatedUsageLineItem",
    v1_line_item_type="usage_line_items",
    v1_billing_provider="marketplace",  # never `one_time`, whatever the query said: every v1 SDK breaks otherwise
    columns=(
        _text("PartnerId", "basic required"),
        _text("PartnerName", "basic"),
        _text("CustomerId", "basic"),
        _text("CustomerName", "basic", older="CustomerCompanyName"),
        _text("CustomerDomainName"),
        _text("CustomerCountry"),
        _text("MpnId", "digits"),
        _text("Tier2MpnId", "digits", v1="resellerMpnId"),
        _text("InvoiceNumber", "basic"),
        _text("ProductId", "basic group"),
        _text("SkuId", "basic"),
        _text("AvailabilityId"),
        _text("SkuName", "basic"),
        _text("ProductName"),
        _text("PublisherName", "basic"),
        _text("PublisherId"),
        _text("SubscriptionDescription"),
        _text("SubscriptionId", "basic group"),
        _date("ChargeStartDate", "basic"),
        _date("ChargeEndDate", "basic"),
        _date("UsageDate", "basic required group"),
        _text("MeterType", "group"),
        _text("MeterCategory"),
        _text("MeterId"),
        _text("MeterSubCategory"),
        _text("MeterName"),
        _text("MeterRegion"),
        _text("Unit", v1="unitOfMeasure"),
        _text("ResourceLocation"),
        _text("ConsumedService"),
        _text("ResourceGroup", "group"),
        _text("ResourceURI", "basic", v1="resourceUri"),
        _text("ChargeType", "basic group", codec=Codec.CHARGE_TYPE),
        _number("UnitPrice", "basic"),
        _number("Quantity", "basic alone"),
        _text("UnitType", "basic group"),
        _number("BillingPreTaxTotal", "basic required alone"),
        _text("BillingCurrency", "basic required group"),
        _number("PricingPreTaxTotal", "basic alone"),
        _text("PricingCurrency", "basic group"),
        _text("ServiceInfo1"),
        _text("ServiceInfo2"),
        _text("Tags", codec=Codec.PRESENT),
        _text("AdditionalInfo", "basic group", codec=Codec.PRESENT),
        _number("EffectiveUnitPrice", "basic group"),
        _number("PCToBCExchangeRate", "basic"),
        _text("EntitlementId", "basic group"),
        _text("EntitlementDescription"),
        _number("PartnerEarnedCreditPercentage", "group", v1="rateOfPartnerEarnedCredit", codec=Codec.RATE),
        _number("CreditPercentage", "basic", v1="rateOfCredit", codec=Codec.RATE),
        _text("CreditType", "basic"),
        _text("BenefitOrderID", "basic", v1="benefitOrderId"),
        _text("BenefitID", v1="benefitId"),
        _text("BenefitType", "basic"),
        _date("PCToBCExchangeRateDate", "v1-only"),
        _flag("HasPartnerEarnedCredit", "v1-only"),
    ),
)


def table_of(kind: Kind) -> LineItemTable:
    """Return the table of columns of `kind`."""
    return USAGE if kind is Kind.USAGE else RECONCILIATION
