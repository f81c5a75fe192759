"""The processes of these tests: publications that may be stopped anywhere, and real servers. All are ended by id."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
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
    partner: str = ""
    at: str = ""
    how: str = "kill"
    now: str = ""
    jobs: int = 1
    run_bytes: int = 64 << 20

    def line(self) -> str:
        """The job as the driver reads it."""
        return json.dumps(asdict(self), default=str) + "\n"


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


class Workers:
    """Where processes come from that do jobs: one that has imported everything, and is copied."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "workers"
        self._process = subprocess.Popen(
            [sys.executable, DRIVER, self._path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def take(self) -> Worker:
        """Return a process that did nothing yet; whoever takes it closes it."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._path))
        return Worker(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends when its input does


class Worker:
    """A process that does jobs until it is killed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rw", encoding="utf-8")
        self.id = int(self._stream.readline())
        self._handle = os.pidfd_open(self.id)

    def begin(self, job: Job) -> None:
        """Have it begin."""
        self._stream.write(job.line())
        self._stream.flush()

    def end(self) -> Done | None:
        """Wait until the job is done; None if the process died of it."""
        try:
            line = self._stream.readline()
        except ConnectionResetError:
            line = ""
        if line:
            return Done(**json.loads(line))
        self._until_dead()
        return None

    def do(self, job: Job) -> Done:
        """Do a job to its end."""
        self.begin(job)
        done = self.end()
        assert done is not None, "the process died"
        return done

    def until_stopped(self) -> None:
        """Wait until it has stopped at its point."""
        while not self.is_stopped():
            ended, _, _ = select.select([self._connection.fileno(), self._handle], [], [], 0.005)
            assert not ended, "it ended before its point"

    def is_stopped(self) -> bool:
        """Whether it stands still."""
        return Path(f"/proc/{self.id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"

    def go_on(self) -> None:
        """Let it go on."""
        signal.pidfd_send_signal(self._handle, signal.SIGCONT)

    def kill_after(self, wait_s: float) -> bool:
        """Kill it after a while, or as soon as it is done; tell whether it was still at work."""
        done, _, _ = select.select([self._connection], [], [], wait_s)
        self.kill()
        return not done

    def kill(self) -> None:
        """Kill it, stopped or not; it holds nothing any more then."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._until_dead()

    def _until_dead(self) -> None:
        select.select([self._handle], [], [])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._handle)
        with suppress(BrokenPipeError):
            self._stream.close()
        self._connection.close()


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
