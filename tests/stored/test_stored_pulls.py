"""Pull folders of version 2: finished ones are not fetched again, unfinished ones go on from where they were."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

from counterfoil import cli
from counterfoil.client import Api, Format
from counterfoil.client.holdings.holding import Holding, holdings_below
from counterfoil.client.holdings.verifying import verify
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.client.receipt import Proof, Receipt
from counterfoil.model import Dataset
from tests.stored.stored_folders import INVOICED_USAGE, LICENCES, USAGE, Served, ask_for, serving

pytestmark = pytest.mark.usefixtures("program")
FINISHED = {
    "usage-blobs": (USAGE, Format.BLOBS, Api.GRAPH),
    "usage-parquet": (INVOICED_USAGE, Format.PARQUET, Api.GRAPH),
    "licences-csv": (LICENCES, Format.CSV, Api.GRAPH),
    "usage-walk": (USAGE, Format.BLOBS, Api.V1),
}


def pull(served: Served, to: Path, dataset: Dataset, form: Format, api: Api) -> Receipt:
    with served.client(api) as client:
        return client.pull(ask_for(dataset), to, format=form, api=api)


def held_in(pulls: Path) -> dict[str, Holding]:
    return {holding.folder.name: holding for holding in holdings_below(pulls, ours=True)}


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "receipt.json"}


def lines_in(folder: Path) -> dict[str, bytes]:
    """The line items of each blob: no two compressions need give the same bytes."""
    return {name: gzip.decompress(content) for name, content in files_in(folder).items()}


def test_all_of_them_are_sound(pulls: Path) -> None:
    held = held_in(pulls)
    assert {name for name, holding in held.items() if holding.receipt} == set(FINISHED)
    assert {name for name, holding in held.items() if holding.unfinished} == {"unfinished-export", "unfinished-walk"}
    assert [fault for holding in held.values() for fault in verify(holding)] == []
    assert all(holding.receipt.proof is Proof.PROVEN for holding in held.values() if holding.receipt)
    told = CliRunner().invoke(cli.main, ["pulls", "verify", str(pulls)], prog_name="counterfoil")
    assert told.exit_code == 0, told.stderr


@pytest.mark.parametrize("name", FINISHED)
def test_what_is_held_is_not_fetched_again(pulls: Path, data: Path, name: str) -> None:
    before = files_in(pulls / name)
    with serving(data) as served:
        receipt = pull(served, pulls / name, *FINISHED[name])
        assert receipt.already_held
        assert not [path for path in served.transport.paths if path.startswith("/blobs/")]
    assert files_in(pulls / name) == before


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
def test_an_unfinished_export_goes_on_to_the_same_bytes(pulls: Path, data: Path, form: Format) -> None:
    """The blob that was verified is not fetched again, unless another form is wanted."""
    to = pulls / "unfinished-export"
    [kept] = [path.name for path in (to / STAGING).glob("*.json.gz")]
    with serving(data) as served:
        receipt = pull(served, to, USAGE, form, Api.GRAPH)
        blobs = [path for path in served.transport.paths if path.startswith("/blobs/")]
    assert not [path for path in blobs if path.endswith(kept)]
    assert len(blobs) == len(receipt.blobs) - 1
    assert receipt.proof is Proof.PROVEN
    if form is Format.BLOBS:
        assert files_in(to) == files_in(pulls / "usage-blobs")
    assert verify(held_in(pulls)[to.name]) == []


def test_an_unfinished_walk_goes_on_with_the_next_page(pulls: Path, data: Path) -> None:
    to = pulls / "unfinished-walk"
    had = len((to / STAGING / "walk.jsonl").read_bytes().splitlines())
    with serving(data) as served:
        pull(served, pulls / "whole", USAGE, Format.BLOBS, Api.V1)
        pages = len(served.transport.paths)
        receipt = pull(served, to, USAGE, Format.BLOBS, Api.V1)
        assert len(served.transport.paths) - pages == pages - had
    assert (receipt.proof, had) == (Proof.PROVEN, 3)
    assert lines_in(to) == lines_in(pulls / "usage-walk") == lines_in(pulls / "whole")
    assert verify(held_in(pulls)[to.name]) == []
