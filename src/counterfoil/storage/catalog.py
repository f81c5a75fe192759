"""The catalog: the only truth about what is published, and the only commit point.

This is its door. Each method is one transaction, and none leaves one open; the statements are in the modules
beside it (`partners`, `revisions`, `commits`, `operations`, `retention`). Several processes and threads may use
one catalog at the same time: readers see one moment and are never blocked, writers come one at a time.

A process opens its own catalog. An open one must not be carried over a fork.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection, Engine, select

from counterfoil.errors import DataFolderError, LockedError
from counterfoil.model import Contents, Dataset, Rendering
from counterfoil.storage import commits, operations, partners, retention, revisions, schema, sqlite, tables
from counterfoil.storage.failures import in_our_words
from counterfoil.storage.records import (
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

_FILES_AT_A_TIME: Final = 1000


class Catalog:
    """What is published, who may read it, and which exports were accepted."""

    def __init__(self, engine: Engine, awaited: Path | None = None) -> None:
        """Use `open`, which checks what it opens."""
        self._engine = engine
        self._awaited = awaited  # where the catalog will be; None once it is there
        # Threads of one process queue here: SQLite makes writers sleep and retry, which is slower and unfair.
        self._turn = threading.Lock()

    @classmethod
    def open(cls, data: Path, database_url: str | None = None, *, create: bool = True) -> Self:
        """Open the catalog of a data folder; with `create`, make folder and catalog where there are none.

        Raises NewerDataError for the folder of a newer Counterfoil and DataFolderError for what cannot be used.
        """
        path = sqlite.database_path(data, database_url)
        with in_our_words():
            _refuse_file(data)
            if create:
                data.mkdir(parents=True, exist_ok=True)
                return cls(_made(path))
            if not path.exists():
                raise DataFolderError(
                    f"There is no Counterfoil data in {data}.",
                    remedy="Name the data folder with --data, or publish something first.",
                )
            return cls(_made(path))

    @classmethod
    def open_or_await(cls, data: Path, database_url: str | None = None) -> Self:
        """Open the catalog of a data folder; one that is not there reads as empty, and is made by the first write.

        So a publication that is refused leaves no catalog behind. If another process makes it meanwhile, it is seen.
        """
        path = sqlite.database_path(data, database_url)
        with in_our_words():
            _refuse_file(data)
            if path.exists():
                return cls(_made(path))
            engine = sqlite.empty_engine()
            tables.metadata.create_all(engine)
            return cls(engine, path)

    @property
    def is_awaited(self) -> bool:
        """Whether the catalog is still to be made."""
        return self._awaited is not None

    def make(self) -> None:
        """Make the catalog now, if it was awaited."""
        with in_our_words():
            self._make()

    def close(self) -> None:
        """Close all connections."""
        with in_our_words():
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with in_our_words():
            if self._awaited is not None and self._awaited.exists():
                self._make()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if not self._turn.acquire(timeout=sqlite.BUSY_TIMEOUT_S):
            raise LockedError("The catalog is busy.", remedy="Try again.")
        try:
            with in_our_words():
                self._make()
                with sqlite.for_writing(self._engine.connect()) as connection, connection.begin():
                    yield connection
        finally:
            self._turn.release()

    def _make(self) -> None:
        """Make the catalog that was awaited, or open it if it is there by now."""
        if self._awaited is not None:
            engine = _made(self._awaited)
            self._engine.dispose()
            self._engine, self._awaited = engine, None

    def faults(self) -> list[str]:
        """Return what the engine finds wrong with the catalog itself; raises what reading one of its rows raises."""
        with self._read() as connection:
            for table in tables.metadata.sorted_tables:
                for _ in connection.execute(select(table)):
                    pass
            return sqlite.faults(connection)

    # Partners and clients

    def add_partner(self, tenant: str, now: datetime) -> bool:
        """Register a partner; tell whether it is new."""
        with self._write() as connection:
            return partners.register(connection, tenant, now)

    def has_partner(self, tenant: str) -> bool:
        """Tell whether a partner (in lower case) may be served."""
        with self._read() as connection:
            return partners.registered(connection, tenant)

    def partners(self) -> list[Partner]:
        """Return all registered partners, in order of tenant id."""
        with self._read() as connection:
            return partners.all_partners(connection)

    def remove_partner(self, tenant: str) -> None:
        """Remove a partner, its clients and operations; refused with UsageError while datasets are in force."""
        with self._write() as connection:
            partners.remove(connection, tenant)

    def add_client(self, partner: str, name: str, now: datetime) -> tuple[RegisteredClient, str]:
        """Register a client; return it with its secret, which is kept nowhere."""
        with self._write() as connection:
            return partners.add_client(connection, partner, name, now)

    def clients(self, partner: str) -> list[RegisteredClient]:
        """Return a partner's clients, revoked ones too, the oldest first."""
        with self._read() as connection:
            return partners.clients_of(connection, partner)

    def revoke_client(self, partner: str, client_id: str, now: datetime) -> None:
        """End a client; raises MissingError."""
        with self._write() as connection:
            partners.revoke(connection, partner, client_id, now)

    def check_client(self, client_id: str, secret: str) -> RegisteredClient | None:
        """Return the client with this id and secret, unless it is unknown, revoked, or the secret is another."""
        with self._read() as connection:
            return partners.check(connection, client_id, secret)

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

        `bases` tells, for every dataset in `segments`, which revision was in force when its lock was taken. A
        `whole` segment replaces all others; a named one replaces its namesake. Segments that hold what is in force
        already change nothing, and a dataset of only such keeps its revision. `contents` are what each dataset will
        hold, computed on the revision in `computed_on`. Raises MovedError when something that would be replaced has
        changed since the base, and RebaseError when other segments have changed since the contents were computed.
        """
        with self._write() as connection:
            return commits.commit(connection, publication, segments, bases, computed_on, contents, now)

    def set_in_force(self, dataset: Dataset, revision_id: str | None, expected: str | None, now: datetime) -> None:
        """Put an older revision in force (restore), or none (withdraw); raises MovedError unless `expected` was.

        All segments of the revision must have their renderings: see `record_renderings`.
        """
        with self._write() as connection:
            commits.set_in_force(connection, dataset, revision_id, expected, now)

    # Sweep. Each of these forgets first; the caller then deletes the files it is told (see `files.py`).

    def drop_renderings(self, now: datetime) -> list[str]:
        """Forget the renderings that nothing can reach any more; the lake stays. Return the paths to delete."""
        with self._write() as connection:
            return retention.drop_renderings(connection, now)

    def record_renderings(self, segment_id: int, files: Sequence[NewFile]) -> bool:
        """List renderings that were made again. False: they are there already, or the segment is gone."""
        with self._write() as connection:
            return retention.record_renderings(connection, segment_id, files)

    def forget_revisions(
        self,
        now: datetime,
        *,
        keep_billed: timedelta | None = None,
        keep_unbilled: timedelta | None = retention.UNBILLED_KEPT,
    ) -> Forgotten:
        """Forget revisions superseded longer ago than that (None: for ever); never one in force or in use."""
        with self._write() as connection:
            return retention.forget_revisions(connection, now, keep_billed, keep_unbilled)

    def publications_known(self) -> set[str]:
        """Return the publications of which the catalog lists a file."""
        with self._read() as connection:
            return revisions.publications(connection)

    def paths_in(self, publication: str) -> set[str]:
        """Return the stored paths that the catalog lists in one publication."""
        with self._read() as connection:
            return revisions.paths_in(connection, publication)

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

    def count_operations(self, partner: str) -> int:
        """Count a partner's operations."""
        with self._read() as connection:
            return operations.count(connection, partner)

    def forget_operations(self, before: datetime) -> int:
        """Forget the operations that expired before a time; return how many."""
        with self._write() as connection:
            return operations.forget(connection, before)


def _refuse_file(data: Path) -> None:
    if data.exists() and not data.is_dir():
        raise DataFolderError(f"{data} is a file, not a folder.", remedy="Name a folder with --data.")


def _made(path: Path) -> Engine:
    """Return the engine of the catalog at `path`, of this program's version; it is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sqlite.engine_for(path)
    try:
        schema.prepare(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine
