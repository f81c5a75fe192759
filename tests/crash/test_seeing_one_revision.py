"""A walk and an export begun before a new revision was published see only the old one, to its end, wherever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from counterfoil.client import Api
from counterfoil.errors import OperationFailedError
from counterfoil.model import Dataset
from counterfoil.storage.engines import open_store
from tests.crash.plans import PARTNER, Plans
from tests.crash.processes import Job, Served, Worker, serving
from tests.crash.reading import Begun, Puller, Reading, apis_of


@pytest.fixture
def data(tmp_path: Path, plans: Plans) -> Path:
    """A data folder with the first state of two plans."""
    plans.whole.prepare(tmp_path / "data")
    plans.several.prepare(tmp_path / "data")
    return tmp_path / "data"


def read_all(server: Served, data: Path, datasets: list[Dataset]) -> dict[tuple[Dataset, Api], Reading]:
    """Read what is served now."""
    with Puller(server.url, data, PARTNER, data.parent) as puller:
        return {(dataset, api): puller.read(dataset, api) for dataset in datasets for api in apis_of(dataset)}


@contextmanager
def begun(server: Served, data: Path, datasets: list[Dataset]) -> Iterator[dict[Dataset, Begun]]:
    """Begin a walk and an export of each dataset."""
    with ExitStack() as stack:
        yield {dataset: stack.enter_context(Begun(server.url, data, PARTNER, dataset)) for dataset in datasets}


def test_walks_and_exports_see_the_revision_they_began_with(
    plans: Plans, data: Path, worker: Worker, tmp_path: Path
) -> None:
    """Also across a new publication, a killed and restarted server, another server process, and a sweep.

    Old links, and those that the operation gives anew, lead to the old data; what begins now sees the new.
    """
    datasets = [*plans.whole.datasets, *plans.several.datasets]
    with serving(data, tmp_path / "first.log") as server, serving(data, tmp_path / "other.log") as other:
        old = read_all(server, data, datasets)
        with begun(server, data, datasets) as here, begun(server, data, datasets) as elsewhere:
            with begun(server, data, datasets) as while_it_runs:
                for plan in (plans.whole, plans.several):
                    assert not worker.do(Job(data, plan.variants["b"])).error
                ended(while_it_runs, old)
            new = read_all(server, data, datasets)
            assert read_all(other, data, datasets) == new
            assert not set(old.values()) & set(new.values())
            for dataset, each in elsewhere.items():
                each.move(other.url)
                assert each.end() == {api: old[dataset, api] for api in apis_of(dataset)}
            server.kill()
            assert not worker.do(Job(data, does="sweep")).swept[1]
            with serving(data, tmp_path / "again.log", server.port) as again:
                ended(here, old)
                assert read_all(again, data, datasets) == new


def ended(begun: dict[Dataset, Begun], expected: dict[tuple[Dataset, Api], Reading]) -> None:
    """Go on to the end, and see just what was there at the beginning."""
    for dataset, each in begun.items():
        assert each.end() == {api: expected[dataset, api] for api in apis_of(dataset)}


def test_a_withdrawn_dataset_is_read_to_its_end(plans: Plans, data: Path, worker: Worker, tmp_path: Path) -> None:
    """Whoever began goes on; whoever comes after finds nothing."""
    [dataset] = plans.whole.datasets
    with serving(data, tmp_path / "log") as server:
        old = read_all(server, data, [dataset])
        with begun(server, data, [dataset]) as before:
            revision = last_revision(data, dataset)
            assert not worker.do(Job(data, does="withdraw", revision=revision)).error
            ended(before, old)
        with Puller(server.url, data, PARTNER, tmp_path) as puller, pytest.raises(OperationFailedError):
            puller.read(dataset, Api.GRAPH)
        assert not worker.do(Job(data, does="restore", revision=revision)).error
        assert read_all(server, data, [dataset]) == old


def last_revision(data: Path, dataset: Dataset) -> str:
    """Return the id of a dataset's newest revision."""
    with open_store(data, create=False).catalog as catalog:
        return catalog.revisions(dataset)[0].id
