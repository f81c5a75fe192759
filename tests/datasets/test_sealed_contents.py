"""What a publication seals: the same order, bytes and eTag whatever the input's order, spelling and pieces."""

from __future__ import annotations

import gzip
import json
import random
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from counterfoil.columns import table_of
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.verify import verify
from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope, etag
from tests.datasets.conftest import NOW
from tests.datasets.line_items import (
    PARTNER,
    PERIOD,
    UNBILLED,
    amounts,
    billed,
    blob_items,
    blob_lines,
    in_force,
    lake_items,
    paths,
    publish_bytes,
    raw_lines,
    unpacked,
    v1_items,
    write,
)

BILLED = Assertions()
USAGE = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(PERIOD, "EUR"))


def many(count: int) -> list[dict[str, str]]:
    chosen = random.Random(7)
    return [
        {
            "CustomerId": f'"c{chosen.randrange(9)}"',
            "SubscriptionId": f'"s{chosen.randrange(9)}\\u00e9"',
            "UsageDate": f'"2026-11-{chosen.randrange(1, 29):02}T00:00:00Z"',
            "BillingPreTaxTotal": f"{chosen.randrange(10**6)}.{chosen.randrange(100)}",
            "MeterName": f'"{"x" * chosen.randrange(50)}"',
        }
        for _ in range(count)
    ]


def test_line_items_are_sorted_by_customer_subscription_and_date(data_folder: DataFolder, tmp_path: Path) -> None:
    receipt = publish_bytes(data_folder, tmp_path / "a", raw_lines(Kind.USAGE, *many(500)))
    keys = [
        tuple(item[name].encode() for name in ("CustomerId", "SubscriptionId", "UsageDate"))
        for item in blob_items(data_folder, in_force(receipt))
    ]
    assert keys == sorted(keys)
    assert len(keys) == 500


def test_order_spelling_runs_and_repetition_change_neither_etag_nor_bytes(
    data_folder: DataFolder, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_folder = replace(data_folder, sizes=Sizes(part_line_items=120, row_group_line_items=60))
    lines = many(500)
    first = publish_bytes(data_folder, tmp_path / "a", raw_lines(Kind.USAGE, *lines))
    parts = [file.line_items for file in data_folder.catalog.files(in_force(first).id, Rendering.LAKE)]
    assert parts == [120, 120, 120, 120, 20]

    v1_names = {column.name: column.v1 for column in table_of(Kind.USAGE).columns}
    shuffled = random.Random(1).sample(lines, len(lines))
    spelled = b""
    for at, line in enumerate(raw_lines(Kind.USAGE, *shuffled).splitlines()):
        members = json.loads(line, parse_float=str, parse_int=str)
        if at % 3 == 0:  # v1's names, quoted numbers, other order of keys
            members = {v1_names[name]: value for name, value in reversed(members.items())}
            spelled += json.dumps(members).encode() + b"\n"
        else:
            spelled += line + b"\n"
    cut = spelled.rindex(b"\n", 0, len(spelled) // 2) + 1
    data_folder = replace(data_folder, sizes=replace(data_folder.sizes, run_bytes=20_000))
    monkeypatch.setattr("counterfoil.datasets.csv_input.ROWS_AT_ONCE", 50)
    inputs = [
        Input(write(tmp_path / name, part), UNBILLED) for name, part in [("b", spelled[:cut]), ("c", spelled[cut:])]
    ]
    assert publish(data_folder, inputs) == [replace(first, changed=False)]

    publish_bytes(data_folder, tmp_path / "other", amounts(Kind.USAGE, "1"))
    [third] = publish(data_folder, inputs)
    assert third.etag == first.etag

    def contents(receipt: PublicationReceipt) -> list[tuple[str, bytes]]:
        files = data_folder.catalog.files(in_force(receipt).id)
        return [(re.sub("[0-9a-f]{32}", "", file.path), unpacked(data / "files" / file.path)) for file in files]

    assert contents(third) == contents(first)
    assert in_force(third).id != in_force(first).id


def test_the_etag_is_a_function_of_contents_alone(data_folder: DataFolder, tmp_path: Path) -> None:
    whole = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1", "2", "3"))
    data_folder.catalog.set_in_force(USAGE, None, in_force(whole).id, NOW)
    publish_bytes(data_folder, tmp_path / "b", amounts(Kind.USAGE, "3"), segment="x")
    parts = publish_bytes(data_folder, tmp_path / "c", amounts(Kind.USAGE, "2", "1"), segment="y")
    assert parts.etag == whole.etag == etag(USAGE, parts.contents)
    assert (
        publish_bytes(data_folder, tmp_path / "d", amounts(Kind.USAGE, "3", "2", "1.0"), segment="y").etag != whole.etag
    )


def test_absent_null_and_empty_count_as_alike_and_every_other_difference_counts(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    def tag(**values: str | None) -> str:
        return publish_bytes(data_folder, tmp_path / "a", raw_lines(Kind.USAGE, values), dry_run=True).etag

    alike = {tag(), tag(SkuName="null"), tag(SkuName='""'), tag(skuName='""'), tag(UnitPrice="null"), tag(Strange='""')}
    assert len(alike) == 1
    assert tag(Strange="1") == tag(Strange='"1"') == tag(STRANGE="1")  # as if it were a column, of whatever type
    different = [
        tag(SkuName='"a"'),
        tag(ProductName='"a"'),
        tag(SkuName='"A"'),
        tag(UnitPrice="1"),
        tag(UnitPrice="1.0"),
        tag(Quantity="1"),
        tag(PCToBCExchangeRateDate='"2026-01-01"'),
        tag(Strange="1"),
        tag(BillingPreTaxTotal="1E0"),
    ]
    assert len({*different, *alike}) == len(different) + 1


def test_no_two_bills_have_one_etag_because_somebody_chose_their_lines(data_folder: DataFolder, tmp_path: Path) -> None:
    """Copies of a line, however many, are a bill of their own; a sum of hashes would cancel or collide."""
    copies = {
        name: publish_bytes(
            data_folder, tmp_path / name, raw_lines(Kind.USAGE, {"CustomerId": f'"{name}"'}) * 65_536, segment=name
        )
        for name in ("aaaa", "bbbb")
    }
    assert copies["aaaa"].segment_contents.totals == copies["bbbb"].segment_contents.totals
    assert copies["aaaa"].segment_contents.digest != copies["bbbb"].segment_contents.digest
    assert in_force(copies["bbbb"]).contents.line_items == 2 * 65_536
    assert verify(data_folder.store)[1] == []


def test_what_the_hash_takes_for_alike_never_decides_the_order(data_folder: DataFolder, tmp_path: Path) -> None:
    """Absent, null and empty hash alike, but are stored as they came; the order of the input must not show."""
    alike: list[dict[str, str | None]] = [{}, {"SkuName": '""'}, {"UNKNOWN": "1"}, {"Unknown": "1"}, {"Unknown": '"1"'}]
    stored = []
    for turn in range(len(alike)):
        given = alike[turn:] + alike[:turn]
        revision = in_force(
            publish_bytes(data_folder, tmp_path / "a", raw_lines(Kind.USAGE, *given), segment=f"t{turn}")
        )
        lake = paths(data_folder, revision, Rendering.LAKE)[-1]
        stored.append(pq.read_table(lake).to_pylist())
    assert [each == stored[0] for each in stored] == [True] * len(alike)


def test_blobs_are_one_gzip_member_and_empty_datasets_do_not_exist(data_folder: DataFolder, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "1", "2")))
    for rendering in (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC):
        [path] = paths(data_folder, revision, rendering)
        assert path.read_bytes().count(b"\x1f\x8b\x08") == 1
        assert gzip.decompress(path.read_bytes()).count(b"\n") == 2


def test_billed_data_has_no_v1_form(data_folder: DataFolder, tmp_path: Path) -> None:
    revision = in_force(publish_bytes(data_folder, tmp_path / "a", billed(Kind.USAGE, "1"), BILLED))
    assert data_folder.catalog.files(revision.id, Rendering.V1) == []
    assert len(blob_lines(data_folder, revision)) == len(lake_items(data_folder, revision)) == 1


def test_unknown_attributes_are_kept_verbatim_emitted_last_in_full_and_counted(
    data_folder: DataFolder, tmp_path: Path
) -> None:
    lines = raw_lines(Kind.USAGE, {"Novel": ' { "b" : 1.00 , "a" : [ 1E5 , null ] } ', "Other": '"\\u00e9\\n"'}, {})
    receipt = publish_bytes(data_folder, tmp_path / "a", lines)
    assert receipt.warnings == {"unknown Novel": 1, "unknown Other": 1, "inexact BillingPreTaxTotal": 2}
    [line] = [line for line in blob_lines(data_folder, in_force(receipt)) if b"Novel" in line]
    assert line.endswith(b',"Novel":{"b":1.00,"a":[1E5,null]},"Other":"\\u00e9\\n"}')
    assert b"Novel" not in b"".join(blob_lines(data_folder, in_force(receipt), Rendering.GRAPH_BASIC))
    [item] = [item for item in v1_items(data_folder, in_force(receipt)) if "Novel" in item]
    assert item["Other"] == "é\n"


def test_rounded_decimals_are_counted_in_the_receipt(data_folder: DataFolder, tmp_path: Path) -> None:
    receipt = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.USAGE, "0.1999968000511991808131", "1.5"))
    assert receipt.warnings == {"inexact BillingPreTaxTotal": 1}


def test_contents_add_up_to_what_was_given(data_folder: DataFolder, tmp_path: Path) -> None:
    receipt = publish_bytes(data_folder, tmp_path / "a", amounts(Kind.RECONCILIATION, "1", "2.5"))
    assert receipt.contents == Contents(
        2,
        receipt.contents.digest,
        "EUR",
        {"Subtotal": Decimal("3.5"), "TaxTotal": Decimal(0), "Total": Decimal("20.2")},
    )
