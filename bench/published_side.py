"""Rows of totals and audit of a published dataset, on one core."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench.data import CURRENCY, Sample
from bench.measure import Row, in_turns, peak_bytes, task_command, work

_AUDIT_LINE_ITEMS_A_SECOND = 100_000
_AUDIT_PEAK_MB = 600


def totals(sample: Sample, rounds: int) -> Iterator[Row]:
    """Exact sums by customer, against DuckDB's of 38 digits."""
    lake = [str(path) for path in sample.lake]
    ours = partial(work, "totals_by_customer", data=str(sample.data), side=_side(sample))
    ours_s, peer_s = in_turns(rounds, ours, partial(work, "duckdb_totals", lake=lake))
    yield Row("totals by customer, rows/s", sample.line_items / ours_s, sample.line_items / peer_s, "", 1.0)


def audit(sample: Sample, rounds: int) -> Iterator[Row]:
    """All rules over all line items, against the floor, and the memory that it takes."""
    data, side = str(sample.data), _side(sample)
    [seconds] = in_turns(rounds, partial(work, "audit_side", data=data, side=side))
    yield Row("audit, rows/s, against the floor", sample.line_items / seconds, _AUDIT_LINE_ITEMS_A_SECOND, "", 1.0)
    peak = peak_bytes(task_command("audit_side", data=data, side=side))
    yield Row.within("audit, peak MB", peak / 1e6, _AUDIT_PEAK_MB)


def _side(sample: Sample) -> str:
    return f"unbilled:{sample.period}:{CURRENCY}"
