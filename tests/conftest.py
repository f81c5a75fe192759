"""What every test stands on: no settings from outside, and nothing left behind when all are done.

`make test` runs them in several processes. Each looks after its own: what it starts bears a mark of its own. But the
tree is everybody's, so no test may write to it even for a moment.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from counterfoil.datasets.kernels.compiled import prepare
from counterfoil.disk.file_lock import FileLock

ROOT = Path(__file__).parent.parent
MARK = "PYTEST_RUN"  # every process a test starts inherits it, and so can be found however it was orphaned


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are processors: a third of the tests' time goes by in waiting for others."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests want told when all are done: `record_property("told", ...)`."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COUNTERFOIL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _one_authority_to_trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """To read the certificates of all the web's authorities takes a client longer than most tests take altogether."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def _kernels_are_compiled() -> None:
    """Or the first tests would read without them, and what compiles them would still be at work after the last.

    One process compiles, with programs enough for two processors, and the others wait for it.
    """
    with _lock(ROOT / ".cache" / "kernels.lock"):
        prepare(wait=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock for as long as the context lasts, after whoever has it now: kernels take longer than its patience."""
    path.parent.mkdir(exist_ok=True)
    while True:
        try:
            lock = FileLock.take(path, wait=True)
        except BlockingIOError:
            continue
        break
    with lock:
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No test leaves a process running or a file in the tree."""
    run = os.environ[MARK] = uuid.uuid4().hex
    before = _names_in_tree()
    yield
    assert _processes_of(run) == [], "processes are still running"
    assert sorted(_names_in_tree() - before) == [], "files were left in the tree"


def _names_in_tree() -> set[str]:
    caches = {".cache", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache"}
    names = {path.name for path in ROOT.iterdir()} - caches
    return {name for name in names if not name.startswith(".mypy_worker")}  # somebody may be checking types beside us


def _processes_of(run: str) -> list[str]:
    """The command lines of other processes that bear the mark (where the system tells)."""
    found = list[str]()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and f"{MARK}={run}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found
