"""Words for names, products and meters: `vocabulary.toml` beside this file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

Texts = tuple[str, ...]


class MeterFamily(msgspec.Struct, frozen=True):
    """What the meters of one service have in common; `{n}` in the name is their size."""

    category: str
    sub_category: str
    name: str
    unit: str
    provider: str
    type: str
    resource: str
    places: int
    info: str


class LicenceTitle(msgspec.Struct, frozen=True):
    """A seat-based product, which may have several editions."""

    title: str
    product_id: str
    cents: int
    term: str
    frequency: str


class Vocabulary(msgspec.Struct, frozen=True):
    """All words."""

    countries: tuple[tuple[str, int], ...]
    first_words: Texts
    second_words: Texts
    legal_forms: Texts
    foreign_names: Texts
    awkward_names: Texts
    partner_names: Texts
    regions: tuple[tuple[str, str], ...]
    tag_keys: Texts
    tag_values: Texts
    meter_families: tuple[MeterFamily, ...]
    licences: tuple[LicenceTitle, ...]


@cache
def vocabulary() -> Vocabulary:
    """Return the words."""
    text = files("counterfoil.generator").joinpath("vocabulary.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Vocabulary)
