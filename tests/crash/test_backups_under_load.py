"""Backups while two publishers and a sweeper are at work: each is whole, sound, and has all that was acknowledged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from counterfoil.datasets.verify import verify
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.storage import sqlite
from counterfoil.storage.backup_restoring import restore_backup
from counterfoil.storage.backups import back_up
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import amounts, write

BACKUPS = 20
PUBLISHERS = 2
# Publishes one file after another, and says each time which revision is in force, once that is so. Its sweeps believe
# that a year has passed, so all that was superseded goes at once.
_PUBLISHER = """
import sys
from datetime import timedelta
from pathlib import Path
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.sweep import sweep
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage.engines import open_store
data, period, *files = sys.argv[1:]
with open_store(Path(data)) as store:
    folder = DataFolder(store, utc_now)
    while True:
        for file in files:
            [receipt] = publish(folder, [Input(file, Assertions(period=BillingPeriod.parse(period)))])
            print(period, receipt.revision.number, flush=True)
            year = timedelta(days=365)
            sweep(store, utc_now() + year, keep_billed=year, keep_unbilled=year, trust_clock=True)
"""


@contextmanager
def publishing(data: Path, folder: Path) -> Iterator[list[Path]]:
    """Publish from other processes; yields the files in which each says what was acknowledged."""
    with ExitStack() as stack:
        said = []
        for number in range(PUBLISHERS):
            period = f"2026-1{number + 1}"  # the usage is dated in November
            files = [write(folder / f"{period}-{amount}", amounts(Kind.USAGE, str(amount))) for amount in (1, 2, 3)]
            said.append(folder / f"said-{number}")
            process = subprocess.Popen(
                [sys.executable, "-c", _PUBLISHER, str(data), period, *files],
                stdout=stack.enter_context(said[-1].open("w")),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield said


def acknowledged(said: list[Path]) -> dict[str, int]:
    """Return the last revision of each month that was acknowledged."""
    lines = [line for file in said for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {period: int(number) for period, number in map(str.split, lines)}


@pytest.mark.soak
def test_twenty_backups_of_twenty_are_sound_and_have_what_was_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    database = sqlite.database_path(data, None)
    with open_store(data) as store, publishing(data, tmp_path) as said:
        while len(acknowledged(said)) < PUBLISHERS:
            pass
        last: dict[str, int] = {}
        for number in range(BACKUPS):
            before = acknowledged(said)
            target = tmp_path / f"backup-{number}{'.tar' if number % 2 else ''}"
            facts = back_up(store, data, database, target, utc_now(), keys=True, progress=lambda *_: None)
            assert facts.missing == ()
            new = tmp_path / f"new-{number}"
            restore_backup(target, new, utc_now(), lambda *_: None)
            with open_store(new, create=False) as other:
                assert verify(other)[1] == []
                datasets = other.catalog.datasets()
            held = {dataset.scope.period: revision.number for dataset, revision in datasets if revision is not None}
            assert all(held[period] >= before[period] for period in before), (before, held)
            last = before
        assert sum(last.values()) > BACKUPS  # they were at work all the time
    with open_store(data) as store:
        assert verify(store)[1] == []
