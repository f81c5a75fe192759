"""Erasing a partner: nothing of it stays, nothing of another goes, and a killed run is finished by the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.offboarding import erase_partner
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.rebuild import rebuild
from counterfoil.datasets.restore import withdraw
from counterfoil.datasets.verify import verify
from counterfoil.errors import LockedError, MissingError
from counterfoil.model import Kind
from counterfoil.storage.engines import open_store, open_to_rebuild
from tests.datasets.conftest import NOW
from tests.datasets.line_items import ALLOWING, OTHER, PARTNER, UNBILLED, amounts, billed, write

SECRET = "7654321.25"  # an amount of the partner that is erased


def fill(data_folder: DataFolder, folder: Path) -> None:
    """Both partners have data, in publications of their own and in one that they share; one dataset is withdrawn."""
    other = Assertions(OTHER, PARTNER, period=UNBILLED.period)
    shared = [
        Input(write(folder / "erased-partner.jsonl", amounts(Kind.USAGE, SECRET, "2"))),
        Input(write(folder / "b.jsonl", amounts(Kind.USAGE, "3")), other),
    ]
    shared[0] = replace(shared[0], asserted=UNBILLED)
    publish(data_folder, shared)
    publish(data_folder, [Input(write(folder / "c.jsonl", billed(Kind.USAGE, SECRET)))])
    [own] = publish(data_folder, [Input(write(folder / "d.jsonl", billed(Kind.RECONCILIATION, "5")))])
    publish(data_folder, [Input(write(folder / "d.jsonl", billed(Kind.RECONCILIATION, "6")))], safeguards=ALLOWING)
    withdraw(data_folder, own.dataset)
    data_folder.catalog.add_client(PARTNER, "its program", NOW, expires_at=NOW + timedelta(days=1))
    data_folder.catalog.add_client(OTHER, "another", NOW)


def left_of(data: Path, *texts: str) -> list[str]:
    """The files with one of these texts in their bytes or path."""
    return [
        str(path.relative_to(data))
        for path in sorted(data.rglob("*"))
        if path.is_file() and any(text.encode() in path.read_bytes() or text in str(path) for text in texts)
    ]


def check(data_folder: DataFolder, data: Path) -> None:
    """Nothing of the partner is left, and the other's is as it was."""
    datasets = data_folder.catalog.datasets()
    assert [(dataset.partner, revision is not None) for dataset, revision in datasets] == [(OTHER, True)]
    assert [each.tenant for each in data_folder.catalog.partners()] == [OTHER]
    assert len(data_folder.catalog.clients(OTHER)) == 1
    assert verify(data_folder.store, lambda *_: None)[1] == []
    assert data_folder.store.unlisted() == []
    data_folder.catalog.close()  # the write-ahead log goes into the catalog
    assert left_of(data, SECRET, "erased-partner", "its program") == []
    of_tenant = [path for path in left_of(data, PARTNER) if not path.startswith(("files/changes/", "catalog"))]
    # Its line items were another's too: the issuer of the other partner's.
    assert all(OTHER in path or path.startswith("files/publications/") for path in of_tenant)


@pytest.mark.parametrize("point", ["", "withdrawn", "left out", "forgotten"])
def test_a_partner_is_erased_whenever_it_is_killed_and_done_again(
    data: Path, data_folder: DataFolder, tmp_path: Path, point: str
) -> None:
    fill(data_folder, tmp_path / "in")

    class Killed(BaseException):
        pass

    def die(where: str) -> None:
        if where == point:
            raise Killed

    if point:
        with pytest.raises(Killed):
            erase_partner(replace(data_folder, at_point=die), PARTNER)
    erased, deleted = erase_partner(data_folder, PARTNER)
    if not point:
        assert (erased.datasets, erased.revisions, erased.clients) == (3, 4, 1)
        assert deleted.files > 10
    check(data_folder, data)
    with open_store(data) as store, pytest.raises(MissingError, match="nothing of"):
        erase_partner(DataFolder(store, lambda: NOW), PARTNER)
    # A catalog that is made of the records alone does not bring it back.
    for path in data.glob("catalog.*"):
        path.unlink()
    store, _ = open_to_rebuild(data)
    with store:
        rebuilt = rebuild(store, lambda: NOW)
        assert (rebuilt.in_force, rebuilt.damaged, rebuilt.missing) == (1, (), 0)
        assert [dataset.partner for dataset, _ in store.catalog.datasets()] == [OTHER]


def test_a_partner_for_whom_something_is_published_is_not_erased(data_folder: DataFolder, tmp_path: Path) -> None:
    fill(data_folder, tmp_path / "in")
    [(dataset, _), *_] = data_folder.catalog.datasets(PARTNER)
    with data_folder.store.hold([dataset]), pytest.raises(LockedError):
        erase_partner(data_folder, PARTNER)
    assert len(data_folder.catalog.datasets(PARTNER)) == 3
