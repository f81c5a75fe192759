"""Rows of matching: usage line items against the same, of which 1.6 % changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.data import CURRENCY, Sample
from bench.measure import Row, in_turns, peak_bytes, task_command, work

# The peer's tables fit into memory below that, and nobody needs windows.
_JOINED_FROM = 10_000_000
_MOST_MB = 1_500


def match(sample: Sample, rounds: int) -> Iterator[Row]:
    """All groups with their lines, and the numbers of what differs, against a full join, which pairs too much."""
    sides: dict[str, Any] = {
        "name": f"unbilled:{sample.period}:{CURRENCY}",
        "left": str(sample.data),
        "right": str(sample.changed_data),
    }
    lines = partial(work, "match_sides", **sides, jobs=2)
    numbers = partial(work, "numbers_of_sides", **sides, jobs=2)
    without, told = in_turns(rounds, partial(lines, digests=False), numbers)
    yield Row("match: numbers by digest : lines without digests, rows/s", 1 / told, 1 / without, "", 8)
    if sample.line_items >= _JOINED_FROM:
        lake: dict[str, Any] = {
            "left": [str(path) for path in sample.lake],
            "right": [str(path) for path in sample.changed_lake],
        }
        joined = partial(work, "duckdb_full_join", **lake, scratch=str(sample.scratch), jobs=2)
        for digests in (True, False):
            ours, peer = in_turns(rounds, partial(lines, digests=digests), joined)
            name = f"match with{'' if digests else 'out'} digests : DuckDB's full join, s"
            yield Row(name, ours, peer, "", 1.0, lower=True)
    peak = peak_bytes(task_command("match_sides", **sides, digests=False), jobs=2) / 1e6
    yield Row.within("match: memory, MB", peak, _MOST_MB)
