"""Thousands of generated line items of each kind: every text is the same in the input, the lake and the wire forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil import numbers
from counterfoil.columns import Codec, Column, Type, table_of
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.verify import verify
from counterfoil.generator import generate
from counterfoil.model import Kind, Rendering, Scope
from tests.datasets.line_items import (
    PARTNER,
    PERIOD,
    Number,
    blob_items,
    in_force,
    lake_items,
    publish_bytes,
    strict,
    v1_items,
)

LINE_ITEMS = 2_000


def texts(kind: Kind, item: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a line item holds: name and text of everything that is neither empty nor null, numbers as numbers."""
    table = table_of(kind)
    for name, value in item.items():
        assert value is None or isinstance(value, Number) == (table.by_name[name].type is Type.NUMBER), (name, value)
    return tuple(sorted((name, str(value)) for name, value in item.items() if value not in (None, "")))


def from_v1(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    """Undo v1's spelling; the generator writes no charge type that v1 renames but Purchase and Refund."""
    names = {column.v1: column for column in table_of(kind).columns if column.v1}
    constants = {"invoiceLineItemType", "billingProvider", "attributes"}
    return {names[name].name: graph_value(names[name], value) for name, value in item.items() if name not in constants}


def graph_value(column: Column, value: Any) -> Any:
    if column.codec is Codec.RATE:
        return Number(numbers.rate_to_percent(str(value)))
    if column.codec is Codec.RESELLER and value == "0":
        return ""
    if column.codec is Codec.LIST:
        return "[" + ",".join(f'"{each}"' for each in value) + "]" if value else ""
    return value


@pytest.mark.parametrize("kind", Kind)
def test_every_text_survives_from_input_to_lake_and_blobs(data_folder: DataFolder, tmp_path: Path, kind: Kind) -> None:
    scope = Scope.unbilled(PERIOD, "EUR")
    content = b"".join(generate(kind, LINE_ITEMS, seed=7, special=True, partner=PARTNER, scope=scope))
    receipt = publish_bytes(data_folder, tmp_path / "a.jsonl", content)
    revision = in_force(receipt)
    given = [strict(line) for line in content.splitlines()]
    expected = sorted(texts(kind, item) for item in given)
    assert len(given) == receipt.contents.line_items == LINE_ITEMS

    in_lake = [
        tuple(sorted((name, text) for name, text in item.items() if text)) for item in lake_items(data_folder, revision)
    ]
    assert sorted(in_lake) == expected
    full = blob_items(data_folder, revision)
    assert sorted(texts(kind, item) for item in full) == expected
    assert [texts(kind, item) for item in full] == in_lake, "the lake and the blobs have one order"

    basic = {column.name for column in table_of(kind).graph_full if column.basic}
    cut = [tuple(pair for pair in item if pair[0] in basic) for item in in_lake]
    assert [texts(kind, item) for item in blob_items(data_folder, revision, Rendering.GRAPH_BASIC)] == cut

    # v1 lacks the first, renames the values of the second, and cannot tell 0 and [] from empty in the others.
    differ = {column.name for column in table_of(kind).columns if column.v1 is None} | {"ChargeType"}
    alike = {("Tier2MpnId", "0"), ("ProductQualifiers", "[]")} if kind is Kind.RECONCILIATION else set()

    def comparable(item: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        return [pair for pair in item if pair[0] not in differ and pair not in alike]

    in_v1 = [comparable(texts(kind, from_v1(kind, item))) for item in v1_items(data_folder, revision)]
    assert in_v1 == [comparable(item) for item in in_lake]
    with_charge = [item for item in v1_items(data_folder, revision) if item.get("chargeType")]
    assert not {"Purchase", "Refund"} & {item["chargeType"] for item in with_charge}
    assert len(with_charge) == sum(bool(item.get("ChargeType")) for item in full)

    for name in table_of(kind).totals:
        assert receipt.contents.totals[name] == numbers.total(str(item[name]) for item in given)
    assert verify(data_folder.store)[1] == []
