"""The stored folders, and the programs that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.datasets.test_new_columns import add_columns
from tests.stored.stored_folders import VERSION_2, listed, unpacked


@pytest.fixture(params=["today", "with two new columns"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test twice: with today's program, and with that of a later day, which knows two attributes more."""
    if request.param != "today":
        add_columns(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of version 2."""
    return unpacked(VERSION_2 / "data.tar.gz", tmp_path / "data")


@pytest.fixture
def pulls(tmp_path: Path) -> Path:
    """Pull folders of version 2."""
    return unpacked(VERSION_2 / "pulls.tar.gz", tmp_path / "pulls")


@pytest.fixture(scope="session")
def holds() -> dict[str, Any]:
    """What they hold."""
    return listed(VERSION_2)
