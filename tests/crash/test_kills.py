"""kill -9 at a few named points; `make chaos` tries all of them, and random moments, under load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from counterfoil.client import Api
from counterfoil.errors import DataFolderError
from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.crash.plans import PARTNER, WHOLE, Plan, Plans, faults_in, in_force, orphans_in, swept
from tests.crash.processes import Job, Worker, Workers, serving
from tests.crash.reading import Begun, Puller, Readers, Reading, Truth
from tests.crash.trials import Trial, chosen, killed_at
from tests.datasets.line_items import unpacked

RUNS_IN_A_FOLDER = 25  # `verify` reads every revision, and so takes longer each time
TWO_DAYS = timedelta(hours=49)  # after which wire forms of superseded revisions may be swept
Known = dict[tuple[str, Api], Reading]


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("whole", ["half written 2", "committing 2", "settling 1", "synced 14"]),
        ("segment", ["sealed 1", "committed 1"]),
        ("several", ["spilled 2", "half written 12", "statement 9", "committed 1"]),
        ("divided", ["read 1", "committing 2", "sealed 1"]),
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


@pytest.mark.parametrize(
    "point",
    [
        "half written 1",
        "committing 2",
        pytest.param("statement 5", marks=pytest.mark.chaos),
        pytest.param("committing 3", marks=pytest.mark.chaos),
    ],
)
def test_a_killed_restore_leaves_the_old_state_or_the_new(
    plans: Plans, workers: Workers, worker: Worker, tmp_path: Path, point: str
) -> None:
    """What was rendered again has the contents it had, and what nobody lists is swept."""
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
    assert contents_of(data, first) == before
    swept(data)
    assert orphans_in(data) == []
    assert faults_in(data) == []


def bare_revision(plans: Plans, worker: Worker, data: Path) -> tuple[str, list[bytes]]:
    """Publish two revisions and sweep the wire forms of the first; return its id, and what all its files held."""
    plans.whole.prepare(data)
    with open_store(data, create=False).catalog as catalog:
        first = catalog.revisions(WHOLE)[0].id
    before = contents_of(data, first)
    assert not worker.do(Job(data, plans.whole.variants["b"])).error
    assert swept(data, TWO_DAYS).files == len(before) * 3 // 4
    return first, before


def contents_of(data: Path, revision: str) -> list[bytes]:
    """Return what all files of a revision hold."""
    with open_store(data, create=False).catalog as catalog:
        return [unpacked(data / "files" / file.path) for file in catalog.files(revision)]


@pytest.mark.parametrize("point", ["committing 3", "deleting 1", pytest.param("deleting 5", marks=pytest.mark.chaos)])
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


class Watched:
    """A data folder that is served, and read all the time."""

    def __init__(self, data: Path, url: str, readers: Readers, truth: Truth, known: Known) -> None:
        self.data, self.url, self.readers, self.truth, self._known = data, url, readers, truth, known

    @contextmanager
    def begun(self, plan: Plan, state: str) -> Iterator[None]:
        """Begin walks and exports, and end them when something else has happened: they see what they began with."""
        with ExitStack() as stack:
            begun = {
                dataset: stack.enter_context(Begun(self.url, self.data, PARTNER, dataset)) for dataset in plan.datasets
            }
            yield
            for dataset, each in begun.items():
                etag = plan.outcome(state).etags[dataset]
                for api, reading in each.end().items():
                    assert reading == self._known[etag, api]
            self.readers.check()


@contextmanager
def watched(plans: tuple[Plan, ...], data: Path, known: Known, tried: Counter[str]) -> Iterator[Watched]:
    """Publish the first state of all plans, serve it, and let readers loose on it."""
    truth = Truth()
    for plan in plans:
        plan.prepare(data)
        truth.tell({dataset: [etag] for dataset, etag in plan.outcome("a").etags.items()})
    datasets = [dataset for plan in plans for dataset in plan.datasets]
    with (
        serving(data, data.with_suffix(".log")) as server,
        Puller(server.url, data, PARTNER, data.parent) as puller,
        Readers(puller, datasets, truth, known) as readers,
    ):
        yield Watched(data, server.url, readers, truth, known)
        readers.check()
        assert faults_in(data) == []
        assert all(readers.readings.values()), readers.readings
    for api, count in readers.readings.items():
        tried[f"whole readings by {api} beside them"] += count


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["whole", "segment", "several"])
def test_a_publication_killed_at_any_point_is_all_there_or_not_at_all(
    name: str, plans: Plans, known: Known, workers: Workers, worker: Worker, dice: Random, tmp_path: Path,
    tried: Counter[str],
) -> None:  # fmt: skip
    """A reader sees one whole revision; the same again gives the same receipt; no orphan stays; nothing live goes."""
    plan = getattr(plans, name)
    with watched((plan,), tmp_path / "data", known, tried) as place:
        trial = Trial(plan, place.data, "a", "b", place.truth)
        recorded = worker.do(trial.job())
        trial.again(worker)
        for point in chosen(recorded.points, dice):
            trial = trial.turned()
            with place.begun(plan, trial.old):
                killed_at(trial, point, workers, worker)
            tried[f"kills at a named point of {name}"] += 1


@pytest.mark.chaos
def test_a_publication_killed_at_random_moments_is_all_there_or_not_at_all(
    plans: Plans, known: Known, workers: Workers, worker: Worker, dice: Random, runs: int, tmp_path: Path,
    tried: Counter[str],
) -> None:  # fmt: skip
    """As at the named points, at moments that nobody chose; sometimes it is swept before it is done again.

    A kill that came when the publication was over is counted apart, and does not count as one of the `runs`.
    """
    done = tries = 0
    usual_s = {plan.name: takes_s(plan, workers, tmp_path) for plan in plans.all()}
    while done < runs:
        with watched(plans.all(), tmp_path / f"data-{tries}", known, tried) as place:
            trials = {plan.name: Trial(plan, place.data, "a", "b", place.truth) for plan in plans.all()}
            for _ in range(min(RUNS_IN_A_FOLDER, runs - done)):
                tries += 1
                assert tries <= 4 * runs, "most kills come too late: publishing takes less time than was measured"
                trial = trials[dice.choice(list(trials))]
                trials[trial.plan.name] = trial.turned()
                with place.begun(trial.plan, trial.old):
                    wait_s = dice.uniform(0, usual_s[trial.plan.name])
                    at_work, came_to = killed_at_a_moment(
                        trial, workers, worker, wait_s, sweeps_first=dice.random() < 0.5
                    )
                    done += at_work
                    tried[came_to] += 1


def killed_at_a_moment(
    trial: Trial, workers: Workers, worker: Worker, wait_s: float, *, sweeps_first: bool
) -> tuple[bool, str]:
    """Kill a publication somewhere, look, do it again, look again; tell whether it was at work, and how far it came."""
    with workers.take() as victim:
        trial.begins()
        victim.begin(trial.job())
        at_work = victim.kill_after(wait_s)
    state = trial.died(worker)
    if sweeps_first:
        trial.tidied(worker)
    trial.again(worker)
    trial.tidied(worker)
    when = "before" if state == trial.old else "after"
    return at_work, f"random kills {when} the commit" if at_work else "random kills that came too late"


def takes_s(plan: Plan, workers: Workers, folder: Path) -> float:
    """How long a publication takes that is the first of its process, as those that are killed are."""
    with workers.take() as first:
        return first.do(Job(folder / f"timed-{plan.name}", plan.variants["a"])).took_s


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["whole", "several"])
def test_a_first_publication_killed_at_any_point_leaves_a_folder_that_works(
    name: str, plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """Making the catalog is part of it: nothing, or all, is there, and the same again gives the same receipt."""
    plan = getattr(plans, name)
    recorded = worker.do(Job(tmp_path / "recorded", plan.variants["a"]))
    for point in chosen(recorded.points, dice):
        data = tmp_path / point.replace(" ", "-")
        with workers.take() as victim:
            victim.begin(Job(data, plan.variants["a"], at=point))
            assert victim.end() is None, f"it never came to {point}"
        with suppress(DataFolderError):  # which says that there is nothing yet
            assert in_force(data, plan.datasets) in (
                dict.fromkeys(plan.datasets, ""),
                plan.outcome("a").etags,
            )
        trial = Trial(plan, data, "a", "a")
        trial.again(worker)
        trial.tidied(worker)
        tried[f"kills at a named point of a first publication ({name})"] += 1


@pytest.mark.chaos
def test_a_restore_killed_at_any_point(
    plans: Plans, workers: Workers, worker: Worker, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """The old state or the new; what was rendered again has its old contents."""
    first, _ = bare_revision(plans, worker, tmp_path / "recorded")
    recorded = worker.do(Job(tmp_path / "recorded", does="restore", revision=first))
    for point in chosen(recorded.points, dice):
        restored_after_kill(plans, workers, worker, tmp_path / point.replace(" ", "-"), point)
        tried["kills of a restore"] += 1


@pytest.mark.chaos
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
