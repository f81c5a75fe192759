"""What is common to all rows: turns, medians, pinning, and how a row is printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER_CORE = 0
LOAD_CORE = min(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True)
class Row:
    """One measured line. `lower` means that a ratio below the floor is the good one."""

    name: str
    ours: float
    peer: float
    unit: str
    floor: float
    lower: bool = False

    @property
    def ratio(self) -> float:
        """Ours over the peer's."""
        return self.ours / self.peer

    @property
    def good(self) -> bool:
        """Whether the floor is met."""
        return self.ratio <= self.floor if self.lower else self.ratio >= self.floor

    def __str__(self) -> str:
        figures = f"{_figure(self.ours)} {self.unit}".rjust(12), f"{_figure(self.peer)} {self.unit}".rjust(12)
        bound = f"{'<=' if self.lower else '>='}{self.floor:g}x"
        verdict = "ok" if self.good else "BELOW"
        return f"{self.name:<52} {figures[0]} {figures[1]} {self.ratio:>6.2f}x {bound:>7}  {verdict}"


def in_turns(rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> tuple[float, float]:
    """Measure both `rounds` times, alternately; returns the medians."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        mine.append(ours())
        theirs.append(peer())
    return statistics.median(mine), statistics.median(theirs)


def work(task: str, **arguments: Any) -> dict[str, float]:
    """Run one task of `bench.work` in a process of its own, on one core; returns what it measured."""
    command = [sys.executable, "-m", "bench.work", task, json.dumps(arguments)]
    done = subprocess.run(pinned(command, LOAD_CORE), check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def pinned(command: list[str], core: int) -> list[str]:
    """Return the command kept to one core."""
    return ["taskset", "-c", str(core), *command]


def os_release() -> str:
    """Say what machine this is."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown processor",
    )
    return f"{model}, {os.cpu_count()} cores"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
