"""A data folder whose catalog is going to be lost, and what tests of that share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from counterfoil import cli
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.restore import restore, withdraw
from counterfoil.datasets.sweep import sweep
from counterfoil.datasets.verify import verify
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import utc_now
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import PARTNER, PERIOD, amounts, billed, in_force, publish_bytes

USAGE = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(PERIOD, "EUR"))
LATER = timedelta(hours=49)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="counterfoil")


def folder_to_lose(tmp_path: Path) -> Path:
    """A folder with segments, superseded revisions, a withdrawn dataset and a restored one whose rival was swept."""
    data = tmp_path / "data"
    with open_store(data) as store:
        data_folder, catalog = DataFolder(store, utc_now), store.catalog
        publish_bytes(data_folder, tmp_path / "1", amounts(Kind.USAGE, "1"), segment="2026-11-01")
        publish_bytes(data_folder, tmp_path / "2", amounts(Kind.USAGE, "2"), segment="2026-11-02")
        publish_bytes(data_folder, tmp_path / "3", amounts(Kind.USAGE, "3"), segment="2026-11-02")
        told = Assertions()
        withdrawn = publish_bytes(data_folder, tmp_path / "4", billed(Kind.RECONCILIATION, "4", invoice="G4"), told)
        withdraw(data_folder, withdrawn.dataset)
        old = in_force(publish_bytes(data_folder, tmp_path / "5", billed(Kind.RECONCILIATION, "5", invoice="G5"), told))
        publish_bytes(data_folder, tmp_path / "6", billed(Kind.RECONCILIATION, "6", invoice="G5"), told)
        sweep(store, utc_now() + LATER, trust_clock=True)
        restore(data_folder, old)
        client, _ = catalog.add_client(PARTNER, "tool", utc_now())
        catalog.revoke_client(PARTNER, client.id, utc_now())
        assert verify(store)[1] == []
    return data


def state_of(data: Path) -> dict[Dataset, tuple[Revision | None, list[str]]]:
    """What is in force, and which revisions are kept."""
    with open_store(data, create=False) as store:
        found = store.catalog.datasets()
        return {each: (current, [old.id for old in store.catalog.revisions(each)]) for each, current in found}


def moved(data: Path) -> None:
    for path in data.glob("catalog.sqlite*"):
        path.rename(data.parent / path.name)
