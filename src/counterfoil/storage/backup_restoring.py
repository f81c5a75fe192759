"""A new data folder of a backup: made under another name, and renamed when all of it is there and was looked at."""

from __future__ import annotations

import os
import secrets as chance
import shutil
import tarfile
from datetime import datetime
from pathlib import Path

from counterfoil.disk import documents
from counterfoil.disk.durability import private, sync_folder
from counterfoil.disk.hashing import measured
from counterfoil.errors import DamagedError, UsageError
from counterfoil.storage import sqlite
from counterfoil.storage.activity import Action, NewActivity
from counterfoil.storage.backups import (
    COPY_BYTES,
    FACTS_FILE,
    FORM,
    KEPT_FILES,
    KEY_FILES,
    UNFINISHED,
    BackupFacts,
    Progress,
    copy,
    delete_unfinished,
    files_in,
    listed_paths,
    reading_catalog,
)
from counterfoil.storage.engines import open_store
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.folder_files import make_private_folders
from counterfoil.storage.places import checked


def restore_backup(source: Path, data: Path, now: datetime, progress: Progress) -> BackupFacts:
    """Make a data folder of a backup; raises UsageError where it would not be new, and DamagedError.

    It gets its name when all of it is there.
    """
    data = data.absolute()
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise UsageError(
            f"{data} is not empty.",
            remedy="Name a new data folder: what is there is never written over.",
            parameter="data",
        )
    if not source.exists():
        raise UsageError(f"There is no backup {source}.", remedy="Name the file or folder of a backup.")
    unfinished = data.with_name(f"{data.name}{UNFINISHED}{chance.token_hex(4)}")
    try:
        with translated_errors():
            make_private_folders(unfinished)
            (_read_folder if source.is_dir() else _read_tar)(source, unfinished, progress)
            facts = _checked_facts(source, unfinished)
            os.sync()
        with open_store(unfinished, create=False) as store:
            catalog = store.catalog
            catalog.record_activity([NewActivity(Action.RESTORE_BACKUP, now, catalog.actor)])
        with translated_errors():
            unfinished.rename(data)
            sync_folder(data.parent)
    except BaseException:
        delete_unfinished(unfinished)
        raise
    return facts


def _read_folder(source: Path, target: Path, progress: Progress) -> None:
    if not (source / FACTS_FILE).exists():
        raise DamagedError(f"{source} is no backup, or one that was not finished.", remedy="Name another backup.")
    for count, path in enumerate(files_in(source), 1):
        place = target / _safe(str(path.relative_to(source)))
        make_private_folders(place.parent)
        copy(path, place)
        progress("restoring", count)


def _read_tar(source: Path, target: Path, progress: Progress) -> None:
    try:
        with tarfile.open(source, "r:") as packed:
            for count, member in enumerate(packed, 1):
                content = packed.extractfile(member) if member.isfile() else None
                if content is None:
                    raise DamagedError(f"{source} holds {member.name!r}, which no backup has.")
                place = target / _safe(member.name)
                make_private_folders(place.parent)
                with open(place, "xb", opener=private) as file:
                    shutil.copyfileobj(content, file, COPY_BYTES)
                progress("restoring", count)
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise DamagedError(f"{source} is not a whole backup: {error}.", remedy="Name another backup.") from error


def _safe(name: str) -> str:
    """Return the name of a file in a backup; raises DamagedError for one that a backup does not have."""
    if name not in (FACTS_FILE, sqlite.CATALOG_NAME, *KEPT_FILES, *KEY_FILES) and not name.startswith("files/"):
        raise DamagedError(f"{name!r} is not of a backup.", remedy="Take it out, or name another backup.")
    return checked(name)


def _checked_facts(source: Path, folder: Path) -> BackupFacts:
    """Return what a backup says of itself; raises DamagedError unless all of it is there."""
    try:
        facts = documents.decode((folder / FACTS_FILE).read_bytes(), FORM, BackupFacts)
    except (FileNotFoundError, documents.DocumentError) as error:
        raise DamagedError(f"{source} is not a whole backup: {FACTS_FILE} cannot be read ({error}).") from error
    (folder / FACTS_FILE).unlink()
    catalog = folder / sqlite.CATALOG_NAME
    if not catalog.exists() or measured(catalog).sha256 != facts.catalog_sha256:
        raise DamagedError(f"The catalog in {source} is damaged.", remedy="Name another backup.")
    with reading_catalog(catalog) as connection:
        lacking = [path for path in listed_paths(connection) if not (folder / "files" / path).exists()]
    lost = set(lacking).difference(facts.missing)
    if lost:
        raise DamagedError(
            f"{source} lacks {len(lost):,} of its files, such as {min(lost)}.", remedy="Name another backup."
        )
    return facts
