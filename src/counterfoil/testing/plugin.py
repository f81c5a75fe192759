"""The pytest fixture `counterfoil_server`. Loaded by pytest itself, so nothing heavy is imported before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from counterfoil.testing import Server


@pytest.fixture(scope="session")
def counterfoil_session_server() -> Iterator[Server]:
    """One server for the whole run. Tests ask for `counterfoil_server`, which is empty each time."""
    from counterfoil.testing import Server

    with Server() as server:
        yield server


@pytest.fixture
def counterfoil_server(counterfoil_session_server: Server) -> Server:
    """A running Counterfoil server with nothing published, at the present time."""
    counterfoil_session_server.reset()
    return counterfoil_session_server
