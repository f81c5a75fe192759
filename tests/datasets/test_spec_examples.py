"""The repaired examples of the v1 specification go in, and come out attribute for attribute and digit for digit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from counterfoil.columns import Type, table_of
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.errors import InputError
from counterfoil.model import Kind, Rendering
from tests.datasets.line_items import Number, blob_items, in_force, publish_bytes, strict, v1_items

SPEC = Path(__file__).parent.parent / "golden" / "spec"
PAGES = sorted(path.name for path in SPEC.glob("*.json"))
# What differs between Graph and v1 in these rows, worked out by hand from the two references.
GRAPH_NAMES = {
    "resellerMpnId": "Tier2MpnId",
    "totalForCustomer": "Total",
    "unitOfMeasure": "Unit",
    "resourceUri": "ResourceURI",
    "pcToBCExchangeRate": "PCToBCExchangeRate",
    "pcToBCExchangeRateDate": "PCToBCExchangeRateDate",
    "rateOfPartnerEarnedCredit": "PartnerEarnedCreditPercentage",
}
NOT_IN_GRAPH = {"discountDetails", "invoiceLineItemType", "billingProvider", "attributes"}
NOT_IN_GRAPH_USAGE = {"pcToBCExchangeRateDate", "hasPartnerEarnedCredit"}


def sample(page: str) -> bytes:
    """Read a page as the last of its walk: one that another follows is refused, because line items are missing."""
    return re.sub(rb',\s*"next": \{.*?\n {8}\}', b"", (SPEC / page).read_bytes(), flags=re.DOTALL)


def kind_of(page: str) -> Kind:
    return Kind(page.partition("-")[0])


def in_order(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def as_text(item: dict[str, Any]) -> dict[str, Any]:
    """The one thing not kept: `resellerMpnId` is a text, as in two of the examples, and never a number."""
    return {key: str(value) if key == "resellerMpnId" else value for key, value in item.items()}


def graph_value(kind: Kind, key: str, value: Any) -> Any:
    if key == "productQualifiers":
        return json.dumps(value, separators=(",", ":")) if value else ""
    if key == "resellerMpnId" and kind is Kind.RECONCILIATION and value == "0":
        return ""
    assert key != "rateOfPartnerEarnedCredit" or value == Number("0")  # which is 0 percent as well
    return value


def as_graph(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    """What Graph says of a v1 item: every text of the full set, '' for absent ones, and the rest where it is there."""
    table = table_of(kind)
    found: dict[str, Any] = {column.name: "" for column in table.columns if column.graph and column.type is Type.TEXT}
    others = {column.name for column in table.columns if column.graph} - found.keys()
    for key, value in item.items():
        if key in NOT_IN_GRAPH or (kind is Kind.USAGE and key in NOT_IN_GRAPH_USAGE):
            continue
        name = GRAPH_NAMES.get(key) or key[0].upper() + key[1:]
        assert name in found or name in others, key
        if name in found or value not in ("", None):
            found[name] = graph_value(kind, key, value)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_comes_back_by_v1_as_it_was(data_folder: DataFolder, tmp_path: Path, page: str) -> None:
    content = sample(page)
    given = strict(content)["items"]
    revision = in_force(publish_bytes(data_folder, tmp_path / page, content))
    assert in_order(v1_items(data_folder, revision)) == in_order([as_text(item) for item in given])
    assert revision.contents.line_items == len(given)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_comes_back_by_graph_as_the_codecs_say(data_folder: DataFolder, tmp_path: Path, page: str) -> None:
    content, kind = sample(page), kind_of(page)
    revision = in_force(publish_bytes(data_folder, tmp_path / page, content))
    expected = [as_graph(kind, as_text(item)) for item in strict(content)["items"]]
    full = blob_items(data_folder, revision)
    assert in_order(full) == in_order(expected)
    order = [column.name for column in table_of(kind).columns if column.graph]
    assert all(list(item) == [name for name in order if name in item] for item in full)
    basic = {column.name for column in table_of(kind).columns if column.graph and column.basic}
    assert in_order(blob_items(data_folder, revision, Rendering.GRAPH_BASIC)) == in_order(
        [{name: value for name, value in item.items() if name in basic} for item in expected]
    )


def test_the_difference_between_the_codecs_is_seen_in_known_values(data_folder: DataFolder, tmp_path: Path) -> None:
    page = "reconciliation-page-1.json"
    revision = in_force(publish_bytes(data_folder, tmp_path / page, sample(page)))
    by_name = {item["ProductName"]: item for item in blob_items(data_folder, revision)}
    first = by_name["Microsoft 365 Phone System - Virtual User"]
    assert (first["ProductQualifiers"], first["Tier2MpnId"]) == ('["AddOn","Trial"]', "4649221")
    third = by_name["Test WAF-as-a-Service"]
    assert (third["Tier2MpnId"], third["ChargeType"], third["BillingFrequency"]) == ("", "New", "")
    assert third["ChargeStartDate"] == "2019-02-04T09:22:40.1767993-08:00"
    assert third["BillableQuantity"] == Number("3.1618")
    assert (third["ProductCategory"], third["PCToBCExchangeRateDate"]) == ("", "2019-08-01T00:00:00Z")


def test_usage_keeps_its_fifteen_digits_and_its_trailing_zero(data_folder: DataFolder, tmp_path: Path) -> None:
    page = "usage-page-1.json"
    receipt = publish_bytes(data_folder, tmp_path / page, sample(page))
    items = v1_items(data_folder, in_force(receipt))
    assert [item["quantity"] for item in items] == [Number("24.0")] * 2
    assert receipt.contents.plain_totals() == {"BillingPreTaxTotal": "61.4394668161102"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("recon")])
def test_the_same_page_with_its_defects_means_the_same(data_folder: DataFolder, tmp_path: Path, page: str) -> None:
    whole = publish_bytes(data_folder, tmp_path / page, sample(page))
    body = json.loads(sample(page))
    for item in body["items"]:
        item["attributes/objectType"] = "OneTimeInvoiceLineItem"
        for key in [key for key, value in item.items() if isinstance(value, int | float) and key != "resellerMpnId"]:
            item[key] = str(item[key])
        if item["productName"] == "Test WAF-as-a-Service":
            del item["invoiceLineItemType"], item["billingProvider"]
    again = publish_bytes(data_folder, tmp_path / "again.json", json.dumps(body).encode())
    assert (again.etag, again.changed) == (whole.etag, False)


def test_two_partners_on_one_page_are_refused(data_folder: DataFolder, tmp_path: Path) -> None:
    page = json.loads((SPEC / "reconciliation-page-2.json").read_bytes())
    page["items"] += json.loads((SPEC / "reconciliation-page-2-other-partner.json").read_bytes())["items"]
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "page.json", json.dumps(page).encode())
    assert (refused.value.attribute, refused.value.value) == ("PartnerId", "0c924e8d-4852-4692-a4d7-7dd0dc09ad80")


def test_line_items_that_are_alike_are_all_kept(data_folder: DataFolder, tmp_path: Path) -> None:
    page = sample("reconciliation-page-1.json")
    lines = json.dumps(json.loads(page)).encode() + b"\n"
    assert publish_bytes(data_folder, tmp_path / "pages.jsonl", lines * 3).contents.line_items == 9
