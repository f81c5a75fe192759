"""Rows of pure work on one core: rendering and publishing, against DuckDB doing less."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data import Sample
from bench.measure import Row, in_turns, work


def render(sample: Sample, rounds: int) -> Iterator[Row]:
    """Lake to sealed, synced graph-full blobs, against COPY to JSON with gzip."""
    lake = [str(path) for path in sample.lake]

    def rate(task: str) -> float:
        with _folder(sample) as scratch:
            return sample.line_items / work(task, lake=lake, scratch=str(scratch))["seconds"]

    ours, peer = in_turns(rounds, lambda: rate("render"), lambda: rate("duckdb_render"))
    yield Row("render: lake to graph-full blobs, 1 core, rows/s", ours, peer, "", 6)


def publish(sample: Sample, rounds: int) -> Iterator[Row]:
    """Check, exact, sort, lake, all renderings, against read_json to sorted Parquet."""

    def ours() -> float:
        with _folder(sample) as scratch:
            took = work("publish", file=str(sample.shuffled), period=str(sample.period), scratch=str(scratch))
        return sample.line_items / took["seconds"]

    def peer() -> float:
        with _folder(sample) as scratch:
            took = work("duckdb_publish", file=str(sample.shuffled), scratch=str(scratch))
        return sample.line_items / took["seconds"]

    mine, theirs = in_turns(rounds, ours, peer)
    yield Row("publish: shuffled JSON lines to all forms, 1 core, rows/s", mine, theirs, "", 0.5)


def hashing(sample: Sample, rounds: int) -> Iterator[Row]:
    """The hash of a set of line items, against hashlib over the same lines of JSON."""
    lake = [str(path) for path in sample.lake]

    def ours() -> float:
        return sample.line_items / work("hash_line_items", lake=lake)["seconds"]

    def peer() -> float:
        return sample.line_items / work("hashlib_lines", file=str(sample.shuffled))["seconds"]

    mine, theirs = in_turns(rounds, ours, peer)
    yield Row("hash: line items to an eTag's digest, 1 core, rows/s", mine, theirs, "", 0.5)


@contextmanager
def _folder(sample: Sample) -> Iterator[Path]:
    """A scratch folder for one turn."""
    path = sample.scratch / "turn"
    path.mkdir()
    yield path
    shutil.rmtree(path)
