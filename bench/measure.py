"""What is common to all rows: turns, medians, pinning, memory, and how a row is printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SERVER_CORE = 0
LOAD_CORE = min(1, (os.cpu_count() or 1) - 1)
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Row:
    """One measured line. `lower` means that a ratio below the floor is the good one."""

    name: str
    ours: float
    peer: float
    unit: str
    floor: float
    lower: bool = False

    @classmethod
    def within(cls, name: str, ours: float, limit: float) -> Self:
        """Return a row with a fixed limit in the place of a peer."""
        return cls(f"{name}, against the limit", ours, limit, "", 1.0, lower=True)

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
        return f"{self.name:<68} {figures[0]} {figures[1]} {self.ratio:>6.2f}x {bound:>7}  {verdict}"


def in_turns(rounds: int, *measured: Callable[[], float]) -> list[float]:
    """Measure each of them `rounds` times, alternately; returns the medians."""
    turns = [[measure() for measure in measured] for _ in range(rounds)]
    return [statistics.median(figures) for figures in zip(*turns, strict=True)]


def work(task: str, *, environ: dict[str, str] | None = None, sources: Path | None = None, **given: Any) -> float:
    """Run one task of `bench.work`, or of another tree's, in a process of its own; returns the seconds it measured."""
    environ = {**os.environ, **({"PYTHONPATH": str(sources / "src")} if sources else {}), **(environ or {})}
    command = on_cores_for(given.get("jobs", 1), task_command(task, **given))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=sources, env=environ)
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds


def whole(command: list[str], *, jobs: int = 1) -> float:
    """Run a command from start to end, with nothing loaded beforehand; returns the seconds on the clock."""
    began = time.perf_counter()
    subprocess.run(on_cores_for(jobs, command), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def peak_bytes(command: list[str], *, jobs: int = 1) -> int:
    """Run a command; returns the most memory that it and all its children had at once, shared pages counted once."""
    peak = 0
    with subprocess.Popen(on_cores_for(jobs, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_bytes, _with_children(process.pid))))
            time.sleep(_LOOK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def task_command(task: str, **given: Any) -> list[str]:
    """Return the command that runs one task of `bench.work`."""
    return [sys.executable, "-m", "bench.work", task, json.dumps(given)]


def on_cores_for(jobs: int, command: list[str]) -> list[str]:
    """Return the command kept to one core if it has one job; with more it has all."""
    return pinned(command, LOAD_CORE) if jobs == 1 else command


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


def _with_children(process: int) -> Iterator[int]:
    yield process
    with suppress(OSError):  # it has ended
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from _with_children(int(child))


def _proportional_bytes(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
