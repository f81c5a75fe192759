"""The catalog: the only truth about what is published, and the only commit point.

Each method is one transaction, and none leaves one open. Most are a function of a module beside this one, which says
what it takes, returns and raises; the class says whether it reads, writes, or makes a change that must not be lost.
Several processes and threads may use one catalog at the same time: readers see one moment and are never blocked,
writers take turns.

A process opens its own catalog. An open one must not be carried over a fork.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from counterfoil import lifetimes_and_sizes
from counterfoil.disk.process_owner import process_owner
from counterfoil.errors import CounterfoilError, LockedError
from counterfoil.model import Contents, Dataset
from counterfoil.storage import (
    activity,
    changes,
    client_credentials,
    client_secrets,
    commits,
    erasure,
    operations,
    partner_registry,
    publications,
    retention,
    revisions,
    rows,
    tables,
    told,
)
from counterfoil.storage.activity import NewActivity
from counterfoil.storage.catalog_rows import NewSegment, Revision, StoredFile
from counterfoil.storage.change_log import ChangeLog

P = ParamSpec("P")
R = TypeVar("R")

_FILES_AT_A_TIME: Final = 1000
_PATHS_AT_A_TIME: Final = 500
_OPERATIONS_AT_A_TIME: Final = 1000
_SETTLED_WITHIN_S: Final = 60
_ASK_AGAIN_S: Final = 0.2


def _reading(catalog: Catalog) -> AbstractContextManager[Connection]:
    """Open a transaction that sees one moment."""
    return catalog.log.database.reading()


def _writing(catalog: Catalog) -> AbstractContextManager[Connection]:
    """Open a write transaction."""
    return catalog.log.database.writing()


@contextmanager
def _changing(catalog: Catalog) -> Iterator[Connection]:
    """Open the transaction of a change, which is also beside the files before success is reported."""
    with catalog.log.database.writing() as connection:
        changes.written(connection, catalog.log.written)
        yield connection
    catalog.log.record_now_or_later()


def _method(
    opened: Callable[[Catalog], AbstractContextManager[Connection]],
    function: Callable[Concatenate[Connection, P], R],
    told: Callable[Concatenate[R, P], NewActivity | None] | None = None,
) -> Callable[Concatenate[Catalog, P], R]:
    """Return the method that calls a function within a transaction, which also has what is `told` of it as activity."""

    @wraps(function)
    def method(catalog: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with opened(catalog) as connection:
            result = function(connection, *args, **kwargs)
            if told is not None and (done := told(result, *args, **kwargs)):
                catalog.append_activity(connection, [done])
            return result

    return method


class Catalog:
    """What is published, who may read it, and which exports were accepted."""

    def __init__(self, log: ChangeLog) -> None:
        """Use `engines.open_store`, which checks that catalog and files belong together."""
        self.log = log
        self.actor = process_owner()  # who makes the changes that this process makes
        self.activity_kept = lifetimes_and_sizes.ACTIVITY_KEPT

    def close(self) -> None:
        """Close all connections."""
        self.log.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Partners and clients
    add_partner = _method(_writing, partner_registry.register, told.partner_added)
    has_partner = _method(_reading, partner_registry.registered)
    partners = _method(_reading, partner_registry.all_partners)
    remove_partner = _method(_changing, partner_registry.remove, told.partner_removed)
    held_of_partner = _method(_reading, erasure.held_of)
    withdraw_all = _method(_changing, erasure.withdraw_all)
    forget_partner = _method(_changing, erasure.forget, told.partner_erased)
    add_client = _method(_writing, partner_registry.add_client, told.client_added)
    clients = _method(_reading, partner_registry.clients_of)
    revoke_client = _method(_changing, partner_registry.revoke, told.client_revoked)
    check_client = _method(_reading, partner_registry.check)
    add_secret = _method(_writing, partner_registry.add_secret, told.secret_added)
    remove_secret = _method(_changing, partner_registry.remove_secret, told.secret_removed)
    secret_ended = _method(_reading, partner_registry.secret_ended)
    client_secrets = _method(_reading, client_secrets.of_client)
    add_trusted_client = _method(_writing, client_credentials.add_client, told.trusted_client_added)
    trust_client = _method(_writing, client_credentials.trust, told.credentials_added)
    credentials = _method(_reading, client_credentials.credentials_of)
    clients_ending = _method(_reading, client_credentials.clients_ending)
    active_client = _method(_reading, client_credentials.active_client)
    use_assertion = _method(_writing, client_credentials.use_assertion)

    # Datasets
    published = _method(_reading, revisions.published)
    in_force = _method(_reading, revisions.in_force)
    revision = _method(_reading, revisions.by_id)
    find_revision = _method(_reading, revisions.by_prefix)
    datasets = _method(_reading, revisions.datasets)
    segments = _method(_reading, revisions.segments)
    files = _method(_reading, revisions.files)
    no_longer_kept = _method(_reading, revisions.no_longer_kept)
    revisions = _method(_reading, revisions.of_dataset)
    set_in_force = _method(_changing, commits.set_in_force, told.put_in_force)

    # Publications
    begin_publication = _method(_writing, publications.begin)
    condemn = _method(_writing, publications.condemn)
    end_publication = _method(_writing, publications.end)
    unfinished_publications = _method(_reading, publications.unfinished)
    publications_known = _method(_reading, publications.known)
    sources = _method(_reading, publications.sources)
    changes_remembered = _method(_reading, changes.remembered)

    # Sweep: the catalog forgets, and notes what is to be deleted; the caller then deletes it.
    drop_renderings = _method(_writing, retention.drop_renderings)
    record_renderings = _method(_writing, retention.record_renderings)
    newest_moment = _method(_reading, retention.newest_moment)
    files_to_delete = _method(_reading, publications.deletions)

    # Operations
    add_operation = _method(_writing, operations.add)
    operation = _method(_reading, operations.by_id)
    operation_by_manifest = _method(_reading, operations.by_manifest)
    same_operation = _method(_reading, operations.same)
    live_operations = _method(_reading, operations.live)
    count_operations = _method(_reading, operations.count_live)
    _forget_some_operations = _method(_writing, operations.forget)
    operations = _method(_reading, operations.newest)

    # Activity
    erase_activity = _method(_writing, activity.erase)
    activity = _method(_reading, activity.read)

    def record_activity(self, entries: Sequence[NewActivity]) -> None:
        """Add to the record of who did what."""
        with self.log.database.writing() as connection:
            activity.append(connection, entries, self.activity_kept)

    def append_activity(self, connection: Connection, entries: Sequence[NewActivity]) -> None:
        """Add what this process did to the record, in the transaction in which it did it."""
        activity.append(connection, [replace(entry, actor=self.actor) for entry in entries], self.activity_kept)

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
            with self.log.database.writing() as connection:
                changes.written(connection, self.log.written)
                made = commits.commit(connection, publication, segments, bases, computed_on, contents, now)
                self.append_activity(connection, told.published(made, now))
        except CounterfoilError:
            # Where the answer to COMMIT itself was lost, trying to condemn shows what became of it.
            if made is None or self._never_commits(publication):
                raise
        self.log.record_now_or_later()
        return made

    def _never_commits(self, publication: str) -> bool:
        """Make sure that a publication never commits, once its database is back. False: it has committed."""
        until = time.monotonic() + _SETTLED_WITHIN_S
        while True:
            try:
                return self.condemn(publication)
            except LockedError as error:
                if time.monotonic() > until:
                    raise LockedError(
                        f"Nobody can tell whether publication {publication} is in force: {error.message}",
                        remedy="`counterfoil list` shows what is in force, once the database answers.",
                    ) from error
            time.sleep(_ASK_AGAIN_S)

    def all_files(self) -> Iterator[StoredFile]:
        """Yield every file the catalog lists. No transaction stays open between two of them."""
        last = 0
        while True:
            with self.log.database.reading() as connection:
                found = revisions.files_after(connection, last, _FILES_AT_A_TIME)
            yield from found
            if len(found) < _FILES_AT_A_TIME:
                return
            last = found[-1].id

    def forget_operations(self, before: datetime) -> int:
        """Forget the operations that expired before a time; return how many. Others may write between portions."""
        count = portion = self._forget_some_operations(before, _OPERATIONS_AT_A_TIME)
        while portion == _OPERATIONS_AT_A_TIME:
            portion = self._forget_some_operations(before, _OPERATIONS_AT_A_TIME)
            count += portion
        return count

    def files_deleted(self, paths: Sequence[str]) -> None:
        """Note that forgotten files are gone."""
        for start in range(0, len(paths), _PATHS_AT_A_TIME):
            with self.log.database.writing() as connection:
                publications.deleted(connection, paths[start : start + _PATHS_AT_A_TIME])

    def forget_revisions(
        self,
        now: datetime,
        *,
        keep_billed: timedelta | None = None,
        keep_unbilled: timedelta | None = lifetimes_and_sizes.UNBILLED_KEPT,
    ) -> list[Revision]:
        """Forget revisions superseded longer ago than that (None: for ever); never one in force or in use."""
        with self.log.database.writing() as connection:
            forgotten = retention.forget_revisions(connection, now, keep_billed, keep_unbilled)
        if forgotten:
            self.log.record_now_or_later()  # before their files are deleted: the mark says how many changes there are
        return forgotten

    def faults(self) -> list[str]:
        """Return what the engine finds wrong with the catalog itself; raises what reading one of its rows raises."""
        with self.log.database.reading() as connection:
            changed = [each for table in tables.metadata.sorted_tables for each in rows.faults(connection, table)]
            return [*self.log.database.faults(connection), *changed, *activity.faults(connection)]
