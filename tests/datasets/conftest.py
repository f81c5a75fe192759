"""A data folder to publish into, for each test its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.storage.engines import open_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the data folder is (or will be)."""
    return tmp_path / "data"


@pytest.fixture
def data_folder(data: Path) -> Iterator[DataFolder]:
    """An empty data folder, opened."""
    with open_store(data) as store:
        yield DataFolder(store, lambda: NOW)
