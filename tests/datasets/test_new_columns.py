"""A column that Microsoft adds is one line in the table: nothing stored changes, and from then on it is served."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from counterfoil import columns
from counterfoil.columns import Column, Type
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.restore import restore
from counterfoil.datasets.sweep import sweep
from counterfoil.datasets.verify import verify
from counterfoil.line_items.lake import DIGEST
from counterfoil.model import Kind, Rendering
from tests.datasets.conftest import NOW
from tests.datasets.line_items import blob_items, in_force, lake_items, paths, publish_bytes, raw_lines, v1_items

LATER = NOW + timedelta(hours=49)
PLAN = '"Compute \\u00e9"'
LINES = raw_lines(Kind.USAGE, {"SavingsPlanName": PLAN, "Zone": "1.50"}, {"savingsplanname": PLAN}, {"Quantity": "1"})


def digests(data_folder: DataFolder, receipt: PublicationReceipt) -> list[bytes]:
    [path] = paths(data_folder, in_force(receipt), Rendering.LAKE)
    found: list[bytes] = pq.read_table(path, columns=[DIGEST]).column(0).to_pylist()
    return found


def add_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the program of a later day: two attributes more, somewhere in the middle."""
    known = list(columns.USAGE.columns)
    at = [column.name for column in known].index("BenefitType") + 1
    known[at:at] = [
        Column("SavingsPlanName", Type.TEXT, basic=True, v1="savingsPlanName"),
        Column("Zone", Type.NUMBER, v1="zone"),
    ]
    monkeypatch.setattr(columns, "USAGE", replace(columns.USAGE, columns=tuple(known)))


def test_a_new_column_changes_no_hash_of_what_is_stored(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish_bytes(data_folder, tmp_path / "a", LINES)
    add_columns(monkeypatch)
    assert verify(data_folder.store)[1] == []
    again = publish_bytes(data_folder, tmp_path / "a", LINES)
    assert (again.changed, again.etag, again.revision) == (False, before.etag, before.revision)
    elsewhere = publish_bytes(data_folder, tmp_path / "a", LINES, dry_run=True)
    assert elsewhere.etag == before.etag


def test_an_attribute_that_leaves_extra_for_a_column_keeps_the_hash_of_its_line_items(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_bytes(data_folder, tmp_path / "a", LINES)
    old = digests(data_folder, first)
    add_columns(monkeypatch)
    publish_bytes(data_folder, tmp_path / "b", raw_lines(Kind.USAGE, {}))
    second = publish_bytes(data_folder, tmp_path / "a", LINES)
    assert (second.etag, digests(data_folder, second)) == (first.etag, old)
    stored = lake_items(data_folder, in_force(second))
    assert sorted(item.get("SavingsPlanName", "") for item in stored) == ["", "Compute é", "Compute é"]
    assert [item for item in stored if "Extra" in item] == []
    assert sorted(str(item.get("zone")) for item in v1_items(data_folder, in_force(second))) == ["1.50", "None", "None"]
    assert verify(data_folder.store)[1] == []


def test_a_rendering_made_again_has_the_attributes_its_lake_file_was_written_with(
    data_folder: DataFolder, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = in_force(publish_bytes(data_folder, tmp_path / "a", LINES))
    full, v1 = blob_items(data_folder, old), v1_items(data_folder, old)
    publish_bytes(data_folder, tmp_path / "b", raw_lines(Kind.USAGE, {}))
    sweep(data_folder.store, LATER, trust_clock=True)
    add_columns(monkeypatch)
    restore(data_folder, old)
    assert (blob_items(data_folder, old), v1_items(data_folder, old)) == (full, v1)
    assert verify(data_folder.store)[1] == []


def test_an_older_program_reads_and_renders_what_a_newer_one_wrote(
    data_folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        add_columns(newer)
        published = publish_bytes(data_folder, tmp_path / "a", LINES)
        full, v1 = blob_items(data_folder, in_force(published)), v1_items(data_folder, in_force(published))
    assert verify(data_folder.store)[1] == []
    again = publish_bytes(data_folder, tmp_path / "a", LINES)
    assert (again.changed, again.etag) == (False, published.etag)
    publish_bytes(data_folder, tmp_path / "b", raw_lines(Kind.USAGE, {}))
    sweep(data_folder.store, LATER, trust_clock=True)
    restore(data_folder, in_force(published))
    assert blob_items(data_folder, in_force(published)) == full
    assert v1_items(data_folder, in_force(published)) == v1
