"""A change or listing that is lost, damaged or of another folder is noticed by verify and by rebuild."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.restore import withdraw
from counterfoil.datasets.sweep import sweep
from counterfoil.disk import documents
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.storage import sealed_records
from counterfoil.storage.engines import open_store
from counterfoil.storage.sealed_records import Change
from tests.datasets.line_items import amounts, billed, publish_bytes
from tests.end_to_end.lost_catalogs import USAGE, folder_to_lose, moved, run, state_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with segments, superseded revisions, a withdrawn dataset and a restored one whose rival was swept."""
    return folder_to_lose(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_change_that_is_lost_with_the_catalog_is_not_passed_over(data: Path, damage: str) -> None:
    with open_store(data) as store:
        assert withdraw(DataFolder(store, utc_now), USAGE)
    newest = max((data / "files/changes").iterdir())  # the withdrawal
    newest.write_bytes(b"") if damage == "damaged" else newest.unlink()
    named = run("verify", "--data", str(data))
    assert (named.exit_code, f"changes/{newest.name}" in named.stdout) == (1, True)
    told = run("doctor", "--data", str(data))
    assert (told.exit_code, "1 record beside the files cannot be used" in " ".join(told.stdout.split())) == (1, True)
    moved(data)
    told = run("rebuild", "--data", str(data), "--output", "json")
    assert (told.exit_code, json.loads(told.stdout)["missing"]) == (1, 1)
    assert "although it was withdrawn" in told.stderr


def test_a_commit_that_is_lost_with_the_catalog_puts_its_dataset_in_doubt_by_name(data: Path, tmp_path: Path) -> None:
    with open_store(data) as store:
        publish_bytes(DataFolder(store, utc_now), tmp_path / "9", amounts(Kind.USAGE, "9"), segment="y")
    newest = max((data / "files/changes").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    moved(data)
    told = run("rebuild", "--data", str(data), "--output", "json")
    assert (told.exit_code, json.loads(told.stdout)["doubtful"]) == (1, [str(USAGE)])


def test_records_of_another_data_folder_are_not_rebuilt_from_and_named(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with open_store(other) as store:
        publish_bytes(
            DataFolder(store, utc_now), tmp_path / "x", billed(Kind.RECONCILIATION, "1", invoice="GX"), Assertions()
        )
    before = state_of(data)
    for path in (path for path in (other / "files").rglob("*.*") if path.is_file() and path.name != "catalog.json"):
        place = data / "files" / path.relative_to(other / "files")
        if path.parent.name == "changes":
            shutil.copy(path, place.with_name("000000000098.json"))
            change = documents.decode(path.read_bytes(), 2, Change)
            place.with_name("000000000099.json").write_bytes(sealed_records.encode(replace(change, counter=99)))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    moved(data)
    told = run("rebuild", "--data", str(data), "--output", "json")
    assert told.exit_code == 1
    rebuilt = json.loads(told.stdout)
    assert rebuilt["damaged"] == ["changes/000000000098.json"], "it does not have the number of its name"
    assert [Path(path).parent.name for path in rebuilt["foreign"]] == ["changes", "publications"]
    assert state_of(data) == before


def test_what_a_kept_catalog_has_lost_is_not_rebuilt_later(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(data / "catalog.sqlite", copy)
    with open_store(data) as store:
        publish_bytes(DataFolder(store, utc_now), tmp_path / "9", amounts(Kind.USAGE, "9"), segment="y")
    shutil.copy(copy, data / "catalog.sqlite")
    assert run("rebuild", "--keep-catalog", "--data", str(data)).exit_code == 0
    with open_store(data) as store:
        sweep(store, utc_now())
        store.set_aside()
    before = state_of(data)
    moved(data)
    told = run("rebuild", "--data", str(data))
    assert told.exit_code == 0, told.stderr
    assert state_of(data) == before
