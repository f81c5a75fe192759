"""Disks that fill up at a great many places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from counterfoil.storage.engines import open_store
from tests.chaos.disks import mounted
from tests.chaos.plans import Plans, faults_in, orphans_in
from tests.chaos.processes import Job, Worker, Workers
from tests.crash.test_full_disk import published_with
from tests.crash.test_server_kills import survived

pytestmark = pytest.mark.chaos
STEP_KIB = 24
SERVER_KILLS = 12


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


def test_servers_killed_at_random_moments_keep_what_they_acknowledged(
    plans: Plans, dice: Random, tmp_path: Path, tried: Counter[str]
) -> None:
    """202 means that it is on the disk, and a key means one operation, however often the server dies."""
    for number in range(SERVER_KILLS):
        (tmp_path / str(number)).mkdir()
        tried["acknowledged exports, all kept"] += survived(plans, tmp_path / str(number), dice)
        tried["kills of a server"] += 1
