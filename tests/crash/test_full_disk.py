"""A disk that fills up somewhere on the way: one clear sentence, nothing half there, and all good with more room."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from counterfoil.client import Api
from counterfoil.model import Rendering
from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.crash.disks import Disk, mounted
from tests.crash.plans import INVOICE, PARTNER, WHOLE, Plan, Plans, faults_in, in_force, orphans_in, swept
from tests.crash.processes import Job, Worker, Workers, command, serving
from tests.crash.reading import Begun, Puller, tokens

STEP_KIB = 24  # between one size of the disk and the next, where all are tried
EXPORT = "/v1.0/reports/partners/billing/reconciliation/billed/export"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk."""
    with mounted(tmp_path / "disk") as made:
        yield made


@pytest.mark.parametrize(
    "free_kib", [0, 200, pytest.param(16, marks=pytest.mark.chaos), pytest.param(480, marks=pytest.mark.chaos)]
)
def test_a_publication_on_a_full_disk_is_refused_and_succeeds_with_more_room(
    plans: Plans, disk: Disk, worker: Worker, free_kib: int
) -> None:
    """Wherever it filled up: the old state stays, no orphan is left, and the same again does what it should."""
    plans.whole.prepare(disk.root / "data")
    refused = published_with(plans.whole, disk, worker, free_kib)
    assert refused, "it had room enough"


def published_with(plan: Plan, disk: Disk, worker: Worker, free_kib: int) -> bool:
    """Publish the second variant with so little room, and then the same with more; tell whether it was refused."""
    data = disk.root / "data"
    disk.leave_kib(free_kib)
    job = plan.job(data, "b")
    first = worker.do(job)
    disk.make_room()
    if first.error:
        assert first.error == "FullDiskError", first.message
        assert "no room left" in first.message
        assert "Make room" in first.message
        assert in_force(data, plan.datasets) == plan.outcome("a").etags
        assert faults_in(data) == []
        assert orphans_in(data, rows=False) == [], "what was written in vain takes room until somebody sweeps"
    else:
        assert first.receipts == plan.outcome("b").receipts
    assert worker.do(job).receipts == plan.outcome("b").receipts
    assert in_force(data, plan.datasets) == plan.outcome("b").etags
    assert faults_in(data) == []
    swept(data)
    assert orphans_in(data) == []
    return bool(first.error)


def test_the_command_says_it_in_one_line_and_fails(plans: Plans, disk: Disk) -> None:
    """Exit code 1, nothing on stdout, what and what to do on stderr, and no traceback: also for an empty folder."""
    [given] = plans.whole.variants["a"]
    for folder, free_kib in (("new", 0), ("new", 40), ("new", 300)):
        disk.leave_kib(free_kib)
        refused = command("publish", given.file, "--period", given.period, "--data", disk.root / folder)
        disk.make_room()
        assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
        assert "Traceback" not in refused.stderr
        assert "Exception ignored" not in refused.stderr
        assert "room" in refused.stderr.splitlines()[-1], refused.stderr
    again = command("publish", given.file, "--period", given.period, "--data", disk.root / "new", "--output", "json")
    assert again.returncode == 0, again.stderr
    [told] = json.loads(again.stdout)
    assert told["eTag"] == plans.whole.outcome("a").etags[WHOLE]


def test_looking_and_sweeping_work_on_a_full_disk(plans: Plans, disk: Disk, workers: Workers, tmp_path: Path) -> None:
    """Sweeping is what makes room; and a full disk keeps nobody from seeing what is published.

    A server runs beside it. Where none does, the database itself needs 32 KiB to be read at all.
    """
    data = disk.root / "data"
    plans.whole.prepare(data)
    with workers.take() as victim:
        victim.begin(Job(data, plans.whole.variants["b"], at="sealed 1"))
        assert victim.end() is None
    with serving(data, tmp_path / "log"):
        disk.leave_kib(0)
        disk.fill()
        for asked in (("list",), ("verify",)):
            done = command(*asked, "--data", data)
            assert done.returncode == 0, done.stderr
        before = disk.used_kib()
        done = command("sweep", "--data", data)
        assert done.returncode == 0, done.stderr
        assert disk.used_kib() < before - 100
        disk.fill()
    disk.make_room()
    assert orphans_in(data) == []
    assert in_force(data, [WHOLE]) == plans.whole.outcome("a").etags


def test_a_sweep_takes_orphans_even_when_the_catalog_has_no_room_to_forget(
    plans: Plans, disk: Disk, workers: Workers, worker: Worker
) -> None:
    """What nobody lists needs no change of the catalog to be deleted, and so it goes first."""
    data = disk.root / "data"
    plans.whole.prepare(data)
    with workers.take() as victim:
        victim.begin(Job(data, plans.whole.variants["b"], at="sealed 1"))
        assert victim.end() is None
    later = (utc_now() + timedelta(days=3)).isoformat()
    with open_store(data, create=False).catalog as catalog:  # keeps the catalog readable
        old = catalog.in_force(WHOLE)
        assert old is not None
        assert not worker.do(Job(data, plans.whole.variants["b"])).error
        disk.leave_kib(0)
        disk.fill()
        worker.do(Job(data, does="sweep", now=later))
        assert not worker.do(Job(data, does="sweep", now=later)).error
        assert len(catalog.files(old.id)) == len(catalog.files(old.id, Rendering.LAKE))
    assert orphans_in(data) == []
    assert faults_in(data) == []


def test_without_room_to_read_the_catalog_it_is_said(plans: Plans, disk: Disk) -> None:
    """One sentence that names the room, and not the permissions of the folder."""
    data = disk.root / "data"
    plans.whole.prepare(data)
    disk.leave_kib(0)
    disk.fill()
    for asked in (("list",), ("verify",), ("sweep",), ("serve", "--dev", "--port", "0")):
        refused = command(*asked, "--data", data)
        assert refused.returncode == 1, refused.stdout
        assert "no room left" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_server_on_a_full_disk_serves_readers_and_tells_writers_to_come_back(
    plans: Plans, disk: Disk, tmp_path: Path
) -> None:
    """Walks and downloads go on; an export needs a row in the catalog and is refused with 503 until there is room."""
    data = disk.root / "data"
    plans.whole.prepare(data)
    plans.several.prepare(data)
    with serving(data, tmp_path / "log") as server:
        headers = {"Authorization": f"Bearer {tokens(data, PARTNER, Api.GRAPH)()}"}
        with Puller(server.url, data, PARTNER, tmp_path) as puller, Begun(server.url, data, PARTNER, WHOLE) as begun:
            before = {api: puller.read(WHOLE, api) for api in Api}
            disk.leave_kib(0)
            disk.fill()
            assert puller.read(WHOLE, Api.V1) == before[Api.V1]
            assert begun.end() == before
            refused = submit(server.url, headers)
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json()["error"]["code"] == "ServiceUnavailable"
            disk.make_room()
            assert submit(server.url, headers).status_code == 202
            assert puller.read(WHOLE, Api.GRAPH) == before[Api.GRAPH]
    assert faults_in(data) == []


def submit(url: str, headers: dict[str, str]) -> httpx.Response:
    """Submit exports until one is refused, or ten are not: the log may have some room of its own."""
    for _ in range(10):
        body = {"invoiceId": INVOICE.scope.invoice}
        answer = httpx.post(url + EXPORT, json=body, headers=headers, timeout=60)
        if answer.status_code != 202:
            break
    return answer


def test_a_spilling_publication_on_a_full_disk_is_refused(plans: Plans, disk: Disk, worker: Worker) -> None:
    """What does not fit in memory is written beside the files, and goes with them."""
    plans.several.prepare(disk.root / "data")
    assert published_with(plans.several, disk, worker, 100)


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["whole", "segment", "several"])
@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_a_disk_that_fills_up_anywhere(
    name: str, open_elsewhere: bool, plans: Plans, workers: Workers, tmp_path: Path, tried: Counter[str]
) -> None:
    """From no room at all to just enough, in small steps; with and without another process at the catalog."""
    plan = getattr(plans, name)
    free_kib, refused = 0, True
    while refused:
        with mounted(tmp_path / f"disk-{free_kib}") as disk, workers.take() as worker:
            plan.prepare(disk.root / "data")
            if open_elsewhere:
                with open_store(disk.root / "data").catalog as catalog:
                    catalog.partners()
                    refused = published_with(plan, disk, worker, free_kib)
            else:
                refused = published_with(plan, disk, worker, free_kib)
        tried["publications on a disk with too little room" if refused else "... with just enough"] += 1
        free_kib += STEP_KIB


@pytest.mark.chaos
def test_a_first_publication_on_a_disk_that_fills_up_anywhere(
    plans: Plans, worker: Worker, tmp_path: Path, tried: Counter[str]
) -> None:
    """Making the folder and its catalog fails as clearly, and leaves nothing that is in the way of the next try."""
    job_of = plans.whole.variants["a"]
    free_kib, error = 4, "FullDiskError"
    while error:
        with mounted(tmp_path / f"disk-{free_kib}") as disk:
            disk.leave_kib(free_kib)
            error = worker.do(Job(disk.root / "data", job_of)).error
            assert error in {"", "FullDiskError"}
            disk.make_room()
            done = worker.do(Job(disk.root / "data", job_of))
            assert done.receipts == plans.whole.outcome("a").receipts, done.message
            assert faults_in(disk.root / "data") == []
            assert orphans_in(disk.root / "data") == []
        tried["first publications on a disk with too little room"] += bool(error)
        free_kib += STEP_KIB // 2 if free_kib < 200 else STEP_KIB * 2
