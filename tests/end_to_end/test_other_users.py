"""A data folder that belongs to a service's user, or that cannot be written: root and readers leave it usable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.verify import verify
from counterfoil.errors import DataFolderError
from counterfoil.model import Kind
from counterfoil.periods import utc_now
from counterfoil.storage.engines import open_store
from tests.datasets.line_items import amounts, publish_bytes

NOBODY = 65534
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that another user may reach, in a folder that is that user's where root runs the test."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        if IS_ROOT:
            os.chown(data, NOBODY, NOBODY)
        yield data


@contextmanager
def as_owner() -> Iterator[None]:
    """Be the folder's owner, if root runs the test."""
    if IS_ROOT:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if IS_ROOT:
            os.seteuid(0)


def published(data: Path, tmp_path: Path, digit: str) -> None:
    with open_store(data) as store:
        publish_bytes(DataFolder(store, utc_now), tmp_path / digit, amounts(Kind.USAGE, digit))


@pytest.mark.skipif(not IS_ROOT, reason="only root works in the folders of others")
def test_what_root_publishes_belongs_to_the_owner_of_the_data_folder(data: Path, tmp_path: Path) -> None:
    published(data, tmp_path, "1")
    assert {path.stat().st_uid for path in data.rglob("*")} == {NOBODY}
    with as_owner(), open_store(data) as store:
        assert verify(store)[1] == []


def test_a_folder_that_cannot_be_written_can_be_read_and_verified(data: Path, tmp_path: Path) -> None:
    published(data, tmp_path, "1")
    folders = [data, *(path for path in data.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        with as_owner(), open_store(data, create=False) as store:
            assert verify(store)[1] == []
            [(_, revision)] = store.catalog.datasets()
            assert revision is not None
            with pytest.raises(DataFolderError, match="cannot be read or written"):
                store.catalog.add_partner(revision.dataset.partner.replace("0", "1"), utc_now())
        data.chmod(0o700)
        (data / "catalog.sqlite-wal").write_bytes(b"a log")
        data.chmod(0o500)
        with as_owner(), pytest.raises(DataFolderError, match="has a log that must be written"):
            open_store(data, create=False)
    finally:
        for folder in folders:
            folder.chmod(0o700)
