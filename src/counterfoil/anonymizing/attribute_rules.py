"""What becomes of each attribute. Whatever is not listed here is replaced, and so is its name.

Microsoft's catalogue (products, meters, units, regions) is public and stays, unless a text of it holds a name or domain
that belongs to somebody: private offers are named after customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from counterfoil.columns import LineItemTable, Type, table_of
from counterfoil.model import Kind


class AttributeRule(Enum):
    """What is done with the value of an attribute."""

    KEEP = "keep"  # dates, numbers, currencies: after a look at whether it is one
    PUBLIC = "public"  # a text of Microsoft's
    CATALOGUE = "catalogue"  # an id of Microsoft's
    AMOUNT = "amount"  # a number in money, which may be scaled
    ID = "id"
    NAME = "name"
    GROUP = "group"  # of Azure resources
    DOMAIN = "domain"
    URI = "uri"  # of an Azure resource
    JSON = "json"  # a text that holds JSON of the customer's
    INFO = "info"  # a text that holds JSON of Microsoft's, with the customer's values
    FREE = "free"


_IDS: Final = frozenset(
    [
        "PartnerId",
        "CustomerId",
        "InvoiceNumber",
        "MpnId",
        "Tier2MpnId",
        "OrderId",
        "AlternateId",
        "SubscriptionId",
        "EntitlementId",
        "ReservationOrderId",
        "ReferenceId",
        "BenefitOrderID",
        "BenefitID",
        "PromotionId",
        "PublisherId",
    ]
)
_NAMES: Final[Mapping[str, str]] = {
    "CustomerName": "Customer",
    "PartnerName": "Partner",
    "SubscriptionDescription": "Subscription",
    "EntitlementDescription": "Entitlement",
}
_OTHERS: Final = {
    "CustomerDomainName": AttributeRule.DOMAIN,
    "ResourceGroup": AttributeRule.GROUP,
    "ResourceURI": AttributeRule.URI,
    "Tags": AttributeRule.JSON,
    "AdditionalInfo": AttributeRule.INFO,
    "ServiceInfo1": AttributeRule.FREE,
    "ServiceInfo2": AttributeRule.JSON,
    "DiscountDetails": AttributeRule.JSON,
}
_AMOUNTS: Final = frozenset(
    ["UnitPrice", "EffectiveUnitPrice", "Subtotal", "TaxTotal", "Total", "BillingPreTaxTotal", "PricingPreTaxTotal"]
)
_PUBLIC: Final = frozenset(
    [
        "CustomerCountry",
        "SkuName",
        "ProductName",
        "ChargeType",
        "Currency",
        "PriceAdjustmentDescription",
        "PublisherName",
        "TermAndBillingCycle",
        "UnitType",
        "BillingFrequency",
        "PricingCurrency",
        "MeterDescription",
        "CreditReasonCode",
        "ProductQualifiers",
        "ProductCategory",
        "MeterType",
        "MeterCategory",
        "MeterSubCategory",
        "MeterName",
        "MeterRegion",
        "Unit",
        "ResourceLocation",
        "ConsumedService",
        "BillingCurrency",
        "CreditType",
        "BenefitType",
    ]
)
_CATALOGUE: Final = frozenset(["ProductId", "SkuId", "AvailabilityId", "MeterId"])
# Names by which everything else may be called; they are looked for in the texts that stay.
TELLING: Final = frozenset({"CustomerName", "CustomerDomainName", "PartnerName", "EntitlementDescription"})
# Members of AdditionalInfo whose values are Microsoft's own words and numbers.
PUBLIC_INFO: Final = frozenset(
    [
        "ImageType",
        "ServiceType",
        "UsageType",
        "VCPUs",
        "vCores",
        "VMProperties",
        "ConsumptionMeter",
        "ReservationType",
        "Tier",
    ]
)
# What v1 adds to each line item.
CONSTANTS: Final = frozenset({"invoicelineitemtype", "billingprovider", "attributes"})


def rules_of(kind: Kind) -> dict[str, AttributeRule]:
    """Return the rule for each attribute of a kind, by its Graph name."""
    table = table_of(kind)
    return {column.name: _rule(table, column.name) for column in table.columns}


def word_for(name: str) -> str:
    """Return the word that begins the pseudonyms of a name attribute."""
    return _NAMES[name]


def _rule(table: LineItemTable, name: str) -> AttributeRule:
    if name in _AMOUNTS:
        return AttributeRule.AMOUNT
    if table.by_name[name].type is not Type.TEXT:
        return AttributeRule.KEEP
    if name in _IDS:
        return AttributeRule.ID
    if name in _NAMES:
        return AttributeRule.NAME
    if name in _CATALOGUE:
        return AttributeRule.CATALOGUE
    return AttributeRule.PUBLIC if name in _PUBLIC else _OTHERS.get(name, AttributeRule.FREE)
