"""What these tests publish, and what each publication must come to: the same as it did undisturbed, elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from counterfoil.client import Api
from counterfoil.datasets.sweep import Swept, sweep
from counterfoil.datasets.verify import verify
from counterfoil.generator import generate, write
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage.engines import open_store
from counterfoil.storage.places import CATALOG_MARK, listing_of, publication_of
from counterfoil.testing import Server
from tests.crash.processes import NOW, Done, Given, Job
from tests.crash.publishing import run
from tests.crash.reading import Puller, Reading, apis_of

PARTNER: Final = "0e195b37-4574-4539-bc42-0e539b9684c0"
NOVEMBER, OCTOBER = BillingPeriod(2026, 11), BillingPeriod(2026, 10)
WHOLE: Final = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(NOVEMBER, "EUR"))
DAILY: Final = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(NOVEMBER, "USD"))
LAST: Final = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(OCTOBER, "EUR"))
LICENCES: Final = Dataset(Kind.RECONCILIATION, PARTNER, Scope.unbilled(NOVEMBER, "EUR"))
INVOICE: Final = Dataset(Kind.RECONCILIATION, PARTNER, Scope.billed("G016907411"))
BIG: Final = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(OCTOBER, "USD"))
VARIANTS: Final = ("a", "b")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an undisturbed publication came to: its receipts, the points it passed, and the eTags then in force."""

    receipts: Sequence[Mapping[str, Any]]
    points: Sequence[str]
    etags: Mapping[Dataset, str]


@dataclass(frozen=True)
class Plan:
    """One publication, in two variants that take turns, on top of what was published once before."""

    name: str
    datasets: tuple[Dataset, ...]
    variants: Mapping[str, tuple[Given, ...]]
    scratch: Path
    before: tuple[Given, ...] = ()
    jobs: int = 1
    run_bytes: int = 64 << 20

    def outcome(self, variant: str) -> Outcome:
        """Return what a variant comes to, undisturbed and in a folder of its own."""
        if variant not in self._outcomes:
            data = self.quiet_folder(variant)
            # Another variant first, so that the points are those of any later publication.
            for before in (self.before, *(self.variants[other] for other in VARIANTS if other != variant)):
                assert not before or not do_here(Job(data, before)).error
            done = do_here(self.job(data, variant))
            assert not done.error, done.message
            self._outcomes[variant] = Outcome(done.receipts, done.points, in_force(data, self.datasets))
        return self._outcomes[variant]

    def job(self, data: Path, variant: str, at: str = "", how: str = "kill") -> Job:
        """Return the publication of a variant, which stops at a point."""
        return Job(data, self.variants[variant], at=at, how=how, jobs=self.jobs, run_bytes=self.run_bytes)

    def quiet_folder(self, variant: str) -> Path:
        """Return where the undisturbed variant lies."""
        return self.scratch / f"{self.name}-{variant}"

    def prepare(self, data: Path) -> None:
        """Publish what was there before, and the first variant."""
        if self.before:
            assert not do_here(Job(data, self.before)).error
        assert do_here(Job(data, self.variants["a"])).receipts == self.outcome("a").receipts

    @cached_property
    def _outcomes(self) -> dict[str, Outcome]:
        return {}


@dataclass(frozen=True, slots=True)
class Plans:
    """The ways to publish, one of them by two worker processes."""

    whole: Plan
    segment: Plan
    several: Plan
    divided: Plan

    def all(self) -> tuple[Plan, ...]:
        """Return each."""
        return self.whole, self.segment, self.several, self.divided

    def datasets(self) -> list[Dataset]:
        """Return all datasets of all plans."""
        return [dataset for plan in self.all() for dataset in plan.datasets]


class _Writer:
    """Writes files of line items, each of another seed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seed = 0

    def __call__(self, dataset: Dataset, line_items: int, segment: str = "whole") -> Given:
        self._seed += 1
        path = self._folder / f"{self._seed}.jsonl"
        scope = dataset.scope
        write(generate(dataset.kind, line_items, seed=self._seed, special=True, partner=PARTNER, scope=scope), path)
        return Given(path, segment, scope.period)


def make_plans(folder: Path) -> Plans:
    """Write the input of all plans."""
    made = _Writer(folder)
    return Plans(
        Plan("whole", (WHOLE,), {"a": (made(WHOLE, 1_700),), "b": (made(WHOLE, 1_600),)}, folder),
        Plan(
            "segment",
            (DAILY,),
            {variant: (made(DAILY, 900, "2026-11-20"),) for variant in VARIANTS},
            folder,
            (made(DAILY, 600, "2026-11-19"),),
        ),
        Plan(
            "several",
            (LAST, LICENCES, INVOICE),
            {
                variant: (
                    made(LAST, 400, "2026-10-01"),
                    made(LICENCES, 600),
                    made(INVOICE, 300),
                    made(LAST, 350, "2026-10-02"),
                )
                for variant in VARIANTS
            },
            folder,
            run_bytes=100_000,  # less than is in any of the files: each is spilled before the next is read
        ),
        Plan("divided", (BIG,), {"a": (made(BIG, 1_700),), "b": (made(BIG, 1_600),)}, folder, jobs=2),
    )


def known_readings(plans: Iterable[Plan]) -> dict[tuple[str, Api], Reading]:
    """Return what readers get of each state by either API, where nothing else happens."""
    known: dict[tuple[str, Api], Reading] = {}
    for plan in plans:
        for variant in VARIANTS:
            outcome, data = plan.outcome(variant), plan.quiet_folder(variant)
            with (
                Server(data=data, now=NOW, partner=PARTNER) as server,
                Puller(server.url, data, PARTNER, plan.scratch) as puller,
            ):
                for dataset in plan.datasets:
                    for api in apis_of(dataset):
                        reading = puller.read(dataset, api)
                        assert reading.etag == outcome.etags[dataset]
                        known[reading.etag, api] = reading
    return known


def do_here(job: Job) -> Done:
    """Do a job in this process, to its end."""
    return Done(**run(json.loads(job.line())))


def in_force(data: Path, datasets: Iterable[Dataset]) -> dict[Dataset, str]:
    """Return the eTag that is in force of each dataset, '' for none."""
    with open_store(data, create=False).catalog as catalog:
        revisions = {dataset: catalog.in_force(dataset) for dataset in datasets}
    return {dataset: revision.etag if revision else "" for dataset, revision in revisions.items()}


def faults_in(data: Path) -> list[str]:
    """Verify the folder; return what is wrong with it."""
    with open_store(data, create=False) as store:
        _, faults = verify(store)
    return [f"{fault.where}: {fault.what}" for fault in faults]


def swept(data: Path, later: timedelta = timedelta(0)) -> Swept:
    """Sweep the folder, now or later."""
    with open_store(data, create=False) as store:
        return sweep(store, utc_now() + later, trust_clock=True)


def orphans_in(data: Path, *, rows: bool = True) -> list[str]:
    """Return every file that the catalog does not list, and every listed one that is not there.

    With `rows`, also publications that are noted as unfinished: on a full disk there may be no room to forget one.
    """
    with open_store(data, create=False) as store:
        listed = {file.path for file in store.catalog.all_files()}
        listed |= {listing_of(str(publication_of(path))) for path in listed} | {CATALOG_MARK}
        unfinished = store.catalog.unfinished_publications() if rows else []
    root = data / "files"
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    there = {path for path in there if re.fullmatch(r"changes/[0-9]{12}\.json", path) is None}
    empty = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())}
    scratch = [str(path) for path in (data / "scratch").glob("*")]
    return sorted(there ^ listed) + sorted(empty) + unfinished + scratch + strangers_in(data)


def strangers_in(data: Path) -> list[str]:
    """Return what lies in a data folder and has no business there."""
    expected = {"catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "catalog.sqlite.lock", "secret"}
    expected |= {"development-authority.pem", "authority.pem", "files", "locks", "scratch"}
    return sorted({path.name for path in data.iterdir()} - expected)


def now() -> datetime:
    """The business time of all servers here."""
    return datetime.fromisoformat(NOW)
