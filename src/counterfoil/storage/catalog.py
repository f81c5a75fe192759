"""The catalog: the only truth about what is published, and the only commit point.

Each method is one transaction, and none leaves one open; the statements are in the modules beside it
(`partner_registry`, `revisions`, `commits`, `publications`, `operations`, `retention`, `changes`). Several processes
and threads may use one catalog at the same time: readers see one moment and are never blocked, writers take turns.

A process opens its own catalog. An open one must not be carried over a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, select

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import CounterfoilError
from counterfoil.model import Contents, Dataset, Rendering
from counterfoil.storage import (
    changes,
    commits,
    operations,
    partner_registry,
    publications,
    retention,
    revisions,
    version_2,
)
from counterfoil.storage.catalog_rows import (
    Forgotten,
    NewFile,
    NewSegment,
    Operation,
    Partner,
    RegisteredClient,
    Revision,
    Segment,
    StoredFile,
)
from counterfoil.storage.change_log import ChangeLog

_FILES_AT_A_TIME: Final = 1000
_PATHS_AT_A_TIME: Final = 500


class Catalog:
    """What is published, who may read it, and which exports were accepted."""

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

    def _read(self) -> AbstractContextManager[Connection]:
        return self._database.reading()

    def _write(self) -> AbstractContextManager[Connection]:
        return self._database.writing()

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """Write what must not be lost: it is also beside the files before success is reported."""
        with self._write() as connection:
            changes.written(connection, self.log.written)
            yield connection
        self.log.record()

    def faults(self) -> list[str]:
        """Return what the engine finds wrong with the catalog itself; raises what reading one of its rows raises."""
        with self._read() as connection:
            for table in version_2.metadata.sorted_tables:
                for _ in connection.execute(select(table)):
                    pass
            return self._database.faults(connection)

    # Partners and clients

    def add_partner(self, tenant: str, now: datetime) -> bool:
        """Register a partner; return whether it is new."""
        with self._write() as connection:
            return partner_registry.register(connection, tenant, now)

    def has_partner(self, tenant: str) -> bool:
        """Return whether a partner (in lower case) may be served."""
        with self._read() as connection:
            return partner_registry.registered(connection, tenant)

    def partners(self) -> list[Partner]:
        """Return all registered partners, in order of tenant id."""
        with self._read() as connection:
            return partner_registry.all_partners(connection)

    def remove_partner(self, tenant: str) -> None:
        """Remove a partner, its clients and operations; refused with UsageError while datasets are in force."""
        with self._change() as connection:
            partner_registry.remove(connection, tenant)

    def add_client(self, partner: str, name: str, now: datetime) -> tuple[RegisteredClient, str]:
        """Register a client; return it with its secret, which is kept nowhere."""
        with self._write() as connection:
            return partner_registry.add_client(connection, partner, name, now)

    def clients(self, partner: str) -> list[RegisteredClient]:
        """Return a partner's clients, revoked ones too, the oldest first."""
        with self._read() as connection:
            return partner_registry.clients_of(connection, partner)

    def revoke_client(self, partner: str, client_id: str, now: datetime) -> None:
        """End a client; raises MissingError."""
        with self._change() as connection:
            partner_registry.revoke(connection, partner, client_id, now)

    def check_client(self, client_id: str, secret: str) -> RegisteredClient | None:
        """Return the client with this id and secret, unless it is unknown, revoked, or the secret is another."""
        with self._read() as connection:
            return partner_registry.check(connection, client_id, secret)

    # Datasets

    def in_force(self, dataset: Dataset) -> Revision | None:
        """Return the revision of a dataset that is served now."""
        with self._read() as connection:
            return revisions.in_force(connection, dataset)

    def revision(self, revision_id: str) -> Revision | None:
        """Return the revision with exactly this id."""
        with self._read() as connection:
            return revisions.by_id(connection, revision_id)

    def find_revision(self, prefix: str) -> Revision:
        """Return the revision whose id begins so (6 digits or more); raises MissingError and UsageError."""
        with self._read() as connection:
            return revisions.by_prefix(connection, prefix)

    def revisions(self, dataset: Dataset) -> list[Revision]:
        """Return a dataset's revisions, the newest first."""
        with self._read() as connection:
            return revisions.of_dataset(connection, dataset)

    def datasets(self, partner: str | None = None) -> list[tuple[Dataset, Revision | None]]:
        """Return the datasets, of one partner or of all, each with its revision in force."""
        with self._read() as connection:
            return revisions.datasets(connection, partner)

    def segments(self, revision_id: str) -> list[Segment]:
        """Return a revision's segments, by name."""
        with self._read() as connection:
            return revisions.segments(connection, revision_id)

    def files(self, revision_id: str, rendering: Rendering | None = None) -> list[StoredFile]:
        """Return a revision's files in order of segment name and part."""
        with self._read() as connection:
            return revisions.files(connection, revision_id, rendering)

    def all_files(self) -> Iterator[StoredFile]:
        """Yield every file the catalog lists. No transaction stays open between two of them."""
        last = 0
        while True:
            with self._read() as connection:
                found = revisions.files_after(connection, last, _FILES_AT_A_TIME)
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

        `bases` says, for every dataset in `segments`, which revision was in force when its lock was taken. A `whole`
        segment replaces all others; a named one replaces its namesake. Segments that hold what is in force already
        change nothing, and a dataset of only such keeps its revision. `contents` are what each dataset will hold,
        computed on the revision in `computed_on`. Raises MovedError when something that would be replaced has changed
        since the base or the publication was swept meanwhile, and RebaseError when other segments have changed since
        the contents were computed.
        """
        made: list[Revision] | None = None
        try:
            with self._write() as connection:
                changes.written(connection, self.log.written)
                made = commits.commit(connection, publication, segments, bases, computed_on, contents, now)
        except CounterfoilError:
            # Where the answer to COMMIT itself was lost, trying to condemn shows what became of it.
            if made is None or self.condemn(publication):
                raise
        self.log.record()
        return made

    def set_in_force(self, dataset: Dataset, revision_id: str | None, expected: str | None, now: datetime) -> None:
        """Put an older revision in force (restore), or none (withdraw); raises MovedError unless `expected` was.

        All segments of the revision must have their renderings: see `record_renderings`.
        """
        with self._change() as connection:
            commits.set_in_force(connection, dataset, revision_id, expected, now)

    # Publications

    def begin_publication(self, publication: str, now: datetime, sources: Mapping[str, Any] | None = None) -> None:
        """Record that a publication is about to write files; `sources` is any JSON object about its input."""
        with self._write() as connection:
            publications.begin(connection, publication, now, sources or {})

    def condemn(self, publication: str) -> bool:
        """Make sure that a publication never commits. False: it has."""
        with self._write() as connection:
            return publications.condemn(connection, publication)

    def end_publication(self, publication: str) -> None:
        """Forget a publication that never committed, after its files were deleted."""
        with self._write() as connection:
            publications.end(connection, publication)

    def unfinished_publications(self) -> list[str]:
        """Return the publications that are open or condemned: at work, or dead."""
        with self._read() as connection:
            return publications.unfinished(connection)

    def sources(self, publication: str) -> dict[str, Any] | None:
        """Return what was recorded about a publication's input, None for an unknown one."""
        with self._read() as connection:
            return publications.sources(connection, publication)

    # Sweep. Each of these forgets first and notes what is to be deleted; the caller then deletes it.

    def drop_renderings(self, now: datetime) -> list[str]:
        """Forget the renderings that nothing can reach any more; the lake stays. Return the paths to delete."""
        with self._write() as connection:
            return retention.drop_renderings(connection, now)

    def record_renderings(self, publication: str, made: Mapping[int, Sequence[NewFile]]) -> None:
        """List renderings that a publication made again, by segment; raises MovedError if it was swept meanwhile."""
        with self._write() as connection:
            retention.record_renderings(connection, publication, made)

    def files_to_delete(self) -> list[str]:
        """Return the paths of the files that were forgotten and are still to be deleted."""
        with self._read() as connection:
            return publications.deletions(connection)

    def files_deleted(self, paths: Sequence[str]) -> None:
        """Note that forgotten files are gone."""
        for start in range(0, len(paths), _PATHS_AT_A_TIME):
            with self._write() as connection:
                publications.deleted(connection, paths[start : start + _PATHS_AT_A_TIME])

    def forget_revisions(
        self,
        now: datetime,
        *,
        keep_billed: timedelta | None = None,
        keep_unbilled: timedelta | None = lifetimes_and_sizes.UNBILLED_KEPT,
    ) -> Forgotten:
        """Forget revisions superseded longer ago than that (None: for ever); never one in force or in use."""
        with self._write() as connection:
            forgotten = retention.forget_revisions(connection, now, keep_billed, keep_unbilled)
        if forgotten.revisions:
            self.log.record()  # before their files are deleted: the mark says how many changes there are
        return forgotten

    def changes_remembered(self) -> set[int]:
        """Return the numbers of the changes that are, or will be, beside the files."""
        with self._read() as connection:
            return changes.remembered(connection)

    def publications_known(self) -> set[str]:
        """Return all publications, those at work too."""
        with self._read() as connection:
            return publications.known(connection)

    # Operations

    def add_operation(self, operation: Operation, idempotency_key: str | None, request_digest: str) -> Operation:
        """Record an operation. The same key and request give the earlier one; another request, BadRequestError."""
        with self._write() as connection:
            return operations.add(connection, operation, idempotency_key, request_digest)

    def operation(self, partner: str, operation_id: str) -> Operation | None:
        """Return a partner's operation, expired or not."""
        with self._read() as connection:
            return operations.by_id(connection, partner, operation_id)

    def operation_by_manifest(self, partner: str, manifest_id: str) -> Operation | None:
        """Return a partner's operation by the id of its manifest."""
        with self._read() as connection:
            return operations.by_manifest(connection, partner, manifest_id)

    def operations(self, partner: str, limit: int) -> list[Operation]:
        """Return a partner's last operations, the newest first."""
        with self._read() as connection:
            return operations.newest(connection, partner, limit)

    def forget_operations(self, before: datetime) -> int:
        """Forget the operations that expired before a time; return how many."""
        with self._write() as connection:
            return operations.forget(connection, before)
