"""What must hold after a publication died, and after it was done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

import pytest

from counterfoil.errors import LockedError
from tests.crash.plans import Plan, in_force, orphans_in, strangers_in, swept
from tests.crash.processes import Job, Worker, Workers
from tests.crash.reading import Truth

COMMITTED: Final = "settling 1"  # what comes next once the transaction is done


@dataclass(frozen=True)
class Trial:
    """A publication of `new` over `old` that will not get to its end."""

    plan: Plan
    data: Path
    old: str
    new: str
    truth: Truth | None = None

    def job(self, at: str = "", how: str = "kill") -> Job:
        """Return what is to be done."""
        return self.plan.job(self.data, self.new, at, how)

    def turned(self) -> Self:
        """Return the trial that follows: the other way round."""
        return type(self)(self.plan, self.data, self.new, self.old, self.truth)

    def begins(self) -> None:
        """From now on readers may see either state."""
        self._tell(self.old, self.new)

    def died(self, worker: Worker, passed: Sequence[str] | None = None) -> str:
        """Check that all datasets are in the old state, or all in the new; return which.

        `passed` are the points it passed, if they are known: then it is known which of the two it must be.
        """
        found = in_force(self.data, self.plan.datasets)
        states = [name for name in (self.old, self.new) if found == self.plan.outcome(name).etags]
        assert states, f"neither the old state nor the new: {found}"
        if passed is not None:
            assert states == [self.new if COMMITTED in passed else self.old]
        self._tell(states[0])
        assert worker.do(Job(self.data, does="verify newest")).faults == []
        assert strangers_in(self.data) == []
        return states[0]

    def again(self, worker: Worker) -> None:
        """Publish the same again, which must come to just what it does undisturbed."""
        self.begins()
        done = worker.do(self.job())
        assert not done.error, done.message
        assert done.receipts == self.plan.outcome(self.new).receipts
        assert in_force(self.data, self.plan.datasets) == self.plan.outcome(self.new).etags
        self._tell(self.new)

    def tidied(self, worker: Worker) -> None:
        """Sweep; nothing that nobody lists is left, and everything that is listed is there and sound."""
        assert swept(self.data).publications_at_work == 0
        assert orphans_in(self.data) == []
        assert worker.do(Job(self.data, does="verify newest")).faults == []

    def _tell(self, *states: str) -> None:
        if self.truth is not None:
            for dataset in self.plan.datasets:
                self.truth.tell({dataset: [self.plan.outcome(state).etags[dataset] for state in states]})


def killed_at(trial: Trial, point: str, workers: Workers, again: Worker) -> None:
    """Kill a publication at a point, look, do it again, look again."""
    with workers.take() as victim:
        trial.begins()
        victim.begin(trial.job(at=point))
        assert victim.end() is None, f"it never came to {point}"
    points = trial.plan.outcome(trial.new).points
    trial.died(again, points[: points.index(point) + 1] if point in points else None)
    trial.again(again)
    trial.tidied(again)


def chosen(points: Sequence[str], dice: Random, each: int = 3) -> list[str]:
    """Return every point by name; of those that are passed often, the first, the last and some between."""
    often = Counter(point.rpartition(" ")[0] for point in points)
    kept = []
    for name, count in often.items():
        numbers = range(1, count + 1)
        if count > each:
            numbers = sorted({1, count, *dice.sample(range(2, count), each - 2)})  # type: ignore[assignment]
        kept += [f"{name} {number}" for number in numbers]
    return sorted(kept, key=list(points).index)


def held_at(points: Sequence[str], point: str) -> bool:
    """Whether a publication holds its datasets at a point: from when it says so until it has let go of all."""
    return points.index("locked 1") <= points.index(point) < points.index("cleaning 1")


def in_commit_at(points: Sequence[str], point: str) -> bool:
    """Whether a publication is within a catalog transaction at a point: no other may write to the catalog then.

    The first statement of each is the one that begins it.
    """
    return point.startswith(("statement ", "committing ")) and points[points.index(point) - 1].startswith("statement ")


def stopped_at(trial: Trial, point: str, workers: Workers, worker: Worker, *, kill: bool = False) -> None:
    """Stop a publication at a point, try another and a sweep beside it, and let it go on (or kill it)."""
    points = trial.plan.outcome(trial.new).points
    other = trial.plan.job(trial.data, trial.old)
    with workers.take() as holder:
        trial.begins()
        holder.begin(trial.job(at=point, how="stop"))
        holder.until_stopped()
        if points.index(point) < points.index("cleaning 1"):  # after that it would be an ordinary publication
            refused = worker.do(other)
            assert refused.error == ("LockedError" if held_at(points, point) else "")
            assert (f"process {holder.id}" in refused.message) == bool(refused.error)
        before = files_in(trial.data)
        if in_commit_at(points, point):
            with pytest.raises(LockedError, match="busy"):
                swept(trial.data)
        else:
            swept(trial.data)
        assert holder.is_stopped()
        assert files_in(trial.data) == before, "the sweep took something of a publication at work"
        if kill:
            holder.kill()
            trial.died(worker, points[: points.index(point) + 1])
            trial.again(worker)
        else:
            holder.go_on()
            done = holder.end()
            assert done is not None
            assert not done.error, done.message
            assert done.receipts == trial.plan.outcome(trial.new).receipts
            assert in_force(trial.data, trial.plan.datasets) == trial.plan.outcome(trial.new).etags
    trial.tidied(worker)


def files_in(data: Path) -> set[str]:
    """Return every file of every publication."""
    return {str(path.relative_to(data)) for path in (data / "files").rglob("*") if path.is_file()}
