"""Rows of pure work: publishing, rendering and hashing, against others that do less, and against ourselves."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.data import VARIANTS, Sample, columns_for_duckdb
from bench.earlier import COMMIT, sources_of
from bench.measure import Row, in_turns, task_command, whole, work
from counterfoil.columns import table_of

EARLIER = f"1 job at {COMMIT}"
GENERIC = {"NUMBA_CPU_NAME": "generic"}
# Each is given a `scratch` folder, which is empty, and returns how many seconds it took.
Parties = Mapping[str, Callable[..., float]]


@dataclass(frozen=True)
class Pair:
    """Two parties and their floor: of the rates, or of the times where it is a share of the peer's."""

    ours: str
    peer: str
    floor: float
    of_times: bool = False


def _with_jobs(floor: float, floor_of_two: float) -> tuple[Pair, ...]:
    return (
        Pair("1 job", "DuckDB", floor),
        Pair("2 jobs", "DuckDB", floor_of_two),
        Pair("2 jobs", "1 job", 0.7, of_times=True),
    )


PUBLISH = {
    "usage": (*_with_jobs(0.65, 1.0), Pair("1 job, generic", "DuckDB", 0.65), Pair("1 job", EARLIER, 1.0)),
    "reconciliation": _with_jobs(0.6, 0.9),
    "nothing repeats": (Pair("1 job", EARLIER, 0.9),),
}
COMMAND = _with_jobs(0.65, 1.0)
RENDER = (Pair("1 job", "DuckDB", 6), Pair("1 job", EARLIER, 1.0))
HASH = (Pair("1 job", "hashlib", 0.5),)


def publish(sample: Sample, rounds: int) -> Iterator[Row]:
    """Shuffled JSON lines to all forms - checked, exact, sorted - against read_json to sorted Parquet."""
    for variant, pairs in PUBLISH.items():
        ours = partial(work, "publish", file=str(sample.file(variant)), period=str(sample.period))
        parties = {
            "1 job": ours,
            "2 jobs": partial(ours, jobs=2),
            "1 job, generic": partial(ours, environ=GENERIC),
            "DuckDB": partial(work, "duckdb_publish", **_for_duckdb(sample, variant)),
        }
        yield from _rows(sample, rounds, f"publish {variant}", _with_earlier(parties, ours), pairs)


def command(sample: Sample, rounds: int) -> Iterator[Row]:
    """Publish as a user does, with all that has to be loaded first, against the process that DuckDB works in."""
    file = sample.file("usage")

    def ours(scratch: str, jobs: int) -> float:
        words = ["publish", str(file), "--period", str(sample.period), "--data", scratch, "--jobs", str(jobs)]
        return whole([sys.executable, "-m", "counterfoil", *words], jobs=jobs)

    def peer(scratch: str) -> float:
        return whole(task_command("duckdb_publish", scratch=scratch, **_for_duckdb(sample, "usage")))

    parties: Parties = {"1 job": partial(ours, jobs=1), "2 jobs": partial(ours, jobs=2), "DuckDB": peer}
    yield from _rows(sample, rounds, "the whole command", parties, COMMAND)


def render(sample: Sample, rounds: int) -> Iterator[Row]:
    """Lake to sealed, synced graph-full blobs, against COPY to JSON with gzip."""
    lake = [str(path) for path in sample.lake]
    ours = partial(work, "render", lake=lake)
    parties = {"1 job": ours, "DuckDB": partial(work, "duckdb_render", lake=lake)}
    yield from _rows(sample, rounds, "render lake to graph-full", _with_earlier(parties, ours), RENDER)


def hashing(sample: Sample, rounds: int) -> Iterator[Row]:
    """The hash of a set of line items, against hashlib over the same lines of JSON."""
    lake, file = [str(path) for path in sample.lake], str(sample.file("usage"))
    parties = {
        "1 job": partial(work, "hash_line_items", lake=lake),
        "hashlib": partial(work, "hashlib_lines", file=file),
    }
    yield from _rows(sample, rounds, "hash to an eTag's digest", parties, HASH)


def _for_duckdb(sample: Sample, variant: str) -> dict[str, Any]:
    table = table_of(VARIANTS[variant].kind)
    return {"file": str(sample.file(variant)), "columns": columns_for_duckdb(table), "date": table.date}


def _with_earlier(parties: Parties, ours: Callable[..., float]) -> Parties:
    """Add ourselves as we were, where this clone has that commit."""
    sources = sources_of(COMMIT)
    return {**parties, EARLIER: partial(ours, sources=sources)} if sources else parties


def _rows(sample: Sample, rounds: int, what: str, parties: Parties, pairs: Sequence[Pair]) -> Iterator[Row]:
    """Let all parties that are paired take turns."""
    pairs = [pair for pair in pairs if {pair.ours, pair.peer} <= parties.keys()]
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.ours, pair.peer)))
    medians = in_turns(rounds, *(partial(_turn, sample, parties[name]) for name in names)) if names else []
    seconds = dict(zip(names, medians, strict=True))
    for pair in pairs:
        name, ours, peer = f"{what}, {pair.ours} : {pair.peer}", seconds[pair.ours], seconds[pair.peer]
        if pair.of_times:
            yield Row(f"{name}, s", ours, peer, "", pair.floor, lower=True)
        else:
            yield Row(f"{name}, rows/s", sample.line_items / ours, sample.line_items / peer, "", pair.floor)


def _turn(sample: Sample, party: Callable[..., float]) -> float:
    scratch = sample.scratch / "turn"
    scratch.mkdir()
    try:
        return party(scratch=str(scratch))
    finally:
        shutil.rmtree(scratch)
