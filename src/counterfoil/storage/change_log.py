"""What is written beside the files, so that a catalog that was lost or set back is noticed and can be rebuilt.

`catalog.json` holds the catalog's random id and its counter of changes that must not be lost: commits, restores,
withdrawals, revocations, removals of partners. A change is committed first and then written here, before success is
reported. So after a crash the mark may be behind the catalog, never ahead of it: a catalog that is behind its mark has
lost something.

Each commit, restore and withdrawal also leaves a file of its own that says which revisions it put in force, and each
sealed publication a listing of what it holds. Together they are enough to rebuild the catalog.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection

from counterfoil.errors import DamagedError, DataFolderError, LostCatalogError
from counterfoil.storage import changes, publications
from counterfoil.storage.changes import Document, Mark
from counterfoil.storage.files import Files
from counterfoil.storage.locks import Locks
from counterfoil.storage.places import CATALOG_MARK, CHANGES, change_of, change_path, publication_of

_FORM: Final = 2
_LOCK: Final = "the change log"
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

    def mark(self) -> Mark | None:
        """Return what is beside the files; see `mark_of`."""
        return mark_of(self.files)

    def record(self) -> None:
        """Write every change that is not yet beside the files.

        Raises LostCatalogError if the catalog was replaced while it was open, or its counter is damaged.
        """
        self.database.settle()
        with self._locks.wait(_LOCK):
            mark = self.mark()
            since = mark.counter if mark else 0
            with self.database.reading() as connection:
                now, unwritten = changes.mark(connection), changes.unwritten(connection, since)
            if mark is not None and mark.catalog != now.catalog:
                self._refuse_another(mark, now)
            if unwritten.keys() != set(range(since + 1, now.counter + 1)):
                raise LostCatalogError(
                    "The catalog's counter of changes is damaged.", remedy="Bring the catalog back from a backup."
                )
            if mark is None or mark.counter < now.counter:
                self.write(now, unwritten)
        self.written = now.counter

    def write(self, mark: Mark, documents: Mapping[int, Document]) -> None:
        """Write changes and then the mark, durably; one process at a time.

        Raises LostCatalogError where another change of the same number is there: it is not written over.
        """
        for counter, document in sorted(documents.items()):
            if document:
                self._write_change(change_path(counter), sealed(document))
        self.files.put(CATALOG_MARK, sealed({"catalog": mark.catalog, "counter": mark.counter}))

    def _write_change(self, path: str, content: bytes) -> None:
        there = self.files.get(path)
        if there is None:
            self.files.put(path, content)
        elif there != content:
            raise LostCatalogError(
                f"The catalog went back in time: the stored file {path} holds a change that the catalog lacks.",
                remedy=_REBUILD,
            )

    def check(self) -> None:
        """Raise LostCatalogError unless the files belong to this catalog, in this state or an earlier one.

        A change that a crash kept from being written beside them is written now.
        """
        # What is beside the files is read first: it never gets ahead of the catalog.
        before, last_change = self.mark(), last_change_of(self.files)
        with self.database.reading() as connection:
            mark = changes.mark(connection)
        try:
            self._refuse_another(before, mark, last_change)
        except LostCatalogError:
            if self.mark() == before:
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
        last = last_change_of(self.files)
        with suppress(LostCatalogError):  # a mark that is damaged
            before = self.mark()
            last = max(last, before.counter if before else 0)
        with self.database.writing() as connection:
            changes.raise_to(connection, last)
        with self._locks.wait(_LOCK), self.database.reading() as connection:
            self.write(changes.mark(connection), {})

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
        elif mark.counter > catalog.counter:
            raise LostCatalogError(
                f"The catalog went back in time: it lacks the last {mark.counter - catalog.counter} of {mark.counter} "
                "changes (publications, restores, withdrawals, revocations).",
                remedy=_REBUILD,
            )
        if last_change > catalog.counter:
            raise LostCatalogError(
                f"The catalog went back in time: it has made {catalog.counter} changes, and change {last_change} is "
                "beside the files.",
                remedy=_REBUILD,
            )


def mark_of(files: Files) -> Mark | None:
    """Return the mark beside some files, None where nothing was ever written.

    Raises LostCatalogError for a damaged one.
    """
    content = files.get(CATALOG_MARK)
    if content is None:
        return None
    try:
        return msgspec.convert(unsealed(content, CATALOG_MARK), Mark)
    except (DamagedError, msgspec.ValidationError) as error:
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
    return max((change_of(found.path) or 0 for found in files.find(CHANGES)), default=0)


def committed_among(files: Files, publications: Collection[str]) -> set[str]:
    """Return which of some sealed publications are in a change, and so were committed.

    Where a change cannot be read they are all taken for committed, as each of them may have been.
    """
    committed = set[str]()
    for found in files.find(CHANGES) if publications else ():
        if change_of(found.path) is None or (content := files.get(found.path)) is None:
            continue
        try:
            committed.add(unsealed(content, found.path).get("publication", ""))
        except DamagedError:
            return set(publications)
    return committed & set(publications)


def sealed(document: Document) -> bytes:
    """Return a JSON document with its form and the SHA-256 of itself."""
    body = {**document, "form": _FORM}
    return _text({**body, "sha256": hashlib.sha256(_text(body)).hexdigest()})


def unsealed(content: bytes, path: str) -> dict[str, Any]:
    """Return what `sealed` was given; raises DamagedError unless every byte is as written."""
    try:
        body = json.loads(content)
        said = body.pop("sha256")
        text = _text(body)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"The stored file {path} is damaged.") from error
    if said != hashlib.sha256(text).hexdigest() or body.pop("form", None) != _FORM:
        raise DamagedError(f"The stored file {path} is damaged, or of another form.")
    return dict(body)


def _text(body: Document) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
