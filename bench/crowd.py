"""The rows of small publications: one beside many that are there, which must not matter, and many in a row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

from bench.data import CACHE, PARTNER, Sample
from bench.measure import Row, in_turns, work
from counterfoil.generator import generate, write
from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope
from counterfoil.periods import utc_now
from counterfoil.storage.catalog_rows import NewFile, NewSegment
from counterfoil.storage.engines import open_store
from counterfoil.storage.store import Store

LINE_ITEMS = 200
MANY, FEW = 5_000, 5
SMALL_ONES, SMALL_MS = 1_000, 20


def crowd(sample: Sample, rounds: int) -> Iterator[Row]:
    """Publish 200 line items and sweep, in a folder with 5,000 publications in force, and in one with 5."""
    scope = Scope.unbilled(sample.period, "EUR")
    with _copy_of(MANY) as many, _copy_of(FEW) as few:
        seeds = iter(range(1, 1_000_000))

        def seconds(data: Path) -> float:
            seed = next(seeds)
            file = sample.scratch / f"crowd-{seed}.jsonl"
            write(generate(Kind.USAGE, LINE_ITEMS, seed=seed, special=True, partner=PARTNER, scope=scope), file)
            return work("publish_and_sweep", file=str(file), period=str(sample.period), data=str(data))

        seconds(many), seconds(few)
        ours, peer = in_turns(2 * rounds, lambda: seconds(many), lambda: seconds(few))
    yield Row(f"publish of {LINE_ITEMS} beside {MANY:,} publications, s", ours, peer, "", 1.3, lower=True)


def small(sample: Sample, rounds: int) -> Iterator[Row]:
    """Publish a thousand datasets of 200 line items, each by itself, of two sorts in turn.

    Half of them name their partner as PartnerId; the others are of a distributor's resellers.
    """
    scope, files = Scope.unbilled(sample.period, "EUR"), sample.scratch / "small"
    files.mkdir()
    for number in range(SMALL_ONES):
        partner = f"{number:08x}-0000-4000-8000-000000000000"
        whose, issuer = ("own", partner) if number % 2 else ("issuer", PARTNER)
        chunks = generate(Kind.USAGE, LINE_ITEMS, seed=number, special=True, partner=issuer, scope=scope)
        write(chunks, files / f"{partner}.{whose}.jsonl")

    def each_ms() -> float:
        data = sample.scratch / "small-data"
        seconds = work("publish_each", folder=str(files), issuer=PARTNER, period=str(sample.period), data=str(data))
        shutil.rmtree(data)
        return seconds / SMALL_ONES * 1000

    [ours] = in_turns(rounds, each_ms)
    yield Row.within(f"{SMALL_ONES:,} publications of {LINE_ITEMS}, ms each", ours, SMALL_MS)


@contextmanager
def _copy_of(publications: int) -> Iterator[Path]:
    """Copy a folder with so many publications in force, which is made once."""
    made = CACHE / f"crowd-{publications}-form-2"
    if not made.exists():
        # In memory, where there is such a place: nothing here has to be durable before all is done.
        memory = Path("/dev/shm")
        half = Path(mkdtemp(prefix="crowd-", dir=memory if memory.is_dir() else CACHE))
        with open_store(half / "data") as store, patch("os.fsync"):
            for number in range(publications):
                _publish(store, Dataset(Kind.USAGE, PARTNER, Scope.billed(f"G{number:09}")))
        shutil.copytree(half / "data", made.with_suffix(".half"), dirs_exist_ok=True)
        shutil.rmtree(half)
        made.with_suffix(".half").rename(made)
    copy = Path(mkdtemp(prefix="crowd-", dir=CACHE))
    try:
        yield Path(shutil.copytree(made, copy / "data"))
    finally:
        shutil.rmtree(copy)


def _publish(store: Store, dataset: Dataset) -> None:
    now, files = utc_now(), []
    with store.begin(now) as publication:
        for rendering in (Rendering.LAKE, Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC):
            with publication.create(dataset, "whole", rendering) as writer:
                writer.write(b"sealed")
            files.append(NewFile(rendering, 0, writer.path, writer.size_bytes, writer.sha256, 1))
        contents = Contents(1, "00" * 32, "EUR", {"BillingPreTaxTotal": Decimal(1)})
        segment = NewSegment(dataset, "whole", PARTNER, contents, tuple(files), {})
        publication.seal([segment])
        base = {dataset: None}
        store.catalog.commit(publication.id, [segment], base, base, {dataset: contents}, now)
