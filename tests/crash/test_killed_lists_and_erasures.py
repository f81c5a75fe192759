"""kill -9 where one run makes several transactions: of a list, and while a partner is erased.

Each transaction is done or it is not, whatever became of the others, and the same again does the rest.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.model import Dataset
from counterfoil.storage.engines import open_store
from tests.crash.plans import Plans, faults_in, in_force, orphans_in, swept
from tests.crash.processes import Job, Worker, Workers
from tests.crash.trials import COMMITTED, chosen
from tests.datasets.conftest import NOW
from tests.datasets.line_items import OTHER, PARTNER
from tests.datasets.test_offboarding import check, fill

TOGETHER: Final = 2  # datasets in a transaction
# Points of a list, in its order: the first transaction is spilled, sealed and committed, and then the second.
OF_A_LIST: Final = ["spilled 2", "sealed 1", COMMITTED, "committed 1", "sealed 2", "settling 2"]


def list_job(plans: Plans, data: Path, variant: str, at: str = "") -> Job:
    """Publish the datasets of a plan as those of a list are."""
    several = plans.several
    return Job(data, several.variants[variant], "publish many", at=at, run_bytes=several.run_bytes)


def killed(job: Job, workers: Workers) -> None:
    """Do a job up to its point."""
    with workers.take() as victim:
        victim.begin(job)
        assert victim.end() is None, f"it never came to {job.at}"


def check_list(plans: Plans, data: Path, old: str, new: str, committed: int, worker: Worker) -> None:
    """So many transactions are done, and no part of another; the same again does the others."""
    plan = plans.several
    before, after = plan.outcome(old).etags, plan.outcome(new).etags
    expected = {
        dataset: (after if number // TOGETHER < committed else before)[dataset]
        for number, dataset in enumerate(plan.datasets)
    }
    assert in_force(data, plan.datasets) == expected
    assert worker.do(Job(data, does="verify newest")).faults == []
    done = worker.do(list_job(plans, data, new))
    assert not done.error, done.message
    assert in_force(data, plan.datasets) == after
    swept(data)
    assert orphans_in(data) == []
    assert worker.do(Job(data, does="verify newest")).faults == []


def test_a_killed_list_has_published_whole_transactions_and_goes_on(
    plans: Plans, workers: Workers, worker: Worker, tmp_path: Path
) -> None:
    data, old, new = tmp_path / "data", "a", "b"
    plans.several.prepare(data)
    for point in OF_A_LIST:
        killed(list_job(plans, data, new, point), workers)
        committed = sum(OF_A_LIST.index(point) >= OF_A_LIST.index(done) for done in (COMMITTED, "settling 2"))
        check_list(plans, data, old, new, committed, worker)
        old, new = new, old


@pytest.mark.chaos
def test_a_list_killed_at_any_point(
    plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    data, old, new = tmp_path / "data", "a", "b"
    plans.several.prepare(data)
    points = worker.do(list_job(plans, data, new)).points
    for point in chosen(points, dice):
        old, new = new, old
        killed(list_job(plans, data, new, point), workers)
        passed = points[: points.index(point) + 1]
        check_list(plans, data, old, new, sum(each.startswith("settling ") for each in passed), worker)
        tried["kills of a list"] += 1


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of two partners."""
    folder = tmp_path_factory.mktemp("filled")
    with open_store(folder / "data") as store:
        fill(DataFolder(store, lambda: NOW), folder / "in")
    return folder / "data"


def erasure(data: Path, at: str = "") -> Job:
    return Job(data, does="erase", partner=PARTNER, now=NOW.isoformat(), at=at)


def served(data: Path) -> dict[str, dict[Dataset, str]]:
    """What is in force of each partner."""
    with open_store(data, create=False).catalog as catalog:
        found = [(dataset, revision.etag) for dataset, revision in catalog.datasets() if revision is not None]
    return {partner: {each: etag for each, etag in found if each.partner == partner} for partner in (PARTNER, OTHER)}


def erased_after_kill(filled: Path, data: Path, point: str, workers: Workers, worker: Worker) -> None:
    """All of the partner is served, or nothing; another's data stays; the same again erases what is left."""
    shutil.copytree(filled, data)
    before = served(data)
    killed(erasure(data, point), workers)
    after = served(data)
    assert after[OTHER] == before[OTHER]
    assert after[PARTNER] in (before[PARTNER], {})
    assert len(before[PARTNER]) == 2
    assert faults_in(data) == []
    done = worker.do(erasure(data))
    assert done.error in {"", "MissingError"}, done.message  # for it may have been killed when all was done
    with open_store(data, create=False) as store:
        check(DataFolder(store, lambda: NOW), data)


@pytest.mark.parametrize("point", ["committing 1", "settling 1", "left out 1", "statement 12", "deleting 3"])
def test_a_killed_erasure_is_ended_by_the_next(
    filled: Path, workers: Workers, worker: Worker, tmp_path: Path, point: str
) -> None:
    erased_after_kill(filled, tmp_path / "data", point, workers, worker)


@pytest.mark.chaos
def test_an_erasure_killed_at_any_point(
    filled: Path, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    shutil.copytree(filled, tmp_path / "recorded")
    for point in chosen(worker.do(erasure(tmp_path / "recorded")).points, dice, 8):
        erased_after_kill(filled, tmp_path / point.replace(" ", "-"), point, workers, worker)
        tried["kills of an erasure"] += 1
