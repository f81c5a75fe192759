"""Works on a data folder in a process of its own, which may stop at a named point: for good, or until it is let go.

Started as a program it imports everything, which takes longest, and then listens: whoever connects gets a process
that says its id and does one job after another. Each job is one line of JSON, and so is its answer.

A *point* is a name and how often it was passed, such as `synced 3`. The publication itself names some; the others are
put around what the operating system and the database are asked to do, so that they fall between any two changes on
the disk. Parts are made small, to have several of each; a job may make the runs small that are spilled from memory.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event

from counterfoil import datasets
from counterfoil.datasets import many_datasets, offboarding, restore, sweep
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.sizes import Sizes
from counterfoil.datasets.sort import Sorter
from counterfoil.datasets.verify import verify
from counterfoil.errors import CounterfoilError
from counterfoil.model import Dataset
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage import sqlite
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.engines import open_store
from counterfoil.storage.files import Deleted, FileWriter
from counterfoil.storage.folder_files import FolderFiles
from counterfoil.storage.store import Publication, Store

SIZES: Final = Sizes(part_line_items=500, split_bytes=500_000, divided_bytes=0)
LARGE_BYTES: Final = 4096
Job = dict[str, Any]
Done = dict[str, Any]
Watcher = tuple[object, str, object]


ALLOWING = Safeguards(replace=True, allow_copies=True)


class Stops:
    """Counts the points that are passed, and stops at one."""

    def __init__(self, at: str, how: str) -> None:
        self._at = at
        self._signal = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[how]
        self._passed: Counter[str] = Counter()
        self.points: list[str] = []

    def __call__(self, name: str) -> None:
        self._passed[name] += 1
        point = f"{name} {self._passed[name]}"
        self.points.append(point)
        if point == self._at:
            os.kill(os.getpid(), self._signal)


def run(job: Job) -> Done:
    """Do one job and tell what came of it."""
    stops = Stops(job["at"], job["how"])
    began = time.perf_counter()
    done: Done = {"receipts": [], "error": "", "message": "", "swept": [], "faults": []}
    with ExitStack() as stack:
        watch(stack, stops)
        try:
            DOES[job["does"]](job, stops, done)
        except CounterfoilError as error:
            done |= {"error": type(error).__name__, "message": str(error)}
        stops("ending")
    return done | {"points": stops.points, "took_s": time.perf_counter() - began}


def data_folder_of(job: Job, store: Store, stops: Stops) -> DataFolder:
    now = datetime.fromisoformat(job["now"]) if job["now"] else None
    sizes = replace(SIZES, run_bytes=job["run_bytes"])
    return DataFolder(store, lambda: now or utc_now(), at_point=stops, sizes=sizes, jobs=job["jobs"])


def inputs_of(job: Job) -> list[Input]:
    return [
        Input(given["file"], Assertions(period=BillingPeriod.parse(given["period"]) if given["period"] else None),
              given["segment"])
        for given in job["inputs"]
    ]  # fmt: skip


def do_publish(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"])) as store:
        receipts = publish(data_folder_of(job, store, stops), inputs_of(job), safeguards=ALLOWING)
    done["receipts"] = [told(receipt) for receipt in receipts]


def do_publish_many(job: Job, stops: Stops, done: Done) -> None:
    """As of a list: two datasets in a transaction."""
    with open_store(Path(job["data"])) as store, patch.object(many_datasets, "DATASETS_AT_ONCE", 2):
        outcome = many_datasets.publish_many(data_folder_of(job, store, stops), inputs_of(job), safeguards=ALLOWING)
    assert not outcome.refused, outcome.refused
    done["receipts"] = [told(receipt) for receipt in outcome.receipts]


def do_erase(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"]), create=False) as store:
        offboarding.erase_partner(data_folder_of(job, store, stops), job["partner"])


def do_restore(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"]), create=False) as store:
        restore.restore(data_folder_of(job, store, stops), store.catalog.find_revision(job["revision"]))


def do_withdraw(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"]), create=False) as store:
        dataset = store.catalog.find_revision(job["revision"]).dataset
        restore.withdraw(data_folder_of(job, store, stops), dataset)


def do_sweep(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"]), create=False) as store:
        swept = sweep.sweep(store, data_folder_of(job, store, stops).now(), trust_clock=True)
        done["swept"] = [swept.revisions, swept.files, swept.publications_at_work]


class Newest(Catalog):
    """A catalog that shows the newest revisions only: the others were verified before."""

    def revisions(self, dataset: Dataset) -> list[Revision]:
        return super().revisions(dataset)[:2]


def do_verify(job: Job, stops: Stops, done: Done) -> None:
    with open_store(Path(job["data"]), create=False) as store:
        newest = replace(store, catalog=Newest(store.catalog.log))
        _, faults = verify(store if job["does"] == "verify all" else newest)
    done["faults"] = [f"{fault.where}: {fault.what}" for fault in faults]


DOES: Final[dict[str, Callable[[Job, Stops, Done], None]]] = {
    "publish": do_publish,
    "publish many": do_publish_many,
    "erase": do_erase,
    "restore": do_restore,
    "withdraw": do_withdraw,
    "sweep": do_sweep,
    "verify all": do_verify,
    "verify newest": do_verify,
}


def told(receipt: PublicationReceipt) -> Done:
    """What a receipt says, but for the revision's id, which is another in every data folder."""
    return {
        "dataset": str(receipt.dataset),
        "segment": receipt.segment,
        "etag": receipt.etag,
        "lineItems": receipt.contents.line_items,
        "totals": receipt.contents.plain_totals(),
        "segmentLineItems": receipt.segment_contents.line_items,
        "segmentTotals": receipt.segment_contents.plain_totals(),
        "warnings": receipt.warnings,
    }


def watch(stack: ExitStack, stops: Stops) -> None:
    """Put points around all that changes the disk."""
    for place, name, watcher in [*of_the_system(stops), *of_files(stops), *of_the_catalog(stops)]:
        stack.enter_context(patch.object(place, name, watcher))


def of_the_system(stops: Stops) -> list[Watcher]:
    fsync, write, unlink, spill = os.fsync, os.write, Path.unlink, Sorter._spill

    def syncing(descriptor: int) -> None:
        stops("syncing")
        fsync(descriptor)
        stops("synced")

    def writing(descriptor: int, content: memoryview) -> int:
        if len(content) < LARGE_BYTES:  # Parquet writes a thousand little pieces
            return write(descriptor, content)
        written = write(descriptor, content[: len(content) // 2])
        stops("half written")
        return written + write(descriptor, content[written:])

    def deleting(path: Path, missing_ok: bool = False) -> None:
        stops("deleting")
        unlink(path, missing_ok=missing_ok)

    def spilling(sorter: Sorter) -> None:
        spill(sorter)
        stops("spilled")

    return [(os, "fsync", syncing), (os, "write", writing), (Path, "unlink", deleting), (Sorter, "_spill", spilling)]


def of_files(stops: Stops) -> list[Watcher]:
    create, begin, clear, clean = FolderFiles.create, Store.begin, Store.clear_dead, Publication._clean

    def beginning(store: Store, now: datetime) -> Publication:
        stops("beginning")
        publication = begin(store, now)
        stops("begun")
        return publication

    def creating(files: FolderFiles, path: str) -> FileWriter:
        stops("creating")
        return create(files, path)

    def cleaning(store: Store) -> tuple[Deleted, int]:
        stops("cleaning")
        return clear(store)

    def leaving(publication: Publication) -> None:
        stops("cleaning")
        clean(publication)

    watched = [(Store, "begin", beginning), (Store, "clear_dead", cleaning), (Publication, "_clean", leaving)]
    return [(FolderFiles, "create", creating), *watched]


def of_the_catalog(stops: Stops) -> list[Watcher]:
    engine_for = sqlite.engine_for

    def stating(connection: Connection, *_: object) -> None:
        if connection.get_execution_options().get("counterfoil_writes"):
            stops("statement")

    def committing(connection: Connection) -> None:
        if connection.get_execution_options().get("counterfoil_writes"):
            stops("committing")

    def watched(path: Path) -> Engine:
        engine = engine_for(path)
        event.listen(engine, "before_cursor_execute", stating)
        event.listen(engine, "commit", committing)
        return engine

    settle = sqlite.SqliteDatabase.settle

    def settling(database: sqlite.SqliteDatabase) -> None:
        stops("settling")
        settle(database)

    return [(sqlite, "engine_for", watched), (sqlite.SqliteDatabase, "settle", settling)]


def work(connection: socket.socket) -> None:
    """Do the jobs that come in, until the other side has gone."""
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        for line in stream:
            stream.write(json.dumps(run(json.loads(line))) + "\n")
            stream.flush()


def main(path: str) -> None:
    """Listen at `path`, one process for each connection, until standard input ends."""
    for module in pkgutil.walk_packages(datasets.__path__, f"{datasets.__name__}."):
        importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                work(connection)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
