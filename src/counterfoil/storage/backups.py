"""Backups of a data folder that is in use; `backup_restoring` makes data folders of them.

A backup is a folder, or a tar file of one: the catalog as it was at one moment, every file that it lists, the records
beside the files, the keys unless they were left out, and last `backup.json`. It is made under another name and renamed
when all of it is on the disk, so whatever has its name is whole.

The catalog comes first, by SQLite's own backup. The files it lists never change, but a sweep may delete one before it
was copied. So they are held by hard links in the scratch folder, which takes moments; where one was gone already, all
of it begins again with a newer catalog. Only then the bytes are copied.
"""

from __future__ import annotations

import errno
import os
import secrets as chance
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec
from sqlalchemy import Connection

from counterfoil.disk import documents
from counterfoil.disk.durability import private, sync_folder
from counterfoil.disk.hashing import measured
from counterfoil.errors import UsageError
from counterfoil.storage import changes, publications, revisions, sealed_records, sqlite
from counterfoil.storage.activity import Action, NewActivity
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.folder_files import make_private_folders
from counterfoil.storage.places import CATALOG_MARK, change_path, checked, listing_of
from counterfoil.storage.store import Store

FACTS_FILE: Final = "backup.json"
KEY_FILES: Final = ("secret", "authority.pem")
KEPT_FILES: Final = ("breaks.json",)  # what is kept beside the catalog; each is replaced whole, so a link is a state
UNFINISHED: Final = ".unfinished-"
FORM: Final = 1
_ATTEMPTS_MAX: Final = 5
_FILES_AT_A_TIME: Final = 1_000
COPY_BYTES: Final = 4 << 20
_NO_LINKS: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
_TAR_ENDS: Final = (".tar",)

Progress = Callable[[str, int], None]


class BackupFacts(msgspec.Struct, frozen=True):
    """What a backup says of itself, in `backup.json`."""

    made_at: datetime
    catalog: str
    counter: int  # of the changes that it holds
    catalog_sha256: str
    files: int
    size_bytes: int
    has_keys: bool
    missing: tuple[str, ...] = ()  # files that the catalog listed and that were not there


def back_up(
    store: Store, data: Path, database: Path, target: Path, now: datetime, *, keys: bool, progress: Progress
) -> BackupFacts:
    """Make a backup of a data folder and its database; a `target` that ends in .tar is a file, any other a folder.

    All that was committed before it began is in it. Raises UsageError where there is something at the target.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"There is something at {target}.", remedy="Name a new file or folder for each backup.")
    target = target.absolute()
    with translated_errors(), _staged(store, data, database, keys=keys) as (stage, missing):
        facts = _facts_of(stage, now, missing, has_keys=keys)
        unfinished = target.with_name(f"{target.name}{UNFINISHED}{chance.token_hex(4)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            (_write_tar if _is_tar(target) else _write_folder)(stage, unfinished, facts, progress)
            unfinished.rename(target)
        except BaseException:
            delete_unfinished(unfinished)
            raise
        sync_folder(target.parent)
    catalog = store.catalog
    catalog.record_activity([NewActivity(Action.BACKUP, now, catalog.actor, details={"files": facts.files})])
    return facts


@contextmanager
def _staged(store: Store, data: Path, database: Path, *, keys: bool) -> Iterator[tuple[Path, list[str]]]:
    """Give a folder with a catalog and links to all that it lists, and what was not there."""
    name = uuid.uuid4().hex
    held = store.locks.take(f"publication {name}", once=True)  # or a sweep would take the folder away
    stage = store.scratch / name
    try:
        before: list[str] = []
        for _ in range(_ATTEMPTS_MAX):
            shutil.rmtree(stage, ignore_errors=True)
            make_private_folders(stage / "files")
            copied = stage / sqlite.CATALOG_NAME
            sqlite.copy(database, copied)
            missing = _link_listed(copied, data / "files", stage / "files")
            if not missing or missing == before:  # missing in two catalogs: no sweep took it
                break
            before = missing
        for name in (*KEPT_FILES, *(KEY_FILES if keys else ())):
            with suppress(FileNotFoundError):
                _link(data / name, stage / name)
        yield stage, missing
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        held.release()


def _link_listed(catalog: Path, files: Path, stage: Path) -> list[str]:
    """Link all that a catalog lists into a folder, and write the mark and what is still to be recorded there."""
    missing = []
    with reading_catalog(catalog) as connection:
        unwritten = {change.path: sealed_records.encode(change) for change in changes.unwritten(connection)}
        mark = changes.mark(connection)
        for path in listed_paths(connection):
            if path in unwritten:
                continue
            try:
                _link(files / checked(path), stage / path)
            except FileNotFoundError:
                missing.append(path)
    records = {**unwritten, CATALOG_MARK: sealed_records.encode(mark)} if mark.counter else unwritten
    for path, content in records.items():
        make_private_folders((stage / path).parent)
        with open(stage / path, "wb", opener=private) as file:
            file.write(content)
    return missing


@contextmanager
def reading_catalog(path: Path) -> Iterator[Connection]:
    """Read a copy of a catalog that nobody writes to."""
    engine = sqlite.engine_for(path)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def listed_paths(connection: Connection) -> Iterator[str]:
    """Yield the path of each file that belongs to a catalog, but for the mark."""
    last, before = 0, ""
    while found := revisions.files_after(connection, last, _FILES_AT_A_TIME):
        for file in found:
            if file.path != before:
                yield file.path
            before = file.path
        last = found[-1].id
    for publication in publications.known(connection).difference(publications.unfinished(connection)):
        yield listing_of(publication)
    for number in changes.remembered(connection):
        yield change_path(number)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where links cannot be made; raises FileNotFoundError where it is not there."""
    make_private_folders(target.parent)
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy(source, target)


def _facts_of(stage: Path, now: datetime, missing: list[str], *, has_keys: bool) -> BackupFacts:
    with reading_catalog(stage / sqlite.CATALOG_NAME) as connection:
        mark = changes.mark(connection)
    size, sha256 = measured(stage / sqlite.CATALOG_NAME)
    count = 0
    for path in files_in(stage / "files"):
        count, size = count + 1, size + path.stat().st_size
    return BackupFacts(now, mark.catalog, mark.counter, sha256, count, size, has_keys, tuple(missing[:100]))


def _write_folder(stage: Path, target: Path, facts: BackupFacts, progress: Progress) -> None:
    make_private_folders(target)
    for count, path in enumerate(files_in(stage), 1):
        place = target / path.relative_to(stage)
        make_private_folders(place.parent)
        copy(path, place)
        progress("backing up", count)
    with open(target / FACTS_FILE, "xb", opener=private) as file:
        file.write(documents.encode(facts, FORM, indent=2))
    os.sync()


def _write_tar(stage: Path, target: Path, facts: BackupFacts, progress: Progress) -> None:
    with open(target, "xb", opener=private) as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as packed:
            for count, path in enumerate(files_in(stage), 1):
                with path.open("rb") as file:
                    _add(packed, str(path.relative_to(stage)), path.stat().st_size, file)
                progress("backing up", count)
            told = documents.encode(facts, FORM, indent=2)
            facts_file = stage / FACTS_FILE
            facts_file.write_bytes(told)
            with facts_file.open("rb") as file:
                _add(packed, FACTS_FILE, len(told), file)
        raw.flush()
        os.fsync(raw.fileno())


def _add(packed: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    packed.addfile(member, file)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def copy(source: Path, target: Path) -> None:
    """Copy a file to a new one that is its owner's alone."""
    with source.open("rb") as old, open(target, "xb", opener=private) as new:
        shutil.copyfileobj(old, new, COPY_BYTES)


def _is_tar(target: Path) -> bool:
    return target.suffix in _TAR_ENDS


def delete_unfinished(unfinished: Path) -> None:
    """Delete what was begun."""
    if unfinished.is_dir():
        shutil.rmtree(unfinished, ignore_errors=True)
    else:
        unfinished.unlink(missing_ok=True)
