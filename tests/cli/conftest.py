"""A running Counterfoil to pull from, and a folder with a profile for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.testing import Server
from tests.cli.pulling import House


@pytest.fixture(scope="module")
def _running() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def house(_running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """An empty source, and the working directory of somebody who pulls from it."""
    _running.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTOSO_TOKEN", _running.token())
    house = House(_running)
    house.profile()
    return house
