"""Which version a catalog has, and how it becomes this program's.

A catalog says who made it and in which version, in its `meta` table, which is read before anything is written:
a file of a newer program, or of another one, is left exactly as it is. Making and upgrading a catalog happens
under a file lock, in one transaction, so several processes may open one folder at the same first time and a
crash leaves nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, select

from counterfoil.errors import DataFolderError, NewerDataError
from counterfoil.storage.files import sync_folder
from counterfoil.storage.locks import wait_for
from counterfoil.storage.sqlite import for_writing, use_write_ahead_log
from counterfoil.storage.tables import meta, metadata

_APPLICATION: Final = "counterfoil"

Migration = Callable[[Connection], None]


def _version_1(connection: Connection) -> None:
    # When version 2 comes, today's tables are written out here as they were, and this list grows by one.
    metadata.create_all(connection)


# The n-th (from 1) brings a catalog from version n-1 to n. Never change one that was released.
MIGRATIONS: Final[tuple[Migration, ...]] = (_version_1,)


def prepare(engine: Engine, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Leave `path` a catalog of this program's version, or raise and leave it untouched."""
    if path.exists() and _version(engine, path, len(migrations)) == len(migrations):
        return
    with wait_for(path.with_name(path.name + ".lock")):
        made = not path.exists()
        version = _version(engine, path, len(migrations))
        use_write_ahead_log(engine)
        with for_writing(engine.connect()) as connection, connection.begin():
            for migrate in migrations[version:]:
                migrate(connection)
            connection.execute(meta.delete())
            connection.execute(
                meta.insert(),
                [
                    {"key": "application", "value": _APPLICATION},
                    {"key": "schema_version", "value": str(len(migrations))},
                ],
            )
        if made:
            sync_folder(path.parent)


def _version(engine: Engine, path: Path, newest: int) -> int:
    """Return the catalog's version, 0 for an empty file."""
    said: dict[str, str] = {}
    with engine.connect() as connection:
        inspector = inspect(connection)
        tables = inspector.get_table_names()
        if not tables:
            return 0
        if "meta" in tables and {column["name"] for column in inspector.get_columns("meta")} == {"key", "value"}:
            said = {row.key: row.value for row in connection.execute(select(meta))}
    if said.get("application") != _APPLICATION or not said.get("schema_version", "").isdecimal():
        raise DataFolderError(
            f"{path} is the database of another program.", remedy="Name another data folder with --data."
        )
    version = int(said["schema_version"])
    if version > newest:
        raise NewerDataError(
            f"{path} was written by a newer Counterfoil (catalog version {version}; this one knows {newest}).",
            remedy="Upgrade Counterfoil, or name another data folder with --data.",
        )
    return version
