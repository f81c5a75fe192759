"""Which version a catalog has, and how it becomes this program's.

A catalog says who made it, in which version, and which program may still use it (`usable_from`), in its `meta` table.
That is read before anything is written: a file of another program, or one that this program may not use, is left
exactly as it is. A program that knows version n uses a newer catalog as long as its `usable_from` is at most n, so that
the nodes of a cluster can be upgraded one after another: a migration first adds what the new program needs, and a later
one, with a higher `usable_from`, takes away what only the old program needed.

A new catalog is made under another name and then renamed, so that an empty or half-made file under its own name is
always damage. Making and upgrading happen under a file lock, and an upgrade in one transaction.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, select

from counterfoil.disk.durability import sync_folder
from counterfoil.disk.file_lock import FileLock
from counterfoil.errors import DataFolderError, LostCatalogError, NewerDataError
from counterfoil.storage import sqlite, version_2, version_3, version_4, version_5
from counterfoil.storage.version_2 import meta

_APPLICATION: Final = "counterfoil"
FIRST_VERSION: Final = 2
USABLE_FROM: Final = 5  # the oldest version whose programs may use a catalog that this one has upgraded

Migration = Callable[[Connection], None]

# The first makes a catalog of version 2, each next one brings it one version on. Never change one that was released.
MIGRATIONS: Final[tuple[Migration, ...]] = (version_2.create, version_3.add, version_4.add, version_5.add)


def prepare(engine: Engine, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Leave `path` a catalog that this program can use, or raise DataFolderError and leave it untouched."""
    if path.exists() and _is_newest_file(engine, path, migrations):
        return
    if path.exists() and not os.access(path.parent, os.W_OK, effective_ids=True):
        raise DataFolderError(
            f"{path} was written by an older Counterfoil, and {path.parent} cannot be written.",
            remedy="Run `counterfoil list` once as a user who may write there: that brings it up to date.",
        )
    with FileLock.take(path.with_name(path.name + ".lock"), wait=True):
        if not path.exists():
            _make(path, migrations)
            return
        with sqlite.for_writing(engine.connect()) as connection, connection.begin():
            upgrade(connection, str(path), migrations)


def _is_newest_file(engine: Engine, path: Path, migrations: Sequence[Migration]) -> bool:
    if path.is_file() and not path.stat().st_size:
        raise LostCatalogError(
            f"{path} is empty, which no catalog ever is.",
            remedy="Bring it back from a backup, or make one of the sealed files: counterfoil rebuild",
        )
    with engine.connect() as connection:
        return is_newest(connection, str(path), migrations)


def _make(path: Path, migrations: Sequence[Migration]) -> None:
    new = path.with_name(path.name + ".new")
    sqlite.make_file(new)
    engine = sqlite.engine_for(new)
    try:
        with sqlite.for_writing(engine.connect()) as connection, connection.begin():
            fill(connection, migrations)
        # Not before: what is in a log when the disk fills up stays there, and would not be renamed with the file.
        sqlite.use_write_ahead_log(engine)
    finally:
        engine.dispose()
    new.rename(path)
    sync_folder(path.parent)


def fill(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make an empty database a new catalog with an id of its own."""
    _migrate(connection, migrations, FIRST_VERSION - 1)
    _write_meta(connection, {"id": uuid.uuid4().hex, "counter": "0", "remembered": "0"})


def is_newest(connection: Connection, name: str, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
    """Return whether a catalog needs no upgrade; raises DataFolderError for one that this program may not use."""
    return _version(connection, name, _newest(migrations)) >= _newest(migrations)


def upgrade(connection: Connection, name: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a catalog to this program's version, in the transaction of the connection, unless it has that already."""
    version = _version(connection, name, _newest(migrations))
    if version < _newest(migrations):
        _migrate(connection, migrations, version)


def _newest(migrations: Sequence[Migration]) -> int:
    return FIRST_VERSION + len(migrations) - 1


def _migrate(connection: Connection, migrations: Sequence[Migration], version: int) -> None:
    for migrate in migrations[version - FIRST_VERSION + 1 :]:
        migrate(connection)
    newest = str(_newest(migrations))
    _write_meta(connection, {"application": _APPLICATION, "schema_version": newest, "usable_from": str(USABLE_FROM)})


def _write_meta(connection: Connection, values: dict[str, str]) -> None:
    connection.execute(meta.delete().where(meta.c.key.in_(values)))
    connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in values.items()])


def _version(connection: Connection, name: str, newest: int) -> int:
    """Return the version of the catalog of this name."""
    said: dict[str, str] = {}
    inspector = inspect(connection)
    if "meta" in inspector.get_table_names() and {column["name"] for column in inspector.get_columns("meta")} == {
        "key",
        "value",
    }:
        said = {row.key: row.value for row in connection.execute(select(meta))}
    numbers = [said.get("schema_version", ""), said.get("usable_from", said.get("schema_version", ""))]
    if said.get("application") != _APPLICATION or not all(number.isdecimal() for number in numbers):
        raise DataFolderError(f"{name} is the database of another program.", remedy="Name another data folder.")
    version, usable_from = map(int, numbers)
    if version < FIRST_VERSION:
        raise DataFolderError(
            f"{name} was written before Counterfoil's first release (catalog version {version}) and cannot be read.",
            remedy="Publish again into a new data folder.",
            parameter="data",
        )
    if usable_from > newest:
        raise NewerDataError(
            f"{name} was written by a newer Counterfoil (catalog version {version}; this one knows {newest}).",
            remedy="Upgrade Counterfoil, or name another data folder.",
            parameter="data",
        )
    return version
