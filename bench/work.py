"""The tasks that are timed in a process of their own: `python -m bench.work TASK '{"argument": ...}'`.

Each prints its seconds as JSON; imports do not count.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def render(lake: list[str], scratch: str) -> None:
    """Ours: lake files to sealed, synced graph-full blobs."""
    from functools import partial

    from counterfoil.columns import USAGE
    from counterfoil.datasets.blob_parts import render_part
    from counterfoil.model import WHOLE, Dataset, Kind, Rendering, Scope
    from counterfoil.periods import utc_now
    from counterfoil.storage.engines import open_store
    from counterfoil.storage.folder_files import FolderFiles

    dataset = Dataset(Kind.USAGE, "0e195b37-4574-4539-bc42-0e539b9684c0", Scope(period="2026-11", currency="EUR"))
    publication = open_store(Path(scratch)).begin(utc_now())
    _load_kernels()
    start()
    for part, path in enumerate(lake):
        lake_file = FolderFiles(Path(path).parent).open(Path(path).name)
        create = partial(publication.create, dataset, WHOLE, part=part)
        render_part(create, USAGE, lake_file, part, [Rendering.GRAPH_FULL])
    publication.seal([])


def duckdb_render(lake: list[str], scratch: str) -> None:
    """The peer: the same attributes by COPY, as JSON lines in gzip."""
    import duckdb

    from counterfoil.columns import USAGE, Type
    from counterfoil.line_items.lake import text_name

    names = ", ".join(
        f'"{text_name(column) if column.type is Type.DATE else column.name}"' for column in USAGE.graph_full
    )
    connection = duckdb.connect(config={"threads": 1})
    start()
    for part, path in enumerate(lake):
        target = Path(scratch) / f"peer-{part}.json.gz"
        connection.execute(
            f"COPY (SELECT {names} FROM read_parquet('{path}')) TO '{target}' (FORMAT json, COMPRESSION gzip)"
        )


def publish(file: str, period: str, scratch: str, jobs: int = 1) -> None:
    """Ours: check, keep exact, sort, lake, all renderings, commit."""
    import counterfoil.datasets.publishing
    from bench.data import publish_into
    from counterfoil.periods import BillingPeriod

    assert counterfoil.datasets.publishing
    _load_kernels()
    start()
    publish_into(Path(scratch) / "data", Path(file), BillingPeriod.parse(period), jobs)


def hash_line_items(lake: list[str], scratch: str) -> None:
    """Ours: the digest of every line item, and the hash of them all that the eTag is made of."""
    from counterfoil.columns import USAGE
    from counterfoil.datasets.digest import digest_array, digests_of, in_order
    from counterfoil.datasets.value_spans import ValueSpans
    from counterfoil.line_items.lake_files import LakeReader
    from counterfoil.line_items.line_digests import LineDigests
    from counterfoil.model import Kind

    del scratch
    _load_kernels()
    # Columns are read beforehand, because publishing already has them.
    spans = []
    for path in lake:
        with LakeReader(path, Kind.USAGE) as file:
            spans += [ValueSpans.of_columns(batch.columns) for batch in file.batches(line_items=8192)]
    start()
    with LineDigests(sort=in_order) as digests:
        for items in spans:
            digests.add(digest_array(digests_of(USAGE, items)))
        assert digests.hexdigest()


def hashlib_lines(file: str, scratch: str) -> None:
    """The peer: hashlib over each line of JSON as it came, and over the sorted digests."""
    import hashlib

    del scratch
    lines = Path(file).read_bytes().splitlines()
    start()
    assert hashlib.sha256(b"".join(sorted(hashlib.sha256(line).digest() for line in lines))).hexdigest()


def publish_and_sweep(file: str, period: str, data: str) -> None:
    """Ours: a small publication into a folder that is there, and the sweep after it."""
    from counterfoil.datasets.check import Assertions
    from counterfoil.datasets.data_folder import DataFolder
    from counterfoil.datasets.gathering import Input
    from counterfoil.datasets.publishing import publish as publish_inputs
    from counterfoil.datasets.sweep import sweep
    from counterfoil.periods import BillingPeriod, utc_now
    from counterfoil.storage.engines import open_store

    _load_kernels()
    start()
    with open_store(Path(data)) as store:
        [receipt] = publish_inputs(
            DataFolder(store, utc_now), [Input(file, Assertions(period=BillingPeriod.parse(period)))]
        )
        assert receipt.changed
        sweep(store, utc_now())


def publish_each(folder: str, issuer: str, period: str, data: str) -> None:
    """Ours: each file of a folder by itself, into one open store.

    A file is named by its partner, and is the issuer's where it says so.
    """
    from counterfoil.datasets.check import Assertions
    from counterfoil.datasets.data_folder import DataFolder
    from counterfoil.datasets.gathering import Input
    from counterfoil.datasets.publishing import publish as publish_inputs
    from counterfoil.periods import BillingPeriod, utc_now
    from counterfoil.storage.engines import open_store

    month, inputs = BillingPeriod.parse(period), []
    for file in sorted(Path(folder).iterdir()):
        partner, _, whose = file.stem.partition(".")
        asserted = Assertions(partner, issuer, period=month) if whose == "issuer" else Assertions(period=month)
        inputs.append(Input(str(file), asserted))
    _load_kernels()
    start()
    with open_store(Path(data)) as store:
        for given in inputs:
            [receipt] = publish_inputs(DataFolder(store, utc_now), [given])
            assert receipt.changed


def duckdb_publish(file: str, scratch: str, columns: str, date: str) -> None:
    """The peer: read_json to sorted Parquet; inexact, unchecked, and with nothing rendered."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "temp_directory": scratch})
    target = Path(scratch) / "peer.parquet"
    source = f"read_json('{file}', format = 'newline_delimited', columns = {columns})"
    start()
    connection.execute(
        f"COPY (SELECT * FROM {source} ORDER BY CustomerId, SubscriptionId, {date}) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )


def totals_by_customer(data: str, side: str) -> None:
    """Ours: exact sums by customer of a published dataset, whose files are held against their hashes."""
    from counterfoil.reconcile import totals

    start()
    assert totals(side, by="customer", data=data).line_items


def duckdb_totals(lake: list[str]) -> None:
    """The peer: the same from the lake files, which it takes as they are; 25 decimals, and what is beyond is lost."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    start()
    connection.execute(
        "SELECT CustomerId, any_value(CustomerName), count(*), sum(CAST(BillingPreTaxTotalText AS DECIMAL(38, 25))) "
        f"FROM read_parquet({lake}) GROUP BY CustomerId"
    ).fetchall()


def audit_side(data: str, side: str) -> None:
    """Ours: all rules of the audit."""
    from counterfoil.reconcile import audit

    start()
    assert audit(side, data=data).line_items


def match_sides(name: str, left: str, right: str, *, digests: bool, jobs: int = 1) -> None:
    """Ours: all groups of two published sides, with their lines."""
    del jobs
    with _sides(name, left, right, digests=digests) as matching:
        start()
        assert sum(1 for _ in matching)


def numbers_of_sides(name: str, left: str, right: str, jobs: int = 1) -> None:
    """Ours: the numbers of the lines that differ."""
    del jobs
    with _sides(name, left, right, digests=True) as matching:
        start()
        assert all(matching.numbers())


@contextmanager
def _sides(name: str, left: str, right: str, *, digests: bool) -> Iterator[Any]:
    from dataclasses import replace

    from counterfoil.model import Kind
    from counterfoil.reconcile.matching import match
    from counterfoil.reconcile.sides.opening import opened_side

    with (
        opened_side(name, kind=Kind.USAGE, data=left) as mine,
        opened_side(name, kind=Kind.USAGE, data=right) as theirs,
        TemporaryDirectory() as scratch,
    ):
        for reading in (mine, theirs):
            parts = tuple(replace(part, digests=digests) for part in reading.side.parts)
            reading.side = replace(reading.side, parts=parts)
        yield match(mine, theirs, Kind.USAGE, scratch=Path(scratch))


def duckdb_full_join(left: list[str], right: list[str], scratch: str, jobs: int = 1) -> None:
    """The peer: a full join on what makes two lines one charge; keys repeat, so it finds many pairs for one change."""
    import duckdb

    names = (
        "CustomerId SubscriptionId EntitlementId ProductId SkuId MeterId ResourceURI UsageDateText ChargeType UnitType "
        "AdditionalInfo"
    )
    key = ", ".join(names.split())
    columns = f"{key}, BillingPreTaxTotal AS amount, Quantity AS quantity, EffectiveUnitPrice AS price"
    mine, theirs = (f"(SELECT {columns} FROM read_parquet({files}))" for files in (left, right))
    config: dict[str, Any] = {
        "threads": jobs,
        "memory_limit": "1500MB",
        "temp_directory": scratch,
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(config=config)
    start()
    connection.execute(
        f"SELECT count(*) FILTER (l.amount IS NULL), count(*) FILTER (r.amount IS NULL), "
        f"count(*) FILTER (l.amount <> r.amount), sum(r.amount - l.amount) "
        f"FROM {mine} l FULL JOIN {theirs} r USING ({key})"
    ).fetchall()


def load_kernels() -> None:
    """Ours: all that is compiled, once what it works on is in memory."""
    import numpy as np
    import pyarrow as pa

    assert all((np, pa))
    start()
    from counterfoil.datasets.kernels.compiled import prepare

    assert prepare() == 0


def _load_kernels() -> None:
    """Load what the product loads when it is first needed; the peer's code is in memory by now as well."""
    from counterfoil.datasets.kernels.compiled import prepare

    prepare(wait=True)


_started: list[float] = []


def start() -> None:
    """Begin to count: what came before was imports and preparation."""
    _started.append(time.perf_counter())


def main() -> None:
    """Run the task named and print what it took."""
    task: Any = globals()[sys.argv[1]]
    task(**json.loads(sys.argv[2]))
    seconds = time.perf_counter() - _started[-1]
    print(json.dumps({"seconds": seconds}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
