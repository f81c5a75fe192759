"""Where a catalog is: new folders that survive a power cut, and an older catalog that is to be brought up to date."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from counterfoil.errors import DataFolderError
from counterfoil.storage import rows, schema, sqlite, version_4
from counterfoil.storage.engines import open_store

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


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


def test_secrets_of_version_4_stay_good_for_ever_and_what_was_damaged_stays_found(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    engine = sqlite.engine_for(path)
    schema.prepare(engine, path, schema.MIGRATIONS[:3])
    before = version_4.metadata.tables
    with engine.begin() as connection:
        rows.insert(connection, before["partners"], {"tenant": PARTNER, "added_at": NOW})
        for name, secret, ended in (
            ("one", "1", None),
            ("old", "2", NOW),
            ("robot", "", None),
            ("bad", "3", None),
        ):
            values = {"id": name, "partner": PARTNER, "name": name, "created_at": NOW, "revoked_at": ended}
            sha256 = hashlib.sha256(secret.encode()).hexdigest() if secret else "0" * 64
            rows.insert(connection, before["clients"], {**values, "secret_sha256": sha256})
        connection.execute(text("UPDATE clients SET secret_sha256 = 'changed' WHERE id = 'bad'"))
    engine.dispose()
    later = NOW + timedelta(days=10_000)
    with open_store(tmp_path).catalog as catalog:
        clients = {client.id: client for client in catalog.clients(PARTNER)}
        assert catalog.check_client("one", "1", later) == clients["one"]
        assert [catalog.check_client(*given, NOW) for given in (("one", "2"), ("old", "2"), ("robot", ""))] == [
            None
        ] * 3
        assert clients["old"].revoked_at == NOW
        assert {name: len(catalog.client_secrets(name)) for name in clients} == {
            "one": 1,
            "old": 1,
            "robot": 0,
            "bad": 1,
        }
        assert sorted(catalog.faults()) == [
            "the row bad first of client_secrets was changed",
            "the row bad of clients was changed",
        ]
        assert [partner.name for partner in catalog.partners()] == [None]
    names = "SELECT sql FROM sqlite_master WHERE tbl_name = 'clients' AND type = 'index' AND sql IS NOT NULL"
    with engine.connect() as upgraded, open_store(tmp_path / "new").catalog.log.database.reading() as new:
        assert upgraded.execute(text(names)).all() == new.execute(text(names)).all()
    engine.dispose()
