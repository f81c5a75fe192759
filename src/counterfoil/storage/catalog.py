"""The catalog: the only truth about what is published, and the only commit point.

Each method is one transaction, and none leaves one open; the statements are in the modules beside it (`partners`,
`revisions`, `commits`, `publications`, `operations`, `retention`, `changes`). Several processes and threads may use one
catalog at the same time: readers see one moment and are never blocked, writers come one at a time.

A process opens its own catalog. An open one must not be carried over a fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, select

from counterfoil.errors import CounterfoilError
from counterfoil.model import Contents, Dataset
from counterfoil.storage import changes, commits, publications, retention, tables
from counterfoil.storage import operations as operation_rows
from counterfoil.storage import partners as partner_rows
from counterfoil.storage import revisions as revision_rows
from counterfoil.storage.change_log import ChangeLog
from counterfoil.storage.records import NewSegment, Revision, StoredFile

P = ParamSpec("P")
T = TypeVar("T")

_FILES_AT_A_TIME: Final = 1000
_PATHS_AT_A_TIME: Final = 500


def _reading(statement: Callable[Concatenate[Connection, P], T]) -> Callable[Concatenate[Catalog, P], T]:
    """Make a method that runs a statement in a transaction which sees one moment."""

    @wraps(statement)
    def method(catalog: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with catalog._database.reading() as connection:  # noqa: SLF001 - it becomes a method
            return statement(connection, *args, **kwargs)

    return method


def _writing(statement: Callable[Concatenate[Connection, P], T]) -> Callable[Concatenate[Catalog, P], T]:
    """Make a method that runs a statement in a write transaction."""

    @wraps(statement)
    def method(catalog: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with catalog._database.writing() as connection:  # noqa: SLF001 - it becomes a method
            return statement(connection, *args, **kwargs)

    return method


def _changing(statement: Callable[Concatenate[Connection, P], T]) -> Callable[Concatenate[Catalog, P], T]:
    """Make a method that writes what must not be lost: before it returns, that is beside the files as well."""

    @wraps(statement)
    def method(catalog: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with catalog._database.writing() as connection:  # noqa: SLF001 - it becomes a method
            changes.written(connection, catalog.log.written)
            made = statement(connection, *args, **kwargs)
        catalog.log.record()
        return made

    return method


class Catalog:
    """What is published, who may read it, and which exports were accepted.

    Most methods are statements of the modules beside this one, which say what they take, return and raise.
    """

    def __init__(self, log: ChangeLog) -> None:
        """Use `engines.open_store`, which checks that catalog and files belong together."""
        self.log = log
        self._database = log.database

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def faults(self) -> list[str]:
        """Return what the engine finds wrong with the catalog itself; raises what reading one of its rows raises."""
        with self._database.reading() as connection:
            for table in tables.metadata.sorted_tables:
                for _ in connection.execute(select(table)):
                    pass
            return self._database.faults(connection)

    # Partners and clients

    add_partner = _writing(partner_rows.register)
    has_partner = _reading(partner_rows.registered)
    partners = _reading(partner_rows.all_partners)
    remove_partner = _changing(partner_rows.remove)
    add_client = _writing(partner_rows.add_client)
    clients = _reading(partner_rows.clients_of)
    revoke_client = _changing(partner_rows.revoke)
    check_client = _reading(partner_rows.check)

    # Datasets

    in_force = _reading(revision_rows.in_force)
    revision = _reading(revision_rows.by_id)
    find_revision = _reading(revision_rows.by_prefix)
    revisions = _reading(revision_rows.of_dataset)
    datasets = _reading(revision_rows.datasets)
    segments = _reading(revision_rows.segments)
    files = _reading(revision_rows.files)

    def all_files(self) -> Iterator[StoredFile]:
        """Yield every file the catalog lists. No transaction stays open between two of them."""
        last = 0
        while True:
            with self._database.reading() as connection:
                found = revision_rows.files_after(connection, last, _FILES_AT_A_TIME)
            yield from found
            if len(found) < _FILES_AT_A_TIME:
                return
            last = found[-1].id

    def commit(
        self,
        publication: str,
        segments: Sequence[NewSegment],
        bases: Mapping[Dataset, str | None],
        computed_on: Mapping[Dataset, str | None],
        contents: Mapping[Dataset, Contents],
        now: datetime,
    ) -> list[Revision]:
        """Put sealed segments in force, all or none; return the revision in force of each dataset.

        `bases` tells, for every dataset in `segments`, which revision was in force when its lock was taken. A
        `whole` segment replaces all others; a named one replaces its namesake. Segments that hold what is in force
        already change nothing, and a dataset of only such keeps its revision. `contents` are what each dataset will
        hold, computed on the revision in `computed_on`. Raises MovedError when something that would be replaced has
        changed since the base or the publication was swept meanwhile, and RebaseError when other segments have changed
        since the contents were computed.
        """
        made: list[Revision] | None = None
        try:
            with self._database.writing() as connection:
                changes.written(connection, self.log.written)
                made = commits.commit(connection, publication, segments, bases, computed_on, contents, now)
        except CounterfoilError:
            # Where the answer to COMMIT itself was lost, trying to condemn tells what became of it.
            if made is None or self.condemn(publication):
                raise
        self.log.record()
        return made

    set_in_force = _changing(commits.set_in_force)

    # Publications

    begin_publication = _writing(publications.begin)
    condemn = _writing(publications.condemn)
    end_publication = _writing(publications.end)
    unfinished_publications = _reading(publications.unfinished)
    sources = _reading(publications.sources)
    publications_known = _reading(publications.known)

    # Sweep. Each of these forgets first and notes what is to be deleted; the caller then deletes it.

    forget_revisions = _writing(retention.forget_revisions)
    drop_renderings = _writing(retention.drop_renderings)
    record_renderings = _writing(retention.record_renderings)
    files_to_delete = _reading(publications.deletions)

    def files_deleted(self, paths: Sequence[str]) -> None:
        """Note that forgotten files are gone."""
        for start in range(0, len(paths), _PATHS_AT_A_TIME):
            with self._database.writing() as connection:
                publications.deleted(connection, paths[start : start + _PATHS_AT_A_TIME])

    # Operations

    add_operation = _writing(operation_rows.add)
    operation = _reading(operation_rows.by_id)
    operation_by_manifest = _reading(operation_rows.by_manifest)
    operations = _reading(operation_rows.newest)
    count_operations = _reading(operation_rows.count)
    forget_operations = _writing(operation_rows.forget)
