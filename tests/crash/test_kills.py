"""kill -9 at a few named points; `make chaos` tries all of them, and random moments, under load."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.chaos.plans import WHOLE, Plans, faults_in, in_force, orphans_in, swept
from tests.chaos.processes import Job, Worker, Workers
from tests.chaos.trials import Trial, killed_at

TWO_DAYS = timedelta(hours=49)  # after which wire forms of superseded revisions may be swept


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("whole", ["half written 2", "committing 2", "settling 1", "synced 14"]),
        ("segment", ["sealed 1", "committed 1"]),
        ("several", ["spilled 2", "statement 9", "committed 1"]),
    ],
)
def test_a_killed_publication_is_all_there_or_not_at_all(
    name: str, points: list[str], plans: Plans, workers: Workers, worker: Worker, tmp_path: Path
) -> None:
    """The same again gives the receipt of an undisturbed run; `verify` is clean and `sweep` leaves no orphan."""
    trial = Trial(getattr(plans, name), tmp_path / "data", "b", "a")
    trial.plan.prepare(trial.data)
    for point in points:
        trial = trial.turned()
        killed_at(trial, point, workers, worker)


@pytest.mark.parametrize("point", ["half written 1", "statement 5", "committing 2", "committing 3"])
def test_a_killed_restore_leaves_the_old_state_or_the_new(
    plans: Plans, workers: Workers, worker: Worker, tmp_path: Path, point: str
) -> None:
    """What was rendered again has the bytes it had, and what nobody lists is swept."""
    restored_after_kill(plans, workers, worker, tmp_path / "data", point)


def restored_after_kill(plans: Plans, workers: Workers, worker: Worker, data: Path, point: str) -> None:
    """Kill the restore of a revision whose wire forms were swept, and do it again."""
    first, before = bare_revision(plans, worker, data)
    with workers.take() as victim:
        victim.begin(Job(data, does="restore", revision=first, at=point))
        assert victim.end() is None, f"it never came to {point}"
    assert in_force(data, [WHOLE]) in (plans.whole.outcome("a").etags, plans.whole.outcome("b").etags)
    assert faults_in(data) == []
    assert not worker.do(Job(data, does="restore", revision=first)).error
    assert in_force(data, [WHOLE]) == plans.whole.outcome("a").etags
    assert hashes_of(data, first) == before
    swept(data)
    assert orphans_in(data) == []
    assert faults_in(data) == []


def bare_revision(plans: Plans, worker: Worker, data: Path) -> tuple[str, list[str]]:
    """Publish two revisions and sweep the wire forms of the first; return its id, and the hashes of all its files."""
    plans.whole.prepare(data)
    with open_store(data, create=False).catalog as catalog:
        first = catalog.revisions(WHOLE)[0].id
    before = hashes_of(data, first)
    assert not worker.do(Job(data, plans.whole.variants["b"])).error
    assert swept(data, TWO_DAYS).files == len(before) * 3 // 4
    return first, before


def hashes_of(data: Path, revision: str) -> list[str]:
    """Return the SHA-256 of all files of a revision."""
    with open_store(data, create=False).catalog as catalog:
        return [file.sha256 for file in catalog.files(revision)]


@pytest.mark.parametrize("point", ["committing 3", "deleting 1", "deleting 5"])
def test_a_killed_sweep_is_ended_by_the_next(
    plans: Plans, workers: Workers, worker: Worker, tmp_path: Path, point: str
) -> None:
    """The catalog forgets first: what it still lists is there, and what it does not is taken by the next sweep."""
    swept_after_kill(plans, workers, worker, tmp_path / "data", point)


def swept_after_kill(plans: Plans, workers: Workers, worker: Worker, data: Path, point: str) -> None:
    """Kill a sweep that has wire forms and an orphan to take, and sweep again."""
    plans.whole.prepare(data)
    with workers.take() as victim:
        victim.begin(Job(data, plans.whole.variants["b"], at="sealed 1"))
        assert victim.end() is None
    assert not worker.do(Job(data, plans.whole.variants["b"])).error
    with workers.take() as victim:
        victim.begin(Job(data, does="sweep", now=(utc_now() + TWO_DAYS).isoformat(), at=point))
        assert victim.end() is None, f"it never came to {point}"
    assert faults_in(data) == []
    swept(data, TWO_DAYS)
    assert orphans_in(data) == []
    assert faults_in(data) == []
    assert in_force(data, [WHOLE]) == plans.whole.outcome("b").etags
