"""Keeps a catalog and the change log beside its files consistent."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from counterfoil.errors import DataFolderError, LostCatalogError
from counterfoil.storage import changes, rebuilding
from counterfoil.storage.change_log import ChangeLog
from counterfoil.storage.files import Files
from counterfoil.storage.rebuilding import Rebuilt


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


class ChangeRecorder:
    """Writes the changes of one catalog beside its files, and checks whether the two belong together."""

    def __init__(self, database: Database, log: ChangeLog) -> None:
        self._database = database
        self._log = log
        self.written = 0  # changes up to this one are known to be beside the files

    def record(self) -> None:
        """Write every change that is not yet beside the files.

        Raises LostCatalogError if the catalog was replaced while it was open, or its counter is damaged.
        """
        self._database.settle()
        with self._log.alone():
            mark = self._log.mark()
            since = mark.counter if mark else 0
            with self._database.reading() as connection:
                now, unwritten = changes.mark(connection), changes.unwritten(connection, since)
            if mark is not None and mark.catalog != now.catalog:
                self._log.refuse_another(mark, now.catalog, now.counter)
            if unwritten.keys() != set(range(since + 1, now.counter + 1)):
                raise LostCatalogError(
                    "The catalog's counter of changes is damaged.", remedy="Bring the catalog back from a backup."
                )
            if mark is None or mark.counter < now.counter:
                self._log.write(now, unwritten)
        self.written = now.counter

    def check(self) -> None:
        """Raise LostCatalogError unless the files belong to this catalog, in this state or an earlier one.

        A change that a crash kept from being written beside them is written now.
        """
        before = self._log.mark()  # read first: it never gets ahead of the catalog
        with self._database.reading() as connection:
            mark = changes.mark(connection)
        try:
            self._log.refuse_another(before, mark.catalog, mark.counter)
        except LostCatalogError:
            if self._log.mark() == before:
                raise
            self.check()  # another process has made both in between
            return
        if before is None or before.counter < mark.counter:
            # Somebody who only looks, on a full disk or one that cannot be written, may do so.
            try:
                self.record()
            except LostCatalogError:
                raise
            except DataFolderError:
                pass

    def keep(self) -> None:
        """Take this catalog for the one that the files belong to, whatever was written beside them."""
        with suppress(LostCatalogError):
            before = self._log.mark()
            if before is not None:
                with self._database.writing() as connection:
                    changes.raise_to(connection, before.counter)
        with self._log.alone(), self._database.reading() as connection:
            self._log.write(changes.mark(connection), {})

    def rebuild(self, files: Files, now: datetime) -> Rebuilt:
        """Fill this catalog, which is empty, from what is beside the files, and make it the one they belong to."""
        found = rebuilding.gather(files)
        counter = 0
        with suppress(LostCatalogError):  # a mark that is damaged
            mark = self._log.mark()
            counter = mark.counter if mark else 0
        with self._database.writing() as connection:
            rebuilt = rebuilding.fill(connection, found, counter, now)
        self.keep()
        return rebuilt
