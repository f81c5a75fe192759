"""Opening a catalog: made once, never half, and nobody else's file is touched. What the engine says, in our words."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, create_mock_engine, text
from sqlalchemy.schema import CreateIndex

from counterfoil.errors import (
    CounterfoilError,
    DataFolderError,
    FullDiskError,
    LockedError,
    LostCatalogError,
    NewerDataError,
    UsageError,
)
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.storage import schema, sqlite, version_2
from counterfoil.storage.catalog_rows import NewSegment
from counterfoil.storage.engines import open_store
from counterfoil.storage.failures import translated, translated_errors
from counterfoil.storage.version_2 import meta
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEXT_VERSION = schema.FIRST_VERSION + len(schema.MIGRATIONS)


def on_disk(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    open_store(data).catalog.close()
    with open_store(data, create=False).catalog as catalog:
        catalog.add_partner(PARTNER, NOW)
    with open_store(data).catalog as catalog:
        assert catalog.has_partner(PARTNER)


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="`data`"):
        open_store(tmp_path / "data", create=False)
    assert list(tmp_path.iterdir()) == []


def test_every_connection_is_durable_and_checks_references(tmp_path: Path) -> None:
    with open_store(tmp_path).catalog as catalog, ExitStack() as stack:
        one, two = (stack.enter_context(catalog.log.database.reading()) for _ in range(2))
        for connection in (one, two):
            asked = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            assert asked == ["wal", 2, 1, 30_000]


def test_the_catalog_can_lie_elsewhere(tmp_path: Path) -> None:
    with open_store(tmp_path / "data", f"sqlite:///{tmp_path}/elsewhere/my.sqlite"):
        assert (tmp_path / "elsewhere" / "my.sqlite").exists()
    assert not (tmp_path / "data" / "catalog.sqlite").exists()


def test_partial_indexes_are_partial_in_another_dialect_too() -> None:
    made = dict[str, bool]()

    def note(element: object, *_: object, **__: object) -> None:
        if isinstance(element, CreateIndex):
            made[str(element.element.name)] = " WHERE " in str(element.compile(dialect=engine.dialect))

    engine = create_mock_engine("postgresql://", note)
    version_2.create(cast("Connection", engine))
    indexes = [index for table in version_2.metadata.tables.values() for index in table.indexes]
    assert made == {index.name: index.dialect_options["sqlite"]["where"] is not None for index in indexes}
    assert {True, False} == set(made.values())


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "hunter2", ""])
def test_a_database_we_do_not_know_is_refused_without_repeating_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_store(tmp_path, url)
    assert "hunter2" not in str(refused.value)


def test_a_newer_catalog_is_left_as_it_is(tmp_path: Path) -> None:
    open_store(tmp_path).catalog.close()
    newer = f"UPDATE meta SET value = '{NEXT_VERSION}' WHERE key IN ('schema_version', 'usable_from')"
    on_disk(tmp_path / "catalog.sqlite", newer)
    before = (tmp_path / "catalog.sqlite").read_bytes()
    with pytest.raises(NewerDataError, match="Upgrade"):
        open_store(tmp_path)
    assert (tmp_path / "catalog.sqlite").read_bytes() == before


def test_a_newer_catalog_that_says_it_is_usable_is_used_and_not_changed_back(tmp_path: Path) -> None:
    """So that nodes can be upgraded one after another."""
    open_store(tmp_path).catalog.close()
    path = tmp_path / "catalog.sqlite"
    on_disk(path, f"UPDATE meta SET value = '{NEXT_VERSION}' WHERE key = 'schema_version'")
    with open_store(tmp_path) as store:
        store.catalog.add_partner(PARTNER, NOW)
    assert on_disk(path, "SELECT value FROM meta WHERE key = 'schema_version'") == [(str(NEXT_VERSION),)]


def test_a_catalog_of_before_the_first_release_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    on_disk(path, "CREATE TABLE meta (key TEXT, value TEXT)")
    on_disk(path, "INSERT INTO meta VALUES ('application', 'counterfoil'), ('schema_version', '1')")
    before = path.read_bytes()
    with pytest.raises(DataFolderError, match="Publish again into a new data folder"):
        open_store(tmp_path)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"catalog.sqlite"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE songs (title TEXT)",
        "CREATE TABLE meta (id INTEGER)",
        "CREATE TABLE meta (key TEXT, value TEXT)",
    ],
)
def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path, statement: str) -> None:
    on_disk(tmp_path / "catalog.sqlite", statement)
    before = (tmp_path / "catalog.sqlite").read_bytes()
    with pytest.raises(DataFolderError, match="another program"):
        open_store(tmp_path)
    assert (tmp_path / "catalog.sqlite").read_bytes() == before


def test_a_file_that_is_no_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(DataFolderError) as refused:
        open_store(tmp_path)
    assert refused.value.remedy
    assert (tmp_path / "catalog.sqlite").read_bytes() == b"not a database" * 100


def test_an_empty_file_is_damage_and_what_a_crash_left_of_making_a_catalog_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").touch()
    with pytest.raises(LostCatalogError, match="empty"):
        open_store(tmp_path)
    assert (tmp_path / "catalog.sqlite").read_bytes() == b""
    (tmp_path / "catalog.sqlite").rename(tmp_path / "catalog.sqlite.new")
    with open_store(tmp_path) as store:
        assert store.catalog.partners() == []
    assert not (tmp_path / "catalog.sqlite.new").exists()


def test_a_file_or_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "data" / "catalog.sqlite").mkdir(parents=True)
    for data in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "data"):
        with pytest.raises(DataFolderError) as refused:
            open_store(data)
        assert refused.value.remedy


def test_migrations_run_in_order_and_only_once(tmp_path: Path) -> None:
    def add(table: str) -> Callable[[Connection], None]:
        def migrate(connection: Connection) -> None:
            connection.execute(text(f"CREATE TABLE {table} (id INTEGER)"))

        return migrate

    path = tmp_path / "catalog.sqlite"
    open_store(tmp_path).catalog.close()
    engine = sqlite.engine_for(path)
    more = (*schema.MIGRATIONS, add("second"), add("third"))
    for _ in range(2):
        schema.prepare(engine, path, more)
    engine.dispose()
    assert on_disk(path, "SELECT value FROM meta WHERE key = 'schema_version'") == [(str(NEXT_VERSION + 1),)]
    assert len(on_disk(path, "SELECT name FROM sqlite_master WHERE name IN ('second', 'third')")) == 2


def test_one_process_at_a_time_makes_or_upgrades_a_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two would run one migration, each having read the version before the other wrote it."""
    held: list[bool] = []

    def migrate(_: Connection) -> None:
        with (tmp_path / "catalog.sqlite.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(False)
            except BlockingIOError:
                held.append(True)

    monkeypatch.setattr(schema.prepare, "__defaults__", ((*schema.MIGRATIONS, migrate),))
    for _ in range(2):
        open_store(tmp_path).catalog.close()
    assert held == [True]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError

    path = tmp_path / "catalog.sqlite"
    open_store(tmp_path).catalog.close()
    engine = sqlite.engine_for(path)
    with pytest.raises(RuntimeError):
        schema.prepare(engine, path, (*schema.MIGRATIONS, fail))
    engine.dispose()
    assert on_disk(path, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    open_store(tmp_path).catalog.close()


def test_a_full_disk_is_told_and_nothing_is_published(tmp_path: Path, make_segment: Callable[..., NewSegment]) -> None:
    with open_store(tmp_path).catalog as catalog:
        catalog.begin_publication("a" * 32, NOW)
        # The only connection so far, and the pool's first for the commit.
        with catalog.log.database.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        many = [make_segment("a" * 32, USAGE, f"part-{n}", [n]) for n in range(500)]
        with pytest.raises(FullDiskError, match="room"):
            commit(catalog, "a" * 32, many, {USAGE: None}, NOW)
        assert (catalog.datasets(), catalog.partners(), list(catalog.all_files())) == ([], [], [])


def test_a_catalog_that_another_process_writes_to_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0)
    with open_store(tmp_path).catalog as catalog, closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError):
            catalog.add_partner(PARTNER, NOW)
        assert not catalog.has_partner(PARTNER)
        other.rollback()
        assert catalog.add_partner(PARTNER, NOW)


def test_readers_are_not_blocked_by_a_writer_and_see_one_moment(tmp_path: Path) -> None:
    with open_store(tmp_path).catalog as catalog:
        with catalog.log.database.writing() as writing:
            writing.execute(meta.insert().values(key="new", value="row"))
            with catalog.log.database.reading() as reading:
                assert reading.execute(meta.select().where(meta.c.key == "new")).all() == []
        with catalog.log.database.reading() as reading:
            assert len(reading.execute(meta.select().where(meta.c.key == "new")).all()) == 1


def test_a_damaged_catalog_is_told(tmp_path: Path) -> None:
    with open_store(tmp_path).catalog as catalog:
        for n in range(50):
            catalog.add_partner(f"0e195b37-4574-4539-bc42-0e539b96{n:04}", NOW)
    size = (tmp_path / "catalog.sqlite").stat().st_size
    with (tmp_path / "catalog.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(DataFolderError, match="damaged"), open_store(tmp_path) as store:
        store.catalog.partners()


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("the engine's own words")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (sqlite_error("SQLITE_FULL"), FullDiskError),
        (sqlite_error("SQLITE_IOERR_SHMSIZE"), FullDiskError),
        (sqlite_error("SQLITE_BUSY"), LockedError),
        (sqlite_error("SQLITE_BUSY_RECOVERY"), LockedError),
        (sqlite_error("SQLITE_NOTADB"), LostCatalogError),
        (sqlite_error("SQLITE_CORRUPT_INDEX"), LostCatalogError),
        (sqlite_error("SQLITE_IOERR_FSYNC"), DataFolderError),
        (sqlite_error("SQLITE_READONLY_DBMOVED"), DataFolderError),
        (OSError(errno.ENOSPC, "full"), FullDiskError),
        (OSError(errno.EDQUOT, "quota"), FullDiskError),
        (OSError(errno.EACCES, "no"), DataFolderError),
        (OSError(errno.EMFILE, "many"), DataFolderError),
        (OSError(errno.ENOLCK, "no locks"), DataFolderError),
        (OSError(errno.EOPNOTSUPP, "no locks"), DataFolderError),
        (OSError(errno.ENOSYS, "no locks"), DataFolderError),
    ],
    ids=str,
)
def test_foreign_errors_become_ours(error: Exception, ours: type[CounterfoilError]) -> None:
    with pytest.raises(CounterfoilError) as told, translated_errors():
        raise error
    assert type(told.value) is ours
    assert told.value.remedy


def test_what_is_not_in_the_table_stays_what_it_is() -> None:
    """A defect of ours must not be taken for a bad disk."""
    assert translated(sqlite_error("SQLITE_CONSTRAINT_UNIQUE")) is None
    assert translated(sqlite3.ProgrammingError("no such column")) is None
    with pytest.raises(FileNotFoundError), translated_errors():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path).catalog as catalog, pytest.raises(Exception, match="offset-naive"):
        catalog.add_partner(PARTNER, NOW.replace(tzinfo=None))


def test_times_keep_their_moment_whatever_the_zone(tmp_path: Path) -> None:
    from_elsewhere = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo) + timedelta(microseconds=1)
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, from_elsewhere)
        [partner] = catalog.partners()
    assert partner.added_at == from_elsewhere
    assert partner.added_at.tzinfo is UTC
