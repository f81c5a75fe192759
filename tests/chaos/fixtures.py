"""What the long crash tests and the quick ones share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chaos.plans import Plans, make_plans
from tests.chaos.processes import Worker, Workers


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
