"""The rows of small commands: nearly all they take is loading, so each is measured against what it must import.

Processor time counts, not the clock: another program on the machine disturbs it least.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.data import PARTNER, Sample
from bench.measure import Row, in_turns, work
from counterfoil.generator import generate, write
from counterfoil.model import Kind, Scope

LINE_ITEMS = 200
KERNELS_S = 0.3
MANY, MANY_LINE_ITEMS, MANY_S = 3_000, 20, 60.0
DATABASE, PLAIN = "import sqlalchemy, click", "import click"


def startup(sample: Sample, rounds: int) -> Iterator[Row]:
    """Start small commands, and processes that import the libraries which these cannot do without."""
    folder = sample.scratch / "startup"
    folder.mkdir(exist_ok=True)
    file, data = folder / "invoice.jsonl", folder / "data"
    write(generate(Kind.USAGE, LINE_ITEMS, special=True, partner=PARTNER, scope=Scope.billed("G016907411")), file)
    publish = ["publish", str(file), "--data", str(data)]
    _seconds(folder, "-m", "counterfoil", *publish)

    def fresh() -> float:
        shutil.rmtree(data)
        return _seconds(folder, "-m", "counterfoil", *publish)

    took, peer = in_turns(2 * rounds, fresh, lambda: _seconds(folder, "-c", DATABASE))
    yield Row(f"publish of {LINE_ITEMS}, processor s", took, peer, "", 3.0, lower=True)
    for words, imports, most in (
        (["list", "--data", str(data)], DATABASE, 1.5),
        (["pulls", "list"], PLAIN, 3.0),
        (["serve", "--help"], PLAIN, 3.0),
    ):
        took, peer = in_turns(
            2 * rounds,
            lambda words=words: _seconds(folder, "-m", "counterfoil", *words),  # type: ignore[misc]
            lambda imports=imports: _seconds(folder, "-c", imports),  # type: ignore[misc]
        )
        yield Row(f"{' '.join(words[:2]).partition(' --data')[0]}, processor s", took, peer, "", most, lower=True)


def many(sample: Sample, rounds: int) -> Iterator[Row]:
    """Publish thousands of small datasets, of one partner each, from one list; by the clock, on all processors."""
    del rounds
    folder = sample.scratch / "many"
    folder.mkdir(exist_ok=True)
    line_items = b"".join(generate(Kind.USAGE, MANY_LINE_ITEMS, partner=PARTNER, scope=Scope.billed("G016907411")))
    rows = ["file,partner,kind,invoice"]
    for number in range(MANY):
        partner = PARTNER[:-6] + f"{number:06}"
        (folder / f"{number}.jsonl").write_bytes(line_items.replace(PARTNER.encode(), partner.encode()))
        rows.append(f"{number}.jsonl,{partner},usage,G016907411")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    began = time.perf_counter()
    _seconds(folder, "-m", "counterfoil", "publish", "--list", "list.csv", "--data", "data")
    yield Row.within(f"publish of a list of {MANY:,} small datasets, s", time.perf_counter() - began, MANY_S)


def kernels(sample: Sample, rounds: int) -> Iterator[Row]:
    """Load all compiled kernels, which is what a process spends on them where they are ready."""
    del sample
    [ours] = in_turns(2 * rounds, lambda: work("load_kernels"))
    yield Row.within("loading of all kernels, s", ours, KERNELS_S)


def _seconds(folder: Path, *arguments: str) -> float:
    """Run Python, and return the processor time that it took."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
