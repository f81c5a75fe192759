"""Killing what belongs to a publication by several processes: a worker, or the one that gave it work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from counterfoil.storage.places import CATALOG_MARK
from tests.crash.plans import Plans
from tests.crash.processes import Worker, Workers
from tests.crash.trials import Trial

GONE_WITHIN_S = 5


def workers_of(process: int) -> list[int]:
    """The worker processes of a publication."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process and b"counterfoil.datasets.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return sorted(found)


def are_gone(processes: list[int]) -> bool:
    """Whether processes end in time."""
    for _ in range(GONE_WITHIN_S * 100):
        if not any(Path(f"/proc/{each}").exists() for each in processes):
            return True
        time.sleep(0.01)
    return False


def started(process: int) -> list[int]:
    """Wait for both workers."""
    while len(found := workers_of(process)) < 2:
        time.sleep(0.01)
    return found


@contextmanager
def at_work(trial: Trial, workers: Workers, dice: Random) -> Iterator[tuple[Worker, list[int]]]:
    """A publication at work, and its workers: what is done to it must end them."""
    with workers.take() as publisher:
        publisher.begin(trial.job())
        found = started(publisher.id)
        time.sleep(dice.uniform(0, 2))
        yield publisher, found
        assert are_gone(found)


@pytest.mark.parametrize("runs", [1, pytest.param(30, marks=pytest.mark.chaos)])
def test_a_killed_worker_refuses_the_publication(
    runs: int, plans: Plans, workers: Workers, worker: Worker, tmp_path: Path, dice: Random
) -> None:
    """Unless it had nothing left to do. What was written is gone, and the same again publishes it."""
    trial = Trial(plans.divided, tmp_path / "data", "b", "a")
    trial.plan.prepare(trial.data)
    for _ in range(runs):
        trial = trial.turned()
        with at_work(trial, workers, dice) as (publisher, found):
            with suppress(ProcessLookupError):
                os.kill(dice.choice(found), signal.SIGKILL)
            done = publisher.end()
            assert done is not None
            assert not done.error or "A worker process ended before its work was done" in done.message
        assert trial.died(worker) == (trial.old if done.error else trial.new)
        trial.again(worker)
        trial.tidied(worker)


@pytest.mark.parametrize("runs", [1, pytest.param(30, marks=pytest.mark.chaos)])
def test_workers_do_not_outlive_a_killed_publication(
    runs: int, plans: Plans, workers: Workers, worker: Worker, tmp_path: Path, dice: Random
) -> None:
    trial = Trial(plans.divided, tmp_path / "data", "b", "a")
    trial.plan.prepare(trial.data)
    for _ in range(runs):
        trial = trial.turned()
        with at_work(trial, workers, dice) as (publisher, _):
            publisher.kill()
        trial.died(worker)
        trial.again(worker)
        trial.tidied(worker)


def test_ctrl_c_ends_workers_too(plans: Plans, tmp_path: Path) -> None:
    program = (
        "import signal, sys; from pathlib import Path;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background commands ignore it
        "from tests.crash.processes import Job, Given; from tests.crash.plans import do_here;"
        "do_here(Job(Path(sys.argv[1]), [Given(Path(sys.argv[2]), period='2026-10')], jobs=2))"
    )
    [given] = plans.divided.variants["a"]
    command = [sys.executable, "-c", program, str(tmp_path / "data"), str(given.file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as publisher:
        found = started(publisher.pid)
        publisher.send_signal(signal.SIGINT)
        _, told = publisher.communicate()
    assert b"KeyboardInterrupt" in told.splitlines()[-1]
    assert are_gone(found)
    files = tmp_path / "data" / "files"
    assert [path.name for path in files.rglob("*") if path.is_file()] == [CATALOG_MARK]
    assert not list((tmp_path / "data" / "scratch").iterdir())
