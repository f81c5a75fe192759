"""Plans, workers, chance, and counts that are printed at the end with their seed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from counterfoil.client import Api
from tests.crash.plans import Plans, known_readings, make_plans
from tests.crash.processes import Worker, Workers
from tests.crash.reading import Reading

# Read before any test runs: tests see no settings from outside.
SEED = int(os.environ.get("CHAOS_SEED", "20261120"))
RUNS = int(os.environ.get("CHAOS_RUNS", "200"))
_TRIED = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """The three ways to publish, with their input."""
    return make_plans(tmp_path_factory.mktemp("plans"))


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Processes to kill."""
    with TemporaryDirectory() as folder, Workers(Path(folder)) as made:  # the name of a socket must be short
        yield made


@pytest.fixture
def worker(workers: Workers) -> Iterator[Worker]:
    """A process to keep."""
    with workers.take() as made:
        yield made


@pytest.fixture(scope="session")
def known(plans: Plans) -> dict[tuple[str, Api], Reading]:
    """What readers get of each state."""
    return known_readings(plans.all())


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> Random:
    """Chance, the same for the same seed and test."""
    return Random(f"{SEED} {request.node.name}")


@pytest.fixture
def runs() -> int:
    """How many random moments to try."""
    return RUNS


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Counter[str]:
    """Counts what was tried, for the end of the report."""
    return request.config.stash.setdefault(_TRIED, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the counts and the seed."""
    tried = config.stash.get(_TRIED, None)
    if tried:
        terminalreporter.section("chaos")
        terminalreporter.line(f"CHAOS_SEED={SEED} CHAOS_RUNS={RUNS}")
        for what, count in tried.items():
            terminalreporter.line(f"{count:6,} {what}")
