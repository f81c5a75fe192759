"""A name means its attribute however it is dressed, in every form of input; two names of one attribute are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.columns import RECONCILIATION, USAGE, folded
from counterfoil.errors import InputError
from tests.datasets.reading import RECONCILIATION_ITEM, USAGE_ITEM, read, rows


def spaced(name: str) -> str:
    return "".join(f" {sign}" if sign.isupper() and at else sign for at, sign in enumerate(name))


WAYS: dict[str, Callable[[str], str]] = {
    "spaces": spaced,
    "underscores": lambda name: spaced(name).replace(" ", "_").lower(),
    "hyphens": lambda name: spaced(name).replace(" ", "-"),
    "no-break spaces": lambda name: spaced(name).replace(" ", "\u00a0"),
    "capitals": str.upper,
    "a space at the end": lambda name: name + " ",
    "characters that nobody sees": lambda name: "\u200b" + name[:3] + "\u00ad" + name[3:] + "\u2060",
    "other hyphens": lambda name: spaced(name).replace(" ", "\u2011"),
}
# Of the pages of 2019 about the daily rated usage file; the first four are spelled as they stand there.
OLDER = {
    "CustomerCompanyName": "CustomerName",
    "Customer country": "CustomerCountry",
    "SKU Name": "SkuName",
    "Reseller MPNID": "Tier2MpnId",
    "Product Name": "ProductName",
    "MPNID": "MpnId",
    "customer_company_name": "CustomerName",
}


def as_csv(path: Path, item: dict[str, str]) -> bytes:
    return rows(item).encode()


def as_json(path: Path, item: dict[str, str]) -> bytes:
    return json.dumps(item).encode()


def as_array(path: Path, item: dict[str, str]) -> bytes:
    return json.dumps([item], indent=1).encode()


def as_parquet(path: Path, item: dict[str, str]) -> bytes:
    pq.write_table(pa.table({name: [text] for name, text in item.items()}), path)
    return path.read_bytes()


FORMS = [as_csv, as_json, as_array, as_parquet]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_a_name_means_its_attribute_however_it_is_dressed(
    way: str, form: Callable[[Path, dict[str, str]], bytes], tmp_path: Path
) -> None:
    for item in (USAGE_ITEM, RECONCILIATION_ITEM):
        dressed = {WAYS[way](name): text for name, text in item.items()}
        found = read(tmp_path / "a", form(tmp_path / "a", dressed))
        assert (found.items, found.refused) == ([dict(item)], [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("older", OLDER)
def test_an_older_documented_name_is_the_attribute_it_became(
    older: str, form: Callable[[Path, dict[str, str]], bytes], tmp_path: Path
) -> None:
    item = {name: text for name, text in USAGE_ITEM.items() if name != OLDER[older]}
    found = read(tmp_path / "a", form(tmp_path / "a", {**item, older: "6120045"}))
    assert found.items == [{**item, OLDER[older]: "6120045"}]


TWICE = pytest.mark.parametrize(
    ("first", "second"),
    [
        ("CustomerName", "CustomerCompanyName"),
        ("SkuId", "Sku Id"),
        ("Tags", "TAGS_"),
        ("Tier2MpnId", "Reseller MPNID"),
        ("Unit", "unit-of-measure"),
    ],
)


@TWICE
@pytest.mark.parametrize("form", [as_csv, as_parquet])
def test_two_columns_of_one_attribute_are_refused(
    first: str, second: str, form: Callable[[Path, dict[str, str]], bytes], tmp_path: Path
) -> None:
    content = form(tmp_path / "a", {**USAGE_ITEM, first: "1", second: "1"})
    with pytest.raises(InputError, match="twice") as caught:
        read(tmp_path / "a", content)
    assert (caught.value.attribute, bool(caught.value.remedy)) == (second, True)


@TWICE
@pytest.mark.parametrize("form", [as_json, as_array])
def test_two_members_of_one_attribute_are_refused_by_their_line(
    first: str, second: str, form: Callable[[Path, dict[str, str]], bytes], tmp_path: Path
) -> None:
    [(line, why)] = read(tmp_path / "a", form(tmp_path / "a", {**USAGE_ITEM, first: "1", second: "1"})).refused
    assert (line, why.reason, why.attribute, bool(why.remedy)) == (1, "given twice", second, True)


def test_names_that_only_look_alike_stay_apart(tmp_path: Path) -> None:
    """What is unknown keeps its own name, letter by letter; a name with U+0000 in it is damaged and no attribute."""
    [item] = read(tmp_path / "a", rows({**USAGE_ITEM, "Cost Center": "a", "CostCenter": "b", "Unit.Price": "c"})).items
    assert json.loads(item["Extra"]) == {"Cost Center": "a", "CostCenter": "b", "Unit.Price": "c"}
    for content in (rows({**USAGE_ITEM, "Meter\0Id": "1"}), json.dumps({**USAGE_ITEM, "Meter\0Id": "1"})):
        [(_, why)] = read(tmp_path / "a", content).refused
        assert (why.reason, why.attribute) == ("holds the character U+0000", "Meter\0Id")


def test_no_two_attributes_are_one_when_their_names_are_folded() -> None:
    for table in (USAGE, RECONCILIATION):
        meant = {folded(name): spelling.column.name for name, spelling in table.spellings.items()}
        assert all(meant[folded(name)] == spelling.column.name for name, spelling in table.spellings.items())
        assert all(meant.get(older, column.name) == column.name for column in table.columns for older in column.older)
