"""The processes of these tests: publications that may be stopped anywhere, and real servers. All are ended by id."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

DRIVER: Final = Path(__file__).with_name("publishing.py")
NOW: Final = "2026-11-20T12:00:00+00:00"  # the business clock of all servers here


@dataclass(frozen=True, slots=True)
class Given:
    """One file to publish."""

    file: Path
    segment: str = "whole"
    period: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do to a data folder, and the point at which to stop."""

    data: Path
    inputs: Sequence[Given] = ()
    does: str = "publish"
    revision: str = ""
    at: str = ""
    how: str = "kill"
    now: str = ""

    def line(self) -> str:
        """The job as the driver reads it."""
        inputs = [{"file": str(each.file), "segment": each.segment, "period": each.period} for each in self.inputs]
        told = {"data": str(self.data), "inputs": inputs, "does": self.does, "revision": self.revision}
        return json.dumps(told | {"at": self.at, "how": self.how, "now": self.now}) + "\n"


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job."""

    receipts: list[dict[str, Any]]
    error: str
    message: str
    swept: list[int]
    faults: list[str]
    points: list[str]
    took_s: float


class Worker:
    """A process that does jobs until it is killed."""

    def __init__(self) -> None:
        self._ready = False
        self.process = subprocess.Popen(
            [sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, job: Job) -> None:
        """Have it begin; it has imported everything by then."""
        assert self.process.stdin is not None
        self._hear_ready()
        self.process.stdin.write(job.line())
        self.process.stdin.flush()

    def end(self) -> Done | None:
        """Wait until the job is done; None if the process died of it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return Done(**json.loads(line))
        self.process.wait()
        return None

    def do(self, job: Job) -> Done:
        """Do a job to its end."""
        self.begin(job)
        done = self.end()
        assert done is not None, "the process died"
        return done

    def until_stopped(self) -> None:
        """Wait until it has stopped at its point."""
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert self.is_stopped(), "it ended before its point"

    def is_stopped(self) -> bool:
        """Whether it stands still."""
        return Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill_after(self, wait_s: float) -> bool:
        """Kill it after a while, or as soon as it is done; tell whether it was still at work."""
        assert self.process.stdout is not None
        done, _, _ = select.select([self.process.stdout.fileno()], [], [], wait_s)
        self.kill()
        return not done

    def kill(self) -> None:
        """Kill it, stopped or not."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Kill it and let go of its pipes."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear_ready(self) -> None:
        if not self._ready:
            assert self.process.stdout is not None
            assert self.process.stdout.readline() == "ready\n"
            self._ready = True


class Workers:
    """A worker at hand: the next one starts while the last is still being looked at, for starting takes longest."""

    def __init__(self) -> None:
        self._next = Worker()

    def take(self) -> Worker:
        """Return a worker that did nothing yet; whoever takes it closes it."""
        taken, self._next = self._next, Worker()
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._next.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A running `counterfoil serve`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def serving(data: Path, log: Path, port: int = 0) -> Iterator[Served]:
    """Serve a data folder from a process of its own; what it says goes to `log`, and holds no traceback."""
    command = [sys.executable, "-m", "counterfoil", "serve", "--dev", "--data", str(data)]
    with (
        log.open("a") as errors,
        subprocess.Popen(
            [*command, "--port", str(port), "--now", NOW], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("Counterfoil is serving at "), log.read_text()
            yield Served(process, said.split()[-1], log)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def command(*arguments: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `counterfoil ...` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "counterfoil", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
