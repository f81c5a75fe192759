"""Parquet is read exactly, or refused by the name of the column that cannot be."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.client.output_files.pull_files import LakeFile
from counterfoil.columns import EXTRA
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.errors import DamagedInputError, InputError
from counterfoil.line_items.line_reader import LineReader
from counterfoil.model import Kind, Rendering
from tests.client.sheets import fail
from tests.datasets.line_items import (
    INVOICE,
    PARTNER,
    UNBILLED,
    in_force,
    lake_items,
    paths,
    publish_bytes,
    raw_line,
)
from tests.datasets.mutations import line_items

LEAST = {
    "PartnerId": pa.array([PARTNER]),
    "UsageDate": pa.array(["2026-11-01T00:00:00Z"]),
    "BillingPreTaxTotal": pa.array(["0.10"]),
    "BillingCurrency": pa.array(["EUR"]),
}


def written(path: Path, columns: Mapping[str, pa.Array]) -> str:
    pq.write_table(pa.table({**LEAST, **columns}), path)
    return str(path)


def stored(data_folder: DataFolder, path: Path, columns: Mapping[str, pa.Array]) -> dict[str, str]:
    [receipt] = publish(data_folder, [Input(written(path, columns), UNBILLED)])
    [item] = lake_items(data_folder, in_force(receipt))
    return item


@pytest.mark.parametrize("kind", Kind)
def test_what_the_lake_holds_is_published_as_the_same_line_items(
    kind: Kind, data_folder: DataFolder, tmp_path: Path
) -> None:
    lines = line_items(kind, 60)[::2]
    lines += [raw_line(kind, {"Novel": "[1.0, 2]", "Other": '"x"', "InvoiceNumber": '""'}).encode()]
    first = publish_bytes(data_folder, tmp_path / "lines", b"\n".join(lines))
    served = [Input(str(path), UNBILLED) for path in paths(data_folder, in_force(first), Rendering.LAKE)]
    pulled = tmp_path / "pulled.parquet"
    with LakeFile(pulled, kind) as lake:
        lake.add(LineReader(kind).read(lines, fail))
        lake.finish()
    for inputs in (served, [Input(str(pulled), UNBILLED)]):
        [again] = publish(data_folder, inputs)
        assert (again.etag, again.changed) == (first.etag, False)


@pytest.mark.parametrize(
    ("name", "array", "column", "text"),
    [
        ("Quantity", pa.array([Decimal("24.50")], pa.decimal128(20, 2)), "Quantity", "24.50"),
        ("Quantity", pa.array([Decimal(0)], pa.decimal128(28, 15)), "Quantity", "0.000000000000000"),
        ("quantity", pa.array([-3], pa.int64()), "Quantity", "-3"),
        ("Quantity", pa.array(["1E-7"]).dictionary_encode(), "Quantity", "1E-7"),
        ("QuantityText", pa.array(["1.0"]), "Quantity", "1.0"),
        ("unitOfMeasure", pa.array(["1 Hour"], pa.large_string()), "Unit", "1 Hour"),
        ("CustomerName", pa.array([b"Caf\xc3\xa9"], pa.binary()), "CustomerName", "Café"),
        ("rateOfCredit", pa.array([Decimal("0.15")], pa.decimal128(5, 2)), "CreditPercentage", "15"),
        ("MpnId", pa.array([123], pa.int32()), "MpnId", "123"),
        ("HasPartnerEarnedCredit", pa.array([True]), "HasPartnerEarnedCredit", "true"),
        ("ChargeStartDate", pa.array([date(2026, 11, 20)]), "ChargeStartDate", "2026-11-20"),
        (
            "ChargeStartDate",
            pa.array([1763596800], pa.timestamp("s", "UTC")),
            "ChargeStartDate",
            "2025-11-20T00:00:00Z",
        ),
        ("ChargeStartDate", pa.array([0], pa.timestamp("us")), "ChargeStartDate", "1970-01-01T00:00:00"),
        (
            "ChargeStartDate",
            pa.array([1763596800123456789], pa.timestamp("ns", "Europe/Berlin")),
            "ChargeStartDate",
            "2025-11-20T00:00:00.123456789Z",
        ),
        ("Novel", pa.array([Decimal("1.50")], pa.decimal128(5, 2)), EXTRA, '{"Novel":1.50}'),
        ("Extra", pa.array(['{"Novel":[1.0]}']), EXTRA, '{"Novel":[1.0]}'),
        ("Extra", pa.array(['{"UnitType":"1 GB"}']), "UnitType", "1 GB"),  # kept before it was known
        ("Extra", pa.array(["not an object"]), EXTRA, '{"Extra":"not an object"}'),
        ("attributes", pa.array([{"objectType": "x"}]), EXTRA, None),
        ("Quantity", pa.array([None], pa.float64()), "Quantity", None),
        ("Tags", pa.array([None], pa.list_(pa.string())), "Tags", None),
    ],
)
def test_a_value_of_any_exact_type_is_stored_as_its_exact_text(
    data_folder: DataFolder, tmp_path: Path, name: str, array: pa.Array, column: str, text: str | None
) -> None:
    assert stored(data_folder, tmp_path / "a.parquet", {name: array}).get(column) == text


def test_the_exact_text_counts_and_not_the_decimal_beside_it(data_folder: DataFolder, tmp_path: Path) -> None:
    both = {"Quantity": pa.array([Decimal("0.2")], pa.decimal128(28, 15)), "QuantityText": pa.array(["0.20"])}
    assert stored(data_folder, tmp_path / "a.parquet", both)["Quantity"] == "0.20"


AMOUNT = Decimal("1.50")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pa.array([AMOUNT], pa.decimal128(28, 15)), "1.5"),
        (pa.array([AMOUNT], pa.decimal128(20, 2)), "1.504"),  # rounded to what the column can hold
        (pa.array([Decimal("9999999999999.999999999999999")], pa.decimal128(28, 15)), f"9999999999999.{'9' * 20}"),
        (pa.array([Decimal("0E-15")], pa.decimal128(28, 15)), "1E-99"),
        (pa.array([1.5]), "1.50"),
        (pa.array([2], pa.int32()), "2.0"),
        (pa.array(["1.50"]), "1.5"),
        (pa.array([AMOUNT], pa.decimal128(20, 2)).dictionary_encode(), "1.5"),
        (pa.array([None], pa.decimal128(28, 15)), "1.5"),
    ],
)
def test_a_value_that_agrees_with_the_exact_text_beside_it_is_not_read(
    data_folder: DataFolder, tmp_path: Path, value: pa.Array, text: str
) -> None:
    both = {"Quantity": value, "QuantityText": pa.array([text])}
    assert stored(data_folder, tmp_path / "a.parquet", both)["Quantity"] == text


DAY = pa.array([1763596800], pa.timestamp("s"))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Quantity", pa.array([AMOUNT], pa.decimal128(28, 15)), None),
        ("Quantity", pa.array([AMOUNT], pa.decimal128(28, 15)), ""),
        ("Quantity", pa.array([AMOUNT], pa.decimal128(28, 15)), "1.6"),
        ("quantity", pa.array([AMOUNT], pa.decimal128(20, 2)), "1.51"),
        ("Quantity", pa.array([1.25]), "1.5"),
        ("Quantity", pa.array([1]), "1.5"),
        ("Quantity", pa.array(["x"]), "1.5"),
        ("Quantity", pa.array([True]), "1"),
        ("ChargeStartDate", DAY, None),
        ("ChargeStartDate", DAY, "2025-11-21"),
        ("ChargeStartDate", pa.array([10**15], pa.timestamp("s")), "2025-11-21"),
        ("ChargeStartDate", pa.array([date(2025, 11, 20)]), "2025-11-21"),
    ],
)
def test_a_value_without_text_or_another_than_the_text_beside_it_is_refused_by_its_column(
    data_folder: DataFolder, tmp_path: Path, name: str, value: pa.Array, text: str | None
) -> None:
    column = "Quantity" if name == "quantity" else name
    both = {name: value, f"{column}Text": pa.array([text], pa.string())}
    with pytest.raises(InputError, match=f"{column}Text") as caught:
        publish(data_folder, [Input(written(tmp_path / "a.parquet", both), UNBILLED)])
    assert (caught.value.attribute, bool(caught.value.remedy)) == (name, True)
    assert not data_folder.catalog.datasets()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (DAY, "2025-11-20"),
        (DAY, "2025-11-20T02:00:00.0009+02:00"),
        (pa.array([1763596800123456789], pa.timestamp("ns", "Europe/Berlin")), "2025-11-20T00:00:00.123456789Z"),
        (pa.array([date(2025, 11, 20)]), "2025-11-20T01:00:00+02:00"),
        (pa.array(["2025-11-20"]), "2025-11-20T00:00:00Z"),
    ],
)
def test_a_date_that_agrees_with_the_text_beside_it_is_not_read(
    data_folder: DataFolder, tmp_path: Path, value: pa.Array, text: str
) -> None:
    both = {"ChargeStartDate": value, "ChargeStartDateText": pa.array([text])}
    assert stored(data_folder, tmp_path / "a.parquet", both)["ChargeStartDate"] == text


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str])
def test_a_lake_file_that_another_program_has_written_again_is_the_same_line_items(
    kind: Kind, spelled: Callable[[str], str], data_folder: DataFolder, tmp_path: Path
) -> None:
    """It may have lost the description of the columns, and the letter case of their names."""
    lines = [*line_items(kind, 40)[::2], raw_line(kind, {"Novel": "[1.0, 2]", "InvoiceNumber": '""'}).encode()]
    first = publish_bytes(data_folder, tmp_path / "lines", b"\n".join(lines))
    [lake] = paths(data_folder, in_force(first), Rendering.LAKE)
    table = pq.read_table(lake, partitioning=None).replace_schema_metadata(None)
    pq.write_table(table.rename_columns([spelled(name) for name in table.schema.names]), tmp_path / "again.parquet")
    [again] = publish(data_folder, [Input(str(tmp_path / "again.parquet"), UNBILLED)])
    assert (again.etag, again.changed) == (first.etag, False)


@pytest.mark.parametrize("name", ["LineItemSha256", "lineitemsha256"])
def test_a_text_with_the_name_of_the_lakes_hashes_is_an_attribute_as_in_json_lines(
    data_folder: DataFolder, tmp_path: Path, name: str
) -> None:
    assert stored(data_folder, tmp_path / "a.parquet", {name: pa.array(["x"])})[EXTRA] == f'{{"{name}":"x"}}'


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("Quantity", pa.array([1.5]), "floating-point"),
        ("Novel", pa.array([1.5], pa.float32()), "floating-point"),
        ("Tags", pa.array([["a"]]), "not text, numbers"),
        ("ProductName", pa.array([{"a": 1}]), "not text, numbers"),
        ("UsageDate", pa.array([1], pa.time64("us")), "not text, numbers"),
        ("CustomerName", pa.array([b"\xff"], pa.binary()), "not UTF-8"),
        ("customername", pa.array(["x"]), "given twice|gives CustomerName twice"),
    ],
)
def test_a_column_without_exact_texts_is_refused_by_its_name(
    data_folder: DataFolder, tmp_path: Path, name: str, array: pa.Array, reason: str
) -> None:
    columns = {"CustomerName": pa.array(["x"])} if name == "customername" else {}
    with pytest.raises(InputError, match=reason) as caught:
        publish(data_folder, [Input(written(tmp_path / "a.parquet", {**columns, name: array}), UNBILLED)])
    assert (caught.value.attribute, bool(caught.value.remedy)) == (name, True)
    assert not data_folder.catalog.datasets()


@pytest.mark.parametrize(
    ("columns", "line", "attribute"),
    [
        ({"CustomerName": pa.array([7])}, 1, "CustomerName"),
        ({"Quantity": pa.array(["1,000"])}, 1, "Quantity"),
        ({"UsageDate": pa.array(["yesterday"])}, 1, "UsageDate"),
        ({"ChargeEndDate": pa.array([253402300800], pa.timestamp("s"))}, 1, "ChargeEndDate"),
        ({"CustomerName": pa.array(["a\0b"])}, 1, "CustomerName"),
        ({"Extra": pa.array(['{"PartnerId":"x"}'])}, 1, "PartnerId"),
        ({"Extra": pa.array(['{"a":1},{"b":2}'])}, 1, ""),
    ],
)
def test_a_bad_value_is_refused_with_its_row_as_in_any_other_format(
    data_folder: DataFolder, tmp_path: Path, columns: Mapping[str, pa.Array], line: int, attribute: str
) -> None:
    with pytest.raises(InputError) as caught:
        publish(data_folder, [Input(written(tmp_path / "a.parquet", columns), UNBILLED)])
    assert (caught.value.line, caught.value.attribute) == (line, attribute)


@pytest.mark.parametrize("extra", ["{}", "{ }", "{\n}"])
def test_an_extra_object_without_members_adds_no_attribute(data_folder: DataFolder, tmp_path: Path, extra: str) -> None:
    assert EXTRA not in stored(data_folder, tmp_path / "a.parquet", {"Extra": pa.array([extra])})


def test_rows_are_numbered_through_the_whole_file(data_folder: DataFolder, tmp_path: Path) -> None:
    rows = 12_000
    many: dict[str, Any] = {name: pa.concat_arrays([array] * rows) for name, array in LEAST.items()}
    many["Quantity"] = pa.array(["1"] * (rows - 1) + ["x"])
    with pytest.raises(InputError) as caught:
        publish(data_folder, [Input(written(tmp_path / "a.parquet", many), UNBILLED)])
    assert (caught.value.line, caught.value.attribute) == (rows, "Quantity")


def test_damaged_parquet_and_parquet_that_cannot_be_read_at_any_place_are_refused(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = written(tmp_path / "a.parquet", {})
    whole = Path(name).read_bytes()
    for damaged in (whole[:-20], whole[: len(whole) // 2], b"PAR1", whole[:10] + bytes(40) + whole[50:]):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(DamagedInputError, match="cut or corrupt") as caught:
            publish(data_folder, [Input(str(tmp_path / "damaged"), UNBILLED)])
        assert ".." not in str(caught.value)
    described = pa.table(LEAST).replace_schema_metadata({"counterfoil": '{"columns": {"PartnerId": 1}}'})
    pq.write_table(described, tmp_path / "described")
    with pytest.raises(DamagedInputError, match="does not describe its columns"):
        publish(data_folder, [Input(str(tmp_path / "described"), UNBILLED)])
    (tmp_path / "packed").write_bytes(gzip.compress(whole))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(whole))))
    for given in (str(tmp_path / "packed"), "-"):
        with pytest.raises(InputError, match="standard input or out of gzip"):
            publish(data_folder, [Input(given, UNBILLED)])


def test_billed_parquet_names_its_invoice(data_folder: DataFolder, tmp_path: Path) -> None:
    name = written(tmp_path / "a.parquet", {"InvoiceNumber": pa.array([INVOICE])})
    [receipt] = publish(data_folder, [Input(name)])
    assert receipt.dataset.scope.invoice == INVOICE


def test_parquet_of_something_else_is_refused(data_folder: DataFolder, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="line item"):
        publish(data_folder, [Input(str(tmp_path / "a.parquet"), UNBILLED)])
