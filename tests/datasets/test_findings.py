"""Values that a spreadsheet or a shell destroyed, and attributes that an API does not serve, are said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.columns import RECONCILIATION, USAGE, LineItemTable, Type
from counterfoil.datasets import coded
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.errors import InputError
from counterfoil.line_items.lost_values import (
    ID_BEGINS,
    LOST_ID_LENGTH_MAX,
    LOST_LENGTH_MAX,
    TEXT_BEGINS,
    why_lost,
)
from counterfoil.model import Kind
from tests.datasets.line_items import UNBILLED, in_force, lake_items, publish_bytes, write
from tests.datasets.reading import RECONCILIATION_ITEM, USAGE_ITEM, rows

LOST_ANYWHERE = [
    "System.Collections.Hashtable",
    "System.Object[]",
    "System.String[]",
    "System.Collections.Generic.Dictionary`2[System.String,System.String]",
    "Microsoft.Store.PartnerCenter.Models.Invoices.InvoiceLineItem",
    "Newtonsoft.Json.Linq.JObject",
    "[object Object]",
    "<Dictionary>",
    "<class 'dict'>",
    "<LineItem object at 0x7f00a1b2>",
    "[Ljava.lang.String;@1b6d3586",
    "#REF!",
    "#N/A",
    "#NAME?",
    "#DIV/0!",
    "#BEZUG!",
    "########",
]
LOST_IDS = [
    "6.12E+06",
    "2.12238E+07",
    "6.12e+06",
    "6,12E+06",
    "1E+15",
    "6120045.0",
    "7,0",
    "02-Jan",
    "2-Jan-26",
    "Mar-01",
    "5 October 2026",
    "2026-10-05 00:00:00",
    "10/05/2026",
    "5.10.2026",
]
KEPT_IDS = [
    "5d2f7a10-88c4-4b1e-b6aa-17c0d9e8f7a6",
    "6120045",
    "CFQ7TTC0LH16",
    "000A",
    "1e10",
    "12-34-56-78",
    "DZH318Z0BQ4B:0007",
    "May-be",
    "#1 Support",
    "<none>",
    "System",
]
KEPT_TEXTS = [
    "Microsoft.Compute",
    "Microsoft",
    "Microsoft.Graph",
    "6.12E+06",
    "Mar-01",
    "7.0",
    "System D2",
    "# 1",
    "#",
    "java",
]


def items_as(form: str, path: Path, item: Mapping[str, str]) -> bytes:
    if form == "csv":
        return rows(item).encode()
    if form == "json":
        return json.dumps(item).encode()
    pq.write_table(pa.table({name: [text] for name, text in item.items()}), path)
    return path.read_bytes()


def without_invoice(item: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in item.items() if name != "InvoiceNumber"}


FORMS = pytest.mark.parametrize("form", ["csv", "json", "parquet"])


@pytest.mark.parametrize(("is_id", "texts"), [(False, LOST_ANYWHERE), (True, [*LOST_ANYWHERE, *LOST_IDS])])
def test_what_is_left_of_a_destroyed_value_is_known(is_id: bool, texts: list[str]) -> None:
    for text in texts:
        assert why_lost(text, is_id=is_id), text
        begins = ID_BEGINS if text in LOST_IDS else TEXT_BEGINS
        assert text[0] in begins, "so that it is looked at"
        assert len(text) <= (LOST_ID_LENGTH_MAX if text in LOST_IDS else LOST_LENGTH_MAX)


def test_what_only_looks_like_it_is_kept() -> None:
    assert [text for text in KEPT_IDS if why_lost(text, is_id=True)] == []
    assert [text for text in KEPT_TEXTS if why_lost(text)] == []


@FORMS
def test_an_id_that_is_needed_refuses_its_line(form: str, data_folder: DataFolder, tmp_path: Path) -> None:
    """The basic set has the ids that line items are matched by."""
    for name, text in (("SubscriptionId", "6.12E+06"), ("ProductId", "[object Object]"), ("SkuId", "7.0")):
        content = items_as(form, tmp_path / "made", {**USAGE_ITEM, name: text})
        with pytest.raises(InputError) as caught:
            publish_bytes(data_folder, tmp_path / "a", content, Assertions())
        line = 2 if form == "csv" else 1
        assert (caught.value.line, caught.value.attribute, caught.value.value) == (line, name, text)
        assert caught.value.reason.endswith(("in place of an id", "in place of a value"))
        assert "take the file" in caught.value.remedy


@FORMS
def test_elsewhere_it_is_kept_and_said(form: str, data_folder: DataFolder, tmp_path: Path) -> None:
    lost = {"MpnId": "6.12E+06", "PublisherId": "2.12238E+07", "Tags": "System.Collections.Hashtable"}
    more = {"AdditionalInfo": "[object Object]", "MeterName": "#N/A", "ResourceGroup": "########"}
    content = items_as(form, tmp_path / "made", {**USAGE_ITEM, **lost, **more, "SkuId": "7"})
    receipt = publish_bytes(data_folder, tmp_path / "a", content, Assertions())
    expected = {f"lost {name}": 1 for name in (*lost, *more)} | {"shortened SkuId": 1}
    assert {name: count for name, count in receipt.warnings.items() if not name.startswith("inexact")} == expected
    [item] = lake_items(data_folder, in_force(receipt))
    assert {name: item[name] for name in (*lost, *more)} == {**lost, **more}


def test_what_was_seen_among_few_line_items_is_said_of_many(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded, "_FEW_ROWS", 4)
    lost = {"Tags": "System.Object[]", "PublisherId": "0"}
    inputs = []
    for number, (times, more) in enumerate([(3, lost), (1, {}), (3, {}), (2, lost), (1, lost | {"MeterName": "#N/A"})]):
        content = (json.dumps({**USAGE_ITEM, **more}) + "\n").encode() * times
        inputs.append(Input(write(tmp_path / f"{number}.jsonl", content)))
    [receipt] = publish(data_folder, inputs, safeguards=Safeguards(allow_copies=True))
    said = {name: count for name, count in receipt.warnings.items() if not name.startswith("inexact")}
    assert said == {"lost Tags": 6, "shortened PublisherId": 6, "lost MeterName": 1}
    lines = [json.dumps(USAGE_ITEM), json.dumps({**USAGE_ITEM, "BillingCurrency": "USD"})]
    foreign = write(tmp_path / "foreign.jsonl", "\n".join(lines).encode())
    with pytest.raises(InputError, match="not in EUR"):
        publish(data_folder, [*inputs, Input(foreign)], safeguards=Safeguards(allow_copies=True))


@pytest.mark.parametrize("table", [USAGE, RECONCILIATION])
def test_every_column_of_text_is_looked_at(table: LineItemTable, data_folder: DataFolder, tmp_path: Path) -> None:
    item = USAGE_ITEM if table is USAGE else RECONCILIATION_ITEM
    texts = [column for column in table.columns if column.type is Type.TEXT and not column.required]
    kept = [column.name for column in texts if not (column.is_id and column.basic)]
    content = rows({**item, **dict.fromkeys(kept, "#REF!"), "InvoiceNumber": item["InvoiceNumber"]}).encode()
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", content, Assertions())
    said = {name for name in receipt.warnings if name.startswith("lost ")}
    assert said == {f"lost {name}" for name in kept}
    needed = [column.name for column in texts if column.name not in {*kept, "InvoiceNumber"}]
    each = [{**dict.fromkeys(needed, "x"), **item, name: "#REF!"} for name in needed]
    rejects = tmp_path / "rejects.jsonl"
    content = rows(*each, {**dict.fromkeys(needed, "x"), **item}).encode()
    receipt = publish_bytes(data_folder, tmp_path / "a.csv", content, Assertions(), rejects=rejects, allow_rejects=99)
    refused = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(line["line"], line["attribute"]) for line in refused] == [(at, name) for at, name in enumerate(needed, 2)]
    assert receipt.warnings["refused"] == len(needed)


@FORMS
def test_a_number_or_date_that_was_destroyed_says_so(form: str, data_folder: DataFolder, tmp_path: Path) -> None:
    for name in ("UnitPrice", "ChargeEndDate"):
        for text in ("#REF!", "########", "System.Object[]", "[object Object]"):
            content = items_as(form, tmp_path / "made", {**USAGE_ITEM, name: text})
            with pytest.raises(InputError, match=r"in place of a value|too narrow") as caught:
                publish_bytes(data_folder, tmp_path / "a", content, Assertions())
            assert (caught.value.attribute, caught.value.value) == (name, text)


@FORMS
@pytest.mark.parametrize(
    ("kind", "values", "billed", "unbilled"),
    [
        (Kind.USAGE, {"PCToBCExchangeRateDate": "2026-10-01"}, {"notInGraph PCToBCExchangeRateDate"}, set()),
        (Kind.USAGE, {"hasPartnerEarnedCredit": "true"}, {"notInGraph HasPartnerEarnedCredit"}, set()),
        (Kind.RECONCILIATION, {"Discount Details": "{}"}, {"notInGraph DiscountDetails"}, set()),
        (Kind.RECONCILIATION, {"ProductCategory": "License"}, set(), {"notInV1 ProductCategory"}),
        (Kind.RECONCILIATION, {"ProductCategory": "", "DiscountDetails": ""}, set(), set()),
    ],
)
def test_what_is_known_and_not_served_is_said(
    form: str,
    kind: Kind,
    values: dict[str, str],
    billed: set[str],
    unbilled: set[str],
    data_folder: DataFolder,
    tmp_path: Path,
) -> None:
    """`billed` is said of both scopes, `unbilled` of that one alone: v1 serves nothing else."""
    item = {**(USAGE_ITEM if kind is Kind.USAGE else RECONCILIATION_ITEM), **values}
    for given, asserted, expected in (
        (item, Assertions(), billed),
        (without_invoice(item), UNBILLED, billed | unbilled),
    ):
        receipt = publish_bytes(data_folder, tmp_path / "a", items_as(form, tmp_path / "made", given), asserted)
        assert {name for name in receipt.warnings if name.startswith("notIn")} == expected
