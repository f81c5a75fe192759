"""Opening a store. Another engine is a module beside `sqlite` and `postgres`, and one row of the table here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.disk.durability import sync_folder
from counterfoil.errors import DataFolderError, LostCatalogError, UsageError
from counterfoil.storage import postgres, schema, sqlite
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.change_log import ChangeLog, refuse_without_catalog
from counterfoil.storage.failures import translated_errors, unknown_database
from counterfoil.storage.folder_files import FolderFiles, make_private_folders
from counterfoil.storage.locks import FileLocks
from counterfoil.storage.postgres_locks import PostgresLocks
from counterfoil.storage.store import Store

OpenStore = Callable[[Path, str | None, bool], Store]


def open_store(data: Path, database_url: str | None = None, *, create: bool = True) -> Store:
    """Open the store of a data folder; with `create`, make folder and catalog where there are none.

    Raises DataFolderError for what cannot be used, NewerDataError for the folder of a newer Counterfoil, and UsageError
    for a database of an engine that is not in the table.
    """
    scheme = (database_url or "sqlite:").partition(":")[0].partition("+")[0]
    engine = ENGINES.get(scheme)
    if engine is None:
        raise unknown_database()
    return engine(data, database_url, create)


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is, so that another process can open it."""

    data: Path
    database_url: str | None = None

    def open(self) -> Store:
        """Open the store, which must be there."""
        return open_store(self.data, self.database_url, create=False)


def open_to_rebuild(data: Path, database_url: str | None = None) -> tuple[Store, Path | None]:
    """Open a store with a new and empty catalog; return where the old one was put, None if there was none.

    Until it is filled the new catalog does not belong to the files, so nobody else can use it. Raises UsageError where
    the catalog is as it should be.
    """
    path = sqlite.database_path(data, database_url)
    try:
        open_store(data, database_url, create=False).catalog.close()
    except LostCatalogError:
        pass
    else:
        raise UsageError(
            f"The catalog {path} and the files of this data folder belong together; nothing was changed.",
            remedy="If `counterfoil verify` finds the catalog damaged, move it away and rebuild it then.",
        )
    moved = None
    with translated_errors():
        if path.exists():
            moved = path.with_name(f"{path.name}.replaced-{uuid.uuid4().hex[:8]}")
            for end in ("-wal", "-shm", ""):
                beside = path.with_name(path.name + end)
                if beside.exists():
                    beside.rename(moved.with_name(moved.name + end))
    return _opened(data, path, lambda _: None), moved


def open_to_keep(data: Path, database_url: str | None = None) -> Store:
    """Open a store and take its catalog for the one that the files belong to, whatever was written beside them."""
    path = sqlite.database_path(data, database_url)
    if not path.exists():
        raise DataFolderError(f"There is no catalog {path}.", remedy="Bring one back from a backup.")
    store = _opened(data, path, ChangeLog.keep)
    store.close_committed(store.catalog.unfinished_publications())
    return store


def _open_folder(data: Path, database_url: str | None, create: bool) -> Store:
    """Files and locks in the data folder, and an SQLite catalog there or where the URL says."""
    path = sqlite.database_path(data, database_url)
    with translated_errors():
        if data.exists() and not data.is_dir():
            raise DataFolderError(f"{data} is a file, not a folder.", remedy="Name a folder.", parameter="data")
        if not path.exists():
            try:
                refuse_without_catalog(FolderFiles(data / "files"))
            except LostCatalogError:
                if not path.exists():  # else another process has just made it, and published
                    raise
            if not create and not path.exists():
                raise DataFolderError(
                    f"There is no Counterfoil data in {data}.",
                    remedy="Name the data folder, or publish something first.",
                    parameter="data",
                )
        for folder in (data.absolute(), path.absolute().parent):
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            make_private_folders(folder)
            for made in missing:
                sync_folder(made.parent)
    return _opened(data, path, ChangeLog.check)


def _opened(data: Path, path: Path, checked: Callable[[ChangeLog], None]) -> Store:
    """Open or make the catalog at `path`, once it is checked against the files."""
    files, locks = FolderFiles(data / "files"), FileLocks(data / "locks")
    with translated_errors():
        engine = sqlite.engine_for(path)
        try:
            schema.prepare(engine, path)
            log = ChangeLog(sqlite.SqliteDatabase(engine), files, locks)
            checked(log)
        except BaseException:
            engine.dispose()
            raise
    return Store(Catalog(log), files, locks, FolderFiles(data / "scratch", durable=False), data / "scratch")


def _open_on_postgres(data: Path, database_url: str | None, create: bool) -> Store:
    """Files in the data folder, which all nodes share, and catalog and locks on a server."""
    url = postgres.url_of(database_url or "")
    with translated_errors():
        make_private_folders(data.absolute())
        database = postgres.PostgresDatabase(postgres.engine_for(url))
        locks = PostgresLocks(postgres.locking_address(url))
        files = FolderFiles(data / "files")
        try:
            postgres.prepare(database, url, create=create)
            log = ChangeLog(database, files, locks)
            log.check()
        except BaseException:
            database.close()
            locks.close()
            raise
    return Store(Catalog(log), files, locks, FolderFiles(data / "scratch", durable=False), data / "scratch")


ENGINES: Final[Mapping[str, OpenStore]] = {"sqlite": _open_folder, "postgresql": _open_on_postgres}
