"""The memory row: ten times the line items, and how much more memory publishing takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from bench.data import PARTNER, Sample
from bench.measure import Row, work
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope

TIMES = 10


def peak(sample: Sample, rounds: int) -> Iterator[Row]:
    """Peak memory of publishing ten times as many line items, against the sample's. One run each: it hardly varies."""
    del rounds
    peaks = []
    for times in (TIMES, 1):
        folder = sample.scratch / "memory"
        folder.mkdir()
        file = folder / "line-items.jsonl.gz"
        scope = Scope.unbilled(sample.period, "EUR")
        write(generate(Kind.USAGE, sample.line_items * times, partner=PARTNER, scope=scope), file)
        took = work("publish", file=str(file), period=str(sample.period), scratch=str(folder))
        peaks.append(took["peak_bytes"] / 1e6)
        shutil.rmtree(folder)
    yield Row(f"publish: peak memory, {TIMES} times the line items, MB", peaks[0], peaks[1], "", 1.3, lower=True)
