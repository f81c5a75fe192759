"""`verify` finds any byte that changed, in any stored file and in the catalog, whose rows have digests.

`make test` flips 100 bytes of files and 30 of the catalog, `make soak` a thousand of each; always the same ones.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from counterfoil.datasets.verify import Fault, verify
from counterfoil.errors import DataFolderError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.storage import tables
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import FederatedIdentity
from counterfoil.storage.engines import open_store
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.fetching import BILLING

OF_FILES, OF_THE_CATALOG = 100, 30
MANY = pytest.param(1_000, marks=pytest.mark.soak)
AT_ONCE = 10
OTHER = "11111111-2222-3333-4444-555555555555"
MONTH = Scope.unbilled(BillingPeriod(2026, 11), "EUR")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a catalog can hold: kinds, scopes, segments, old revisions, operations, clients."""
    data = tmp_path_factory.mktemp("damage") / "data"
    with Server(data=data, now="2026-11-21") as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for kind in Kind:
            for count in (300, 400):
                server.publish(
                    generate(kind, count, seed=1, special=True, partner=PARTNER, scope=MONTH), period="2026-11"
                )
            server.publish(generate(kind, 200, special=True, partner=PARTNER, scope=Scope.billed("G1")))
        for seed, day in enumerate(("2026-11-20", "2026-11-21"), 1):
            lines = generate(Kind.USAGE, 150, seed=seed, partner=OTHER, scope=MONTH)
            server.publish(lines, period="2026-11", segment=day)
        for number in range(10):
            for partner in (PARTNER, OTHER):
                client.post(
                    f"{BILLING}/usage/unbilled/export",
                    json={"currencyCode": "EUR", "billingPeriod": "current"},
                    headers=server.headers(partner=partner) | {"Idempotency-Key": f"key {number}"},
                ).raise_for_status()
        catalog = server.service.catalog
        for name in ("one", "two"):
            registered, _ = catalog.add_client(PARTNER, name, utc_now())
            if name == "one":
                catalog.revoke_client(PARTNER, registered.id, utc_now())
            else:
                catalog.trust_client(PARTNER, registered.id, [FederatedIdentity("i", "s", "a")], utc_now())
                catalog.use_assertion(registered.id, "a", "127.0.0.1", expires_at=utc_now(), now=utc_now())
    assert checked(data) == []
    return data


def checked(data: Path) -> list[Fault]:
    with open_store(data) as store:
        return verify(store)[1]


def stored_files(data: Path) -> list[str]:
    with open_store(data).catalog as catalog:
        return sorted(file.path for file in catalog.all_files())


@pytest.mark.parametrize("flips", [OF_FILES, MANY])
def test_a_flipped_byte_of_a_stored_file_is_found_and_its_file_named(data: Path, flips: int) -> None:
    """Ten files at a time, each in its turn; no other file is named."""
    chosen = random.Random(20261121)
    names = stored_files(data)
    kept = {name: (data / "files" / name).read_bytes() for name in names}
    turns = [names[number % len(names)] for number in range(flips)]
    assert set(turns) == set(names)
    for begin in range(0, flips, AT_ONCE):
        flipped: dict[str, int] = {}
        for name in turns[begin : begin + AT_ONCE]:
            content = bytearray(kept[name])
            flipped[name] = chosen.randrange(len(content))
            content[flipped[name]] ^= chosen.randrange(1, 256)
            (data / "files" / name).write_bytes(content)
        found = {fault.where for fault in checked(data)}
        for name in flipped:
            (data / "files" / name).write_bytes(kept[name])
        assert found == set(flipped), flipped
    assert checked(data) == []


@pytest.mark.parametrize("flips", [OF_THE_CATALOG, MANY])
def test_a_flipped_byte_of_the_catalog_is_found_unless_no_answer_follows_from_it(
    data: Path, tmp_path: Path, flips: int
) -> None:
    chosen = random.Random(20261121)
    copy = tmp_path / "data"
    copy.mkdir()
    (copy / "files").symlink_to(data / "files")
    path = copy / "catalog.sqlite"
    shutil.copy(data / "catalog.sqlite", path)
    content = path.read_bytes()
    written = [at for at, byte in enumerate(content) if byte]  # most of an almost empty page is never looked at
    sound, harmless = answers(copy), 0
    assert sound is not None
    for _ in range(flips):
        at, change = chosen.choice(written), chosen.randrange(1, 256)
        for left in ("-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)
        path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
        if answers(copy) == sound:
            harmless += 1
            continue
        try:
            found = checked(copy)
        except DataFolderError:
            continue  # it does not even open, and says so
        assert found, f"byte {at} ^ {change}"
    assert harmless < flips * 3 / 4, "then this test shows nothing"


def test_a_changed_column_of_any_row_is_found(data: Path, tmp_path: Path) -> None:
    """As a flipped bit, or a hand, may change it: another number, another text, null."""
    path, changed = tmp_path / "data" / "catalog.sqlite", dict.fromkeys(map(str, tables.metadata.sorted_tables), 0)
    path.parent.mkdir()
    (path.parent / "files").symlink_to(data / "files")
    for table, name in _columns():
        text = f"substr({name}, 1, length({name}) - 1) || 'x'"
        for value in (f"CASE typeof({name}) WHEN 'integer' THEN {name} - 1 ELSE {text} END", text, "NULL"):
            shutil.copy(data / "catalog.sqlite", path)
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                its = f"rowid = (SELECT max(rowid) FROM {table})"
                before = connection.execute(f"SELECT {name} FROM {table} WHERE {its}").fetchone()
                with suppress(sqlite3.IntegrityError):
                    connection.execute(f"UPDATE {table} SET {name} = {value} WHERE {its}")
                if connection.execute(f"SELECT {name} FROM {table} WHERE {its}").fetchone() == before:
                    continue
            changed[table] += 1
            # What cannot even be read, `verify` makes a fault of.
            with open_store(path.parent).catalog as catalog, suppress(ValueError, TypeError):
                assert catalog.faults(), f"{table}.{name}, {value}: it was {before}"
    assert {table for table, count in changed.items() if not count} == {"meta", "deletions"}


def _columns() -> Iterator[tuple[str, str]]:
    """Every column but the number of a file, which nothing refers to, and those of `meta`, which has no digests."""
    for table in tables.metadata.sorted_tables:
        for column in table.columns:
            if table is not tables.meta and column is not tables.files.c.id:
                yield str(table.name), f'"{column.name}"'


def test_a_flipped_byte_of_the_catalogs_log_takes_nothing_back(data: Path, tmp_path: Path) -> None:
    """What SQLite takes from the log goes before what the file has, so an old log must be worth nothing."""
    folder, copy = tmp_path / "data", tmp_path / "copy"
    shutil.copytree(data, folder)
    copy.mkdir()
    (copy / "files").symlink_to(folder / "files")
    with open_store(folder).catalog as catalog:
        for number in range(5):
            registered, _ = catalog.add_client(OTHER, f"client {number}", utc_now())
        catalog.revoke_client(OTHER, registered.id, utc_now())
        content = {name: (folder / name).read_bytes() for name in ("catalog.sqlite", "catalog.sqlite-wal")}
        sound = answers(folder)
    log, chosen = content["catalog.sqlite-wal"], random.Random(20261128)
    assert sound is not None
    assert len(log) > 20_000
    for _ in range(100):
        at, change = chosen.randrange(len(log)), chosen.randrange(1, 256)
        (copy / "catalog.sqlite").write_bytes(content["catalog.sqlite"])
        (copy / "catalog.sqlite-wal").write_bytes(log[:at] + bytes([log[at] ^ change]) + log[at + 1 :])
        (copy / "catalog.sqlite-shm").unlink(missing_ok=True)
        assert answers(copy) == sound, f"byte {at} ^ {change}"


def answers(data: Path) -> Any:
    """All that the catalog holds, and what follows from it; None where it cannot be read."""
    try:
        with open_store(data).catalog as catalog:
            return list(_answers(catalog))
    except Exception:  # noqa: BLE001 - whatever it is, verify must do better
        return None


def _answers(catalog: Catalog) -> Iterator[Any]:
    with catalog.log.database.reading() as connection:
        for table in tables.metadata.sorted_tables:
            columns = [column for column in table.columns if column is not tables.files.c.id]
            yield [tuple(row) for row in connection.execute(select(*columns))]
    for partner in catalog.partners():
        yield partner, catalog.clients(partner.tenant), catalog.operations(partner.tenant, 1_000)
    for dataset, current in catalog.datasets():
        yield dataset, current
        for revision in catalog.revisions(dataset):
            yield revision, catalog.segments(revision.id)
            yield [replace(file, id=0) for file in catalog.files(revision.id)]
