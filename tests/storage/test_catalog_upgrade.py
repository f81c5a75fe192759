"""Where a catalog is: new folders that survive a power cut, and an older catalog that is to be brought up to date."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.errors import DataFolderError
from counterfoil.storage import schema, sqlite
from counterfoil.storage.engines import open_store


def test_the_names_of_new_folders_are_synced_before_anything_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    open_store(tmp_path / "a" / "b" / "data").catalog.close()
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "data"} <= set(synced)


def test_an_older_catalog_in_a_folder_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    engine = sqlite.engine_for(path)
    schema.prepare(engine, path, schema.MIGRATIONS[:1])
    engine.dispose()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_, **__: False)
        with pytest.raises(DataFolderError, match="older Counterfoil") as refused:
            open_store(tmp_path, create=False)
        assert "counterfoil list" in refused.value.remedy
    with open_store(tmp_path).catalog as catalog:
        assert catalog.credentials("nobody") == []
