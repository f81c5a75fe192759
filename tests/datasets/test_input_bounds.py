"""What is small and costs much: wide rows, many names, many items. Memory stays flat, or there is a refusal at once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterfoil.datasets.check import UNKNOWN_ATTRIBUTES_MAX, UNKNOWN_SIZE_BYTES_MAX
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.sizes import Sizes
from counterfoil.errors import InputError
from counterfoil.line_items.values import ATTRIBUTES_MAX
from counterfoil.model import Kind
from counterfoil.storage.engines import open_store
from tests.datasets.conftest import NOW
from tests.datasets.line_items import publish_bytes, raw_line
from tests.datasets.test_limits import counterfoil

LINE = raw_line(Kind.USAGE).encode()
LARGE = UNKNOWN_SIZE_BYTES_MAX
ITEM: dict[str, Any] = {name: str(value) for name, value in json.loads(LINE, parse_float=str).items()}


def with_names(names: Iterable[str]) -> bytes:
    return LINE[:-1] + b"".join(b',"%s":1' % name.encode() for name in names) + b"}\n"


def with_value(name: str, value: object) -> bytes:
    return LINE[:-1] + f",{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}}}".encode()


def csv_rows(names: int, rows: int) -> bytes:
    header = [*ITEM, *(f"c{number}" for number in range(names))]
    row = [*ITEM.values(), *[""] * names]
    return "\n".join([",".join(header), *[",".join(row)] * rows]).encode()


def parquet(path: Path, rows: int, **columns: pa.Array) -> Path:
    table = pa.table({**{name: pa.array([value] * rows) for name, value in ITEM.items()}, **columns})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    return path


def repeated(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (csv_rows(ATTRIBUTES_MAX, 3), "line 1: the header has more than 2,000 columns"),
        (LINE + b"\n" + with_names(f"u{number}" for number in range(ATTRIBUTES_MAX)), "line 2: more than 2,000 attr"),
        (with_names(f"u{number}" for number in range(300)), "line 1: more than 200 attributes"),
        (b"".join(with_names([f"u{number}"]) for number in range(300)), "line 201: more than 200 attributes"),
        (csv_rows(300, 3), "line 2: more than 200 attributes"),
        (b"[" + LINE + b"," + with_names(f"u{number}" for number in range(300)) + b"]", "line 2: more than 200"),
        (b'{"items":[' + with_names(f"u{number}" for number in range(300)) + b"]}", "line 1: more than 200"),
        (LINE + b"\n" + with_value("note", "n" * LARGE) + b"\n", "line 2, note: the attributes that Microsoft has not"),
        (LINE + b"\n" + with_value("note", "\u00fc" * (LARGE // 2)), "line 2, note: "),
        (b"[" + with_value("note", {"a": ["b" * LARGE]}) + b"]", "line 1, note: "),
        ("\n".join([",".join([*ITEM, "note"]), ",".join([*ITEM.values(), "n" * LARGE])]).encode(), "line 2, note: "),
    ],
)
def test_too_many_names_or_too_large_ones_are_refused_where_they_are(
    data_folder: DataFolder, tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(InputError) as refused:
        publish_bytes(data_folder, tmp_path / "a", content)
    assert reason in str(refused.value)


def test_as_many_names_as_are_allowed_are_taken_and_told(data_folder: DataFolder, tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(UNKNOWN_ATTRIBUTES_MAX)]
    receipt = publish_bytes(data_folder, tmp_path / "a", with_names(names) + b"".join(with_names([n]) for n in names))
    assert receipt.warnings == {"inexact BillingPreTaxTotal": 201} | {f"unknown {name}": 2 for name in names}


def test_too_many_names_in_splits_together_are_refused(tmp_path: Path) -> None:
    lines = b"".join(with_names([f"u{number // 10}"]) for number in range(3_000))
    with open_store(tmp_path / "data") as store:
        sizes = Sizes(divided_bytes=1, split_bytes=len(lines) // 3)
        with pytest.raises(InputError, match="more than 200 attributes"):
            publish_bytes(DataFolder(store, lambda: NOW, sizes=sizes, jobs=2), tmp_path / "a", lines)


def test_parquet_of_too_many_columns_or_too_large_rows_is_refused(data_folder: DataFolder, tmp_path: Path) -> None:
    many = parquet(tmp_path / "many", 2, **{f"c{number}": pa.array(["", ""]) for number in range(ATTRIBUTES_MAX)})
    with pytest.raises(InputError, match="more than 2,000 columns"):
        publish_bytes(data_folder, many, many.read_bytes())
    wide = parquet(tmp_path / "wide", 9, Tags=pa.array(["x"] * 7 + ["x" * (5 << 20), "x"]))
    with pytest.raises(InputError, match="line 8: a row of more than 4 MiB"):
        publish_bytes(data_folder, wide, wide.read_bytes())


def published(tmp_path: Path, name: str) -> tuple[int, str, int]:
    """Publish a file by itself; returns the exit code, what was said, and the peak of memory in MB."""
    done = counterfoil("publish", name, "--period", "2026-11", "--data", str(tmp_path / "data"))
    said, _, peak = done.stderr.decode().rpartition("PEAK ")
    return done.returncode, said, int(peak)


@pytest.mark.parametrize(
    ("start", "filler", "end", "reason"),
    [
        (b"[", b"0,", b"0]", "line 1: not a JSON object"),
        (b"[" + LINE, b",{}", b"]", "line 2, PartnerId, UsageDate, BillingPreTaxTotal and"),
        (b"[" + LINE[:-1] + b',"x":[', b"[],", b"[]]}]", "line 1: an item of more than 4 MiB"),
        (b"[", b"[", b"", "line 1: an item of more than 4 MiB"),
        (b'{"x":[', b"[],", b'[]],\n"items":[' + LINE + b"]}", "a line of more than 4 MiB"),
    ],
    ids=["zeros", "empty items", "lists in an item", "brackets", "lists beside the items"],
)
def test_a_document_of_many_values_takes_no_more_memory(
    tmp_path: Path, start: bytes, filler: bytes, end: bytes, reason: str
) -> None:
    path = tmp_path / "document.gz"
    path.write_bytes(gzip.compress(start + filler * ((30 << 20) // len(filler)) + end, 1))
    code, said, peak = published(tmp_path, str(path))
    assert (code, reason in said, "Traceback" in said) == (1, True, False), said
    assert peak < 600


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_wide_rows_are_published_in_flat_memory(tmp_path: Path, form: str) -> None:
    rows, path = 2_500, tmp_path / form
    wide = {**ITEM, "Tags": "t" * 60_000}
    if form == "parquet":
        parquet(path, rows, Tags=repeated(wide["Tags"], rows))
    else:
        pieces = [",".join(wide), *[",".join(wide.values())] * rows] if form == "csv" else [json.dumps(wide)] * rows
        path.write_bytes(gzip.compress("\n".join(pieces).encode(), 1))
    code, said, peak = published(tmp_path, str(path))
    assert code == 0, said
    assert peak < 400
