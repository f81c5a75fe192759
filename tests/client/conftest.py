"""Sources to pull from, and a client whose waits are noted and take no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from counterfoil.client import Client
from counterfoil.client.protocol.retries import Patience
from tests.client.hostile_source import TOKEN, HostileSource, serving


@pytest.fixture
def source() -> Iterator[HostileSource]:
    with serving(HostileSource()) as running:
        yield running


@pytest.fixture
def stranger() -> Iterator[HostileSource]:
    """Another host, which must never see the token."""
    with serving(HostileSource()) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """How long the client waited, each time."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    now = [0.0]

    def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        now[0] += wait_s

    return Patience(attempts_max=4, sleep=sleep, draw=lambda: 0.5, monotonic=lambda: now[0])


@pytest.fixture
def client(source: HostileSource, patience: Patience) -> Iterator[Client]:
    with Client(source.url, TOKEN, patience=patience, wait_s_max=100.0) as open_client:
        yield open_client
