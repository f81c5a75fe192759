"""Work on all cores: tasks for worker processes, which are started when they are first needed.

A task is a function of a module and a value; both travel to a worker, and the result back, so a worker could be on
another machine. A worker ends when its input does, so it does not outlive a process that was killed; and it is killed
when its results are no longer wanted. One job needs no worker.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Final, Self, TypeVar

from counterfoil.datasets.kernels.compiled import prepare
from counterfoil.errors import CounterfoilError

T = TypeVar("T")
R = TypeVar("R")
Tell = Callable[[int], None]
Task = Callable[[T, Tell], R]

_MEMORY_OF_A_JOB_BYTES: Final = 640 << 20
_CGROUP: Final = Path("/sys/fs/cgroup")


class Workers:
    """Up to `jobs` worker processes. Use it as a context: on leaving, all are ended."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._threads = ThreadPoolExecutor(jobs)  # each waits for the worker that it gave a task
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = Lock()
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._left = True
            for worker in self._started:
                worker.kill()
        self._threads.shutdown()
        for worker in self._started:
            with worker:  # closes its pipes and waits for it
                pass

    def map(self, task: Task[T, R], values: Sequence[T], tell: Tell) -> Iterator[R]:
        """Yield the result of a task for each value, in order; `tell` is given what the tasks tell, as they do.

        Raises what a task raises, and CounterfoilError if a worker ends before its time.
        """
        if self.jobs == 1 or len(values) < 2:
            return (task(value, tell) for value in values)
        prepare(wait=True)  # or each worker would compile the kernels
        return self._threads.map(partial(self._run, task, tell=tell), values)

    def _run(self, task: Task[T, R], value: T, tell: Tell) -> R:
        worker = self._worker()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            pickle.dump((task, value), worker.stdin)
            worker.stdin.flush()
            while True:
                what, content = pickle.load(worker.stdout)  # noqa: S301 - from our own program
                if what == "told":
                    with self._lock:
                        tell(content)
                else:
                    break
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise CounterfoilError(
                f"A worker process ended before its work was done ({_ending(worker.wait())}).",
                remedy="Was it killed, or is there too little memory? Try again with fewer jobs.",
                parameter="jobs",
            ) from error
        self._free.put(worker)
        if what == "raised":
            raise content
        return content  # type: ignore[no-any-return]

    def _worker(self) -> subprocess.Popen[bytes]:
        """Return a worker that has nothing to do."""
        with suppress(Empty):
            return self._free.get_nowait()
        with self._lock:
            if self._left:
                raise CounterfoilError("The work was given up.")
            self._started.append(_start())
            return self._started[-1]


def _start() -> subprocess.Popen[bytes]:
    source = str(Path(__file__).parents[2])
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))}
    # -P: a file in the working directory is none of ours. Ctrl-C ends the parent, which ends its workers.
    command = [sys.executable, "-P", "-m", "counterfoil.datasets.worker"]
    return subprocess.Popen(  # noqa: S603 - the program is our own
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def jobs_by_default() -> int:
    """Return how many jobs this machine has room for: processors that may be used, and memory for each."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            processors = min(processors, max(1, int(quota) // int(period)))
    return max(1, min(processors, _free_memory_bytes() // _MEMORY_OF_A_JOB_BYTES))


def _free_memory_bytes() -> int:
    free = sys.maxsize
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
    with suppress(OSError, ValueError):
        limit, used = ((_CGROUP / name).read_text() for name in ("memory.max", "memory.current"))
        free = min(free, int(limit) - int(used))
    return free
