"""What is sold: metered services and licences. The same for every partner and seed, as Microsoft's catalogue is.

What a line item states unchanged is kept by the names of its attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isqrt

from counterfoil.generator import amounts
from counterfoil.generator.draws import Draws
from counterfoil.generator.spelling import compact
from counterfoil.generator.vocabulary import vocabulary

PUBLISHER = "Microsoft Corporation"
_METERS_MAX = 4000
_LICENCES_MAX = 300
_FREE_EVERY = 37  # each 37th meter costs nothing, and its amounts are zeros with many decimals


@dataclass(frozen=True, slots=True)
class Meter:
    """A metered service in one region."""

    product: Mapping[str, str]
    described: Mapping[str, str]
    resource: str  # the end of the URI of a resource that uses it
    price: Decimal
    infos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licence:
    """A seat-based product; the price is for a month, in the pricing currency."""

    product: Mapping[str, str]
    price: Decimal
    term: str
    frequency: str


def meters_for(line_items: int) -> tuple[Meter, ...]:
    """Return the meters for a file of so many line items."""
    return tuple(_meter(number) for number in range(min(max(40, 2 * isqrt(line_items)), _METERS_MAX)))


def licences_for(line_items: int) -> tuple[Licence, ...]:
    """Return the licences for a file of so many line items."""
    return tuple(_licence(number) for number in range(min(max(10, isqrt(line_items) // 4), _LICENCES_MAX)))


def _meter(number: int) -> Meter:
    draws = Draws("meter", number)
    families = vocabulary().meter_families
    family = families[number % len(families)]
    region, location = draws.pick(vocabulary().regions)
    size = 1 << draws.below(7)
    name = family.name.format(n=size)
    product_id, sku_id = f"DZH318Z0{draws.code(4)}", f"{draws.below(64):03X}{draws.code(1)}"
    availability_id = f"DZH318Z0{draws.code(4)}"
    return Meter(
        product=_product(
            product_id,
            sku_id,
            availability_id,
            f"{family.sub_category} - {name}",
            f"{family.category} {family.sub_category}",
        ),
        described={
            "MeterType": f"{family.unit} - {name}",
            "MeterCategory": family.category,
            "MeterId": draws.guid(),
            "MeterSubCategory": family.sub_category,
            "MeterName": name,
            "MeterRegion": region,
            "Unit": family.unit,
            "ResourceLocation": location,
            "ConsumedService": family.provider,
        },
        resource=f"/providers/{family.provider}/{family.type}/{family.resource}",
        price=_price(draws, number, family.places),
        infos=_infos(draws, family.info, size),
    )


def _price(draws: Draws, number: int, places: int) -> Decimal:
    if number % _FREE_EVERY == _FREE_EVERY - 1:
        return Decimal(0)
    if draws.one_in(3):
        return amounts.scaled(100 + draws.below(900), 3 + places)
    # 15 significant digits, as the v1 samples have; an odd last digit keeps all of them.
    return amounts.scaled(10**14 + draws.below(9 * 10**14) | 1, 15 + places)


def _infos(draws: Draws, kind: str, size: int) -> tuple[str, ...]:
    """Return the additional infos that uses of a meter carry: JSON objects in a text, or empty."""
    if kind == "vm":
        # The odd spaces and the nulls are Microsoft's own, from the v1 samples.
        spaced = (
            '{{  "ImageType": null,  "ServiceType": "Standard_D{size}_v5",  "VMName": {vm},  '
            '"VMProperties": null,  "UsageType": "{use}"}}'
        )
        uses = ("ComputeHR", "ComputeHR_SW")
        return tuple(spaced.format(size=size, vm="null" if draws.one_in(2) else '"näme"', use=use) for use in uses)
    if kind == "scale":
        return tuple(compact({"vCores": size, "tier": draws.code(2), "ratio": "1:4"}) for _ in range(2))
    if kind == "tokens":
        return (compact({"model": f"gpt-{size}", "deployment": 'standard "global"'}), "")
    return ("",)


def _licence(number: int) -> Licence:
    draws = Draws("licence", number)
    licences = vocabulary().licences
    edition, which = divmod(number, len(licences))
    sold = licences[which]
    title = f"{sold.title}, edition {edition + 1}" if edition else sold.title
    return Licence(
        product=_product(sold.product_id, f"{edition + 1:04}", f"CFQ7TTC0{draws.code(4)}", title, title),
        price=amounts.scaled(sold.cents * (100 + 3 * edition) // 100, 2),
        term=sold.term,
        frequency=sold.frequency,
    )


def _product(product_id: str, sku_id: str, availability_id: str, sku_name: str, name: str) -> dict[str, str]:
    return {
        "ProductId": product_id,
        "SkuId": sku_id,
        "AvailabilityId": availability_id,
        "SkuName": sku_name,
        "ProductName": name,
    }
