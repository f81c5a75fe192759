"""Publications stopped at every point beside others, and races in great number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from counterfoil.periods import utc_now
from counterfoil.storage import sqlite
from tests.chaos.plans import WHOLE, Plans, faults_in, in_force, orphans_in, swept
from tests.chaos.processes import Job, Worker, Workers
from tests.chaos.trials import Trial, chosen, stopped_at
from tests.crash.test_kills import TWO_DAYS, bare_revision, restored_after_kill, swept_after_kill
from tests.crash.test_races import race

pytestmark = pytest.mark.chaos
RACES = 40


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 1)


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


def test_many_races_of_two_publications(plans: Plans, workers: Workers, tmp_path: Path, tried: Counter[str]) -> None:
    """One wins, or they come in order; never half of each."""
    for number in range(RACES):
        tried[race(plans, tmp_path / f"data-{number}", workers)] += 1


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


def test_a_restore_killed_at_any_point(
    plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """The old state or the new; what was rendered again has its old bytes."""
    first, _ = bare_revision(plans, worker, tmp_path / "recorded")
    recorded = worker.do(Job(tmp_path / "recorded", does="restore", revision=first))
    for point in chosen(recorded.points, dice):
        restored_after_kill(plans, workers, worker, tmp_path / point.replace(" ", "-"), point)
        tried["kills of a restore"] += 1


def test_a_sweep_killed_at_any_point(
    plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """Nothing that is listed is missing, and the next sweep takes the rest."""
    data = tmp_path / "recorded"
    plans.whole.prepare(data)
    with workers.take() as victim:
        victim.begin(Job(data, plans.whole.variants["b"], at="sealed 1"))
        assert victim.end() is None
    worker.do(Job(data, plans.whole.variants["b"]))
    recorded = worker.do(Job(data, does="sweep", now=(utc_now() + TWO_DAYS).isoformat()))
    for point in chosen(recorded.points, dice, 6):
        swept_after_kill(plans, workers, worker, tmp_path / point.replace(" ", "-"), point)
        tried["kills of a sweep"] += 1
