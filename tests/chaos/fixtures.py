"""What the long crash tests and the quick ones share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.plans import Plans, make_plans
from tests.chaos.processes import Worker, Workers


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """The three ways to publish, with their input."""
    return make_plans(tmp_path_factory.mktemp("plans"))


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Processes to kill."""
    with Workers() as made:
        yield made


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A process to keep."""
    with Worker() as made:
        yield made
