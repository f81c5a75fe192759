"""Several publications, sweeps and restores at one folder, some of them stopped in the middle (SIGSTOP)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from counterfoil.periods import utc_now
from counterfoil.storage import sqlite
from counterfoil.storage.engines import open_store
from tests.crash.plans import DAILY, WHOLE, Plans, faults_in, in_force, orphans_in, swept
from tests.crash.processes import Given, Job, Worker, Workers, command
from tests.crash.test_kills import TWO_DAYS, bare_revision
from tests.crash.trials import Trial, chosen, stopped_at

RACES = 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps of this process give up soon on a catalog that another process writes to and has stopped."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 1)


@pytest.mark.parametrize(
    "point",
    [
        "half written 2",
        "committing 2",
        pytest.param("locked 1", marks=pytest.mark.chaos),
        pytest.param("committed 1", marks=pytest.mark.chaos),
    ],
)
def test_a_stopped_publication_keeps_others_out_and_completes_when_it_goes_on(
    plans: Plans, data: Path, workers: Workers, worker: Worker, point: str
) -> None:
    """Another publication of the dataset is told whom to wait for, and sweep takes nothing of it."""
    plans.whole.prepare(data)
    stopped_at(Trial(plans.whole, data, "a", "b"), point, workers, worker)


def test_a_killed_holder_is_in_nobodys_way(plans: Plans, data: Path, workers: Workers, worker: Worker) -> None:
    """What was stopped and then killed holds no lock any more."""
    plans.several.prepare(data)
    stopped_at(Trial(plans.several, data, "a", "b"), "sealed 1", workers, worker, kill=True)


def test_two_publications_of_one_dataset_race_and_one_wins_or_they_come_in_order(
    plans: Plans, data: Path, workers: Workers
) -> None:
    """Never half of each; the one that lost says that it should be tried again, and then succeeds."""
    race(plans, data, workers)


def race(plans: Plans, data: Path, workers: Workers) -> str:
    """Let both variants of one publication race into a folder that is not there yet; tell who was refused."""
    plan = plans.whole
    with workers.take() as left, workers.take() as right:
        left.begin(Job(data, plan.variants["a"]))
        right.begin(Job(data, plan.variants["b"]))
        ended = {"a": left.end(), "b": right.end()}
        won = [name for name, done in ended.items() if done is not None and not done.error]
        lost = {name: done.error for name, done in ended.items() if done is not None and done.error}
        assert won
        assert set(lost.values()) <= {"LockedError"}
        assert in_force(data, [WHOLE]) in [plan.outcome(name).etags for name in won]
        for name in won:
            done = ended[name]
            assert done is not None
            assert done.receipts == plan.outcome(name).receipts
        with open_store(data, create=False).catalog as catalog:
            assert len(catalog.revisions(WHOLE)) == len(won)
        for name in lost:
            assert left.do(Job(data, plan.variants[name])).receipts == plan.outcome(name).receipts
            assert in_force(data, [WHOLE]) == plan.outcome(name).etags
    assert faults_in(data) == []
    swept(data)
    assert orphans_in(data) == []
    return "a publication that raced was refused" if lost else "two publications that raced came in order"


def test_a_publication_that_is_refused_exits_with_4_and_says_why(plans: Plans, data: Path, workers: Workers) -> None:
    """Exit code 4 means: the same command may succeed later."""
    plans.whole.prepare(data)
    [given] = plans.whole.variants["b"]
    with workers.take() as holder:
        holder.begin(Job(data, [given], at="read 1", how="stop"))
        holder.until_stopped()
        refused = command("publish", given.file, "--period", given.period, "--data", data)
        assert (refused.returncode, refused.stdout) == (4, "")
        assert f"process {holder.id}" in refused.stderr
        assert str(WHOLE) in refused.stderr
        assert "Traceback" not in refused.stderr


def test_publications_of_two_segments_come_one_after_the_other_and_both_stay(
    plans: Plans, data: Path, workers: Workers, worker: Worker
) -> None:
    """A dataset is published by one at a time, whatever the segment; the second adds to what the first left."""
    plans.segment.prepare(data)
    first = plans.segment.variants["b"]
    [given] = plans.segment.variants["a"]
    other = [Given(given.file, "2026-11-21", given.period)]
    with workers.take() as holder:
        holder.begin(Job(data, first, at="sealed 1", how="stop"))
        holder.until_stopped()
        assert worker.do(Job(data, other)).error == "LockedError"
        holder.go_on()
        done = holder.end()
        assert done is not None
        assert done.receipts == plans.segment.outcome("b").receipts
    after = worker.do(Job(data, other))
    assert after.receipts[0]["lineItems"] == 600 + 900 + 900
    with open_store(data, create=False).catalog as catalog:
        current = catalog.in_force(DAILY)
        assert current is not None
        assert [segment.name for segment in catalog.segments(current.id)] == ["2026-11-19", "2026-11-20", "2026-11-21"]
    assert faults_in(data) == []


@pytest.mark.parametrize("point", ["sealed 1", "committing 2"])
def test_publications_of_two_datasets_do_not_hinder_each_other(
    plans: Plans, data: Path, workers: Workers, point: str
) -> None:
    """While one prepares the other publishes; while one commits the other waits for it."""
    plans.whole.prepare(data)
    with workers.take() as holder, workers.take() as other:
        holder.begin(Job(data, plans.whole.variants["b"], at=point, how="stop"))
        holder.until_stopped()
        other.begin(Job(data, plans.several.variants["a"]))
        if point == "committing 2":
            holder.go_on()
        done = other.end()
        assert done is not None
        assert done.receipts == plans.several.outcome("a").receipts
        holder.go_on()
        done = holder.end()
        assert done is not None
        assert done.receipts == plans.whole.outcome("b").receipts
    assert faults_in(data) == []


@pytest.mark.parametrize("does", ["withdraw", "restore"])
def test_nothing_is_withdrawn_or_restored_while_it_is_published_nor_the_other_way(
    plans: Plans, data: Path, workers: Workers, worker: Worker, does: str
) -> None:
    """Both wait for each other's lock, so that they come in some order."""
    plan = plans.whole
    plan.prepare(data)
    with open_store(data, create=False).catalog as catalog:
        first = catalog.revisions(WHOLE)[0].id
    with workers.take() as holder:
        holder.begin(Job(data, plan.variants["b"], at="sealed 1", how="stop"))
        holder.until_stopped()
        assert worker.do(Job(data, does=does, revision=first)).error == "LockedError"
        assert in_force(data, [WHOLE]) == plan.outcome("a").etags
        holder.go_on()
        assert holder.end() is not None
    assert in_force(data, [WHOLE]) == plan.outcome("b").etags
    with workers.take() as holder:
        holder.begin(Job(data, does=does, revision=first, at="committing 1", how="stop"))
        holder.until_stopped()
        assert worker.do(Job(data, plan.variants["a"])).error == "LockedError"
        holder.go_on()
        done = holder.end()
        assert done is not None
        assert not done.error
    assert in_force(data, [WHOLE]) == (plan.outcome("a").etags if does == "restore" else {WHOLE: ""})
    assert worker.do(Job(data, plan.variants["b"])).receipts == plan.outcome("b").receipts
    assert faults_in(data) == []


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["whole", "segment", "several"])
def test_a_publication_stopped_anywhere_keeps_others_out_and_completes(
    name: str, plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """Others are refused while it holds its datasets, sweep takes nothing of it, and it ends as if never stopped.

    Every other time it is killed instead: then it is in nobody's way.
    """
    plan = getattr(plans, name)
    plan.prepare(tmp_path / "data")
    trial = Trial(plan, tmp_path / "data", "b", "a")
    for number, point in enumerate(chosen(plan.outcome("b").points, dice)):
        trial = trial.turned()
        stopped_at(trial, point, workers, worker, kill=number % 2 == 1)
        tried[f"publications stopped, of {name}"] += 1


@pytest.mark.chaos
def test_many_races_of_two_publications(plans: Plans, workers: Workers, tmp_path: Path, tried: Counter[str]) -> None:
    """One wins, or they come in order; never half of each."""
    for number in range(RACES):
        tried[race(plans, tmp_path / f"data-{number}", workers)] += 1


@pytest.mark.chaos
def test_many_races_of_publish_withdraw_restore_and_sweep(
    plans: Plans, workers: Workers, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """Whatever their order, each does all of its work or none, and what is in force was put there by the last."""
    for number in range(RACES):
        data = tmp_path / f"data-{number}"
        with workers.take() as worker:
            first, _ = bare_revision(plans, worker, data)
        jobs = [
            Job(data, plans.whole.variants["a"]),
            Job(data, does=dice.choice(["withdraw", "restore"]), revision=first),
            Job(data, does="sweep", now=(utc_now() + TWO_DAYS).isoformat()),
        ]
        with workers.take() as one, workers.take() as two, workers.take() as three:
            running = list(zip((one, two, three), dice.sample(jobs, 3), strict=True))
            for worker, job in running:
                worker.begin(job)
            ended = {job.does: worker.end() for worker, job in running}
        errors = {does: done.error if done else "died" for does, done in ended.items()}
        assert set(errors.values()) <= {"", "LockedError", "MovedError"}, errors
        assert not errors["sweep"]
        states = [plans.whole.outcome("a").etags, plans.whole.outcome("b").etags, {WHOLE: ""}]
        assert in_force(data, [WHOLE]) in states
        assert faults_in(data) == []
        swept(data)
        assert orphans_in(data) == []
        for does, error in errors.items():
            tried[f"races of publish, {jobs[1].does} and sweep: {does} {error or 'done'}"] += 1
