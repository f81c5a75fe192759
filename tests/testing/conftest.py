"""What several files of tests stand on: a server that misbehaves as a test says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testing.fault_calls import Calls, calling


@pytest.fixture(scope="module")
def served_faults() -> Iterator[Calls]:
    with calling() as calls:
        yield calls


@pytest.fixture
def calls(served_faults: Calls) -> Iterator[Calls]:
    """Calls to a server that misbehaves as a test says; all tests of one file share it."""
    yield served_faults
    served_faults.server.heal()
