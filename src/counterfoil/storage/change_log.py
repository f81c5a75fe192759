"""Writes the changes of a catalog beside its files, so that a catalog that was lost or set back is noticed.

A change that must not be lost is committed first and then written beside the files, with the mark last, before success
is reported. So after a crash, or on a full disk, the mark may be behind the catalog, never ahead of it: a catalog that
is behind its mark has lost something. The mark also says how many changes are remembered: where fewer are there, some
were lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from operator import itemgetter
from typing import Final, Protocol

from sqlalchemy import Connection

from counterfoil.errors import DamagedError, DataFolderError, LostCatalogError, NewerDataError
from counterfoil.storage import changes, places, publications, sealed_records
from counterfoil.storage.files import Files
from counterfoil.storage.locks import Locks
from counterfoil.storage.places import (
    CATALOG_MARK,
    CHANGES,
    UNLISTED,
    change_of,
    change_path,
    listing_of,
    publication_of,
)
from counterfoil.storage.sealed_records import Change, Committed, Mark, SealedPublication

LOCK: Final = "the change log"
_REBUILD: Final = "Bring the newest catalog back from a backup, or make one of the sealed files: counterfoil rebuild"


class Database(Protocol):
    """What an engine gives the catalog: transactions, and what it knows of itself."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees one moment."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Give a connection in a write transaction, committed at the end; one writer at a time. Raises LockedError."""

    def settle(self) -> None:
        """Make what was committed as safe as it can be; never raises."""

    def faults(self, connection: Connection) -> list[str]:
        """Return what the engine finds wrong with its own storage."""

    def close(self) -> None:
        """Close all connections."""


class ChangeLog:
    """Writes the changes of one catalog beside its files, and checks that the two belong together."""

    def __init__(self, database: Database, files: Files, locks: Locks) -> None:
        self.database = database
        self.files = files
        self._locks = locks
        self.written = 0  # changes up to this one are known to be beside the files

    def catalog(self) -> str:
        """Return the catalog's id."""
        with self.database.reading() as connection:
            return changes.mark(connection).catalog

    def record(self) -> None:
        """Write every change that is not yet beside the files, and the mark.

        Raises LostCatalogError if the catalog was replaced while it was open, or its counter is damaged, and
        LockedError where another process began to and does not go on.
        """
        self.database.settle()
        with self._locks.wait(LOCK):
            there = mark_of(self.files)
            with self.database.reading() as connection:
                now, unwritten = changes.mark(connection), changes.unwritten(connection)
            if there is not None:
                self._refuse_another(there, now)
            since = there.counter if there else 0
            if not {change.counter for change in unwritten}.issuperset(range(since + 1, now.counter + 1)):
                raise LostCatalogError(
                    "The catalog's counter of changes is damaged.", remedy="Bring the catalog back from a backup."
                )
            self._write(there, now, unwritten)
        self.written = now.counter

    def record_now_or_later(self) -> None:
        """Record, or leave it to whoever opens or changes the catalog next.

        That is so where the disk is full or cannot be written, or a process that was stopped holds the log. What was
        committed is in force, so it is not reported as a failure; and somebody who only looks may do so.
        """
        try:
            self.record()
        except LostCatalogError:
            raise
        except DataFolderError:
            pass

    def _write(self, there: Mark | None, now: Mark, unwritten: Sequence[Change]) -> None:
        """Write changes and then the mark, durably; a change of the same number is not written over."""
        for change in unwritten:
            found, content = self.files.get(change.path), sealed_records.encode(change)
            if found is None:
                self.files.put(change.path, content)
            elif found != content:
                raise LostCatalogError(
                    f"The catalog went back in time: it lacks the change that the stored file {change.path} holds.",
                    remedy=_REBUILD,
                )
        if there != now:
            self.files.put(CATALOG_MARK, sealed_records.encode(now))

    def check(self) -> None:
        """Raise LostCatalogError unless the files belong to this catalog, in this state or an earlier one.

        A change that a crash kept from being written beside them is written now.
        """
        # What is beside the files is read first: it never gets ahead of the catalog.
        before, last_change = mark_of(self.files), last_change_of(self.files)
        with self.database.reading() as connection:
            mark = changes.mark(connection)
        try:
            self._refuse_another(before, mark, last_change)
        except LostCatalogError:
            if mark_of(self.files) == before:
                raise
            self.check()  # another process has made both in between
            return
        self.written = before.counter if before else 0
        if before != mark:
            self.record_now_or_later()

    def keep(self) -> None:
        """Take this catalog for the one that the files belong to, and set the changes of any other aside."""
        last = last_change_of(self.files)
        with suppress(LostCatalogError):  # a mark that is damaged
            before = mark_of(self.files)
            last = max(last, before.counter if before else 0)
        with self.database.writing() as connection:
            changes.raise_to(connection, last)
        with self._locks.wait(LOCK):
            with self.database.reading() as connection:
                now, own = changes.mark(connection), changes.remembered(connection)
                unwritten = changes.unwritten(connection)
            expected = {change.counter: sealed_records.encode(change) for change in unwritten}
            taken = {found.path for found in self.files.find(UNLISTED)}
            for found in list(self.files.find(CHANGES)):
                number = change_of(found.path)
                if number not in own or (number in expected and self.files.get(found.path) != expected[number]):
                    self.files.move(found.path, places.set_aside(found.path, taken))
            self._write(None, now, unwritten)
        self.written = now.counter

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the path of each change and listing that is missing, damaged or of another catalog, and why."""
        with self.database.reading() as connection:
            now, numbers = changes.mark(connection), changes.remembered(connection)
            committed = publications.known(connection).difference(publications.unfinished(connection))
        expected: list[tuple[str, type[Change | SealedPublication]]] = [
            (change_path(number), Change) for number in numbers
        ]
        expected += [(listing_of(publication), SealedPublication) for publication in committed]
        read: dict[str, Change | SealedPublication] = {}
        for path, kind in sorted(expected, key=itemgetter(0)):
            try:
                read[path] = sealed_records.read(self.files, path, kind)
            except DamagedError as error:
                yield path, error.message
        found = [record for record in read.values() if isinstance(record, Change)]
        catalogs = sealed_records.with_predecessors(now.catalog, found)
        for path, record in read.items():
            if record.catalog not in catalogs or record.path != path:
                yield path, f"The stored file {path} is of another catalog, or has another file's content."

    def _refuse_another(self, mark: Mark | None, catalog: Mark, last_change: int = 0) -> None:
        """Raise LostCatalogError unless the files belong to this catalog, in this state or an earlier one."""
        if mark is None and catalog.counter == 0:
            with self.database.reading() as connection:
                known = publications.known(connection)
            refuse_without_catalog(self.files, known)
        elif mark is None:
            raise LostCatalogError(
                f"The stored file {CATALOG_MARK} is missing: these are not the files of this catalog.",
                remedy="Bring the files back from a backup, or take the catalog as it is with `counterfoil rebuild`.",
                parameter="keep_catalog",
            )
        elif mark.catalog != catalog.catalog:
            raise LostCatalogError(
                "The catalog and the files of this data folder do not belong together.", remedy=_REBUILD
            )
        made = max(last_change, mark.counter if mark else 0)
        if made > catalog.counter:
            raise LostCatalogError(
                f"The catalog went back in time: it lacks the last {made - catalog.counter} of {made} changes "
                "(publications, restores, withdrawals, revocations).",
                remedy=_REBUILD,
            )


def mark_of(files: Files) -> Mark | None:
    """Return the mark beside some files, None where nothing was ever written.

    Raises LostCatalogError for a damaged one.
    """
    try:
        return None if files.get(CATALOG_MARK) is None else sealed_records.read(files, CATALOG_MARK, Mark)
    except DamagedError as error:
        raise LostCatalogError(
            f"The stored file {CATALOG_MARK}, which says which catalog the files belong to, is damaged.",
            remedy="Bring it back from a backup, or take the catalog as it is with `counterfoil rebuild`.",
            parameter="keep_catalog",
        ) from error


def refuse_without_catalog(files: Files, known: Collection[str] = ()) -> None:
    """Raise LostCatalogError if there are changes, or files of other publications than the known ones."""
    mark = mark_of(files)
    if (mark is not None and mark.counter) or any(_is_lost(found.path, known) for found in files.find()):
        raise LostCatalogError(
            "The catalog of this data folder is missing, and its sealed files are there.", remedy=_REBUILD
        )


def _is_lost(path: str, known: Collection[str]) -> bool:
    publication = publication_of(path)
    return change_of(path) is not None or (publication is not None and publication not in known)


def last_change_of(files: Files) -> int:
    """Return the highest number of a change that is beside some files, 0 where there is none."""
    return max((change_of(path) or 0 for path in files.paths(CHANGES)), default=0)


def committed_among(files: Files, publications: Collection[str]) -> set[str]:
    """Return which of some sealed publications are in a change, and so were committed.

    Changes that were set aside count too. Where one cannot be read all publications are taken for committed, as each of
    them may have been.
    """
    committed = set[str]()
    for found in [*files.find(CHANGES), *files.find(UNLISTED)] if publications else ():
        if change_of(found.path) is None:
            continue
        try:
            what = sealed_records.read(files, found.path, Change).what
        except (DamagedError, NewerDataError):
            return set(publications)
        if isinstance(what, Committed):
            committed.add(what.publication)
    return committed & set(publications)
