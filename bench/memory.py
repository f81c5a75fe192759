"""The memory rows: what publishing takes for ten times the line items, and in all, whatever is in them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from bench.data import VARIANTS, Sample
from bench.measure import Row, peak_bytes

TIMES = 10
MEASURED = ("usage", "nothing repeats", "a million customers", "lines of 60 kB")
MOST_MB = {1: 700, 2: 1_200}  # by jobs


def memory(sample: Sample, rounds: int) -> Iterator[Row]:
    """Peak memory of the command and its children, against a tenth of the line items. Once each: it hardly varies."""
    del rounds
    for variant in MEASURED:
        many, few = (
            _peaks_mb(sample, variant, sample.line_items),
            _peaks_mb(sample, variant, sample.line_items // TIMES),
        )
        for jobs, most in MOST_MB.items():
            name = f"memory: {variant}, {jobs} job{'s' * (jobs > 1)}, MB"
            yield Row(f"{name}, {TIMES} times the line items", many[jobs], few[jobs], "", 1.3, lower=True)
            yield Row.within(name, many[jobs], most)


def _peaks_mb(sample: Sample, variant: str, line_items: int) -> dict[int, float]:
    """Return the peak for each number of jobs. The file may be larger than all others, so it is not kept."""
    folder = sample.scratch / "memory"
    folder.mkdir()
    file, data = folder / "line-items.jsonl", folder / "data"
    VARIANTS[variant].write(file, line_items, sample.period)
    command = [sys.executable, "-m", "counterfoil", "publish", str(file), "--period", str(sample.period)]
    peaks = {}
    for jobs in MOST_MB:
        peaks[jobs] = peak_bytes([*command, "--data", str(data), "--jobs", str(jobs)], jobs=jobs) / 1e6
        shutil.rmtree(data)
    shutil.rmtree(folder)
    return peaks
