"""What may be forgotten, and forgetting it: first in the catalog, then (by the caller) in the files.

The order matters. What is forgotten is noted as still to be deleted in the same transaction, so a crash between the two
leaves work for the next sweep; the other order would leave a catalog that promises files that are gone.

`lifetimes_and_sizes` says how long renderings of a superseded revision are kept, and why. Should those times be longer,
the operations themselves are checked too: while one of a revision has not expired, or could have renewed a link that is
still good, its renderings stay.

A file can be shared: a segment is forgotten with the last revision that holds it, and its renderings are dropped
when no revision that holds it may be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select

from counterfoil import lifetimes_and_sizes
from counterfoil.model import Rendering
from counterfoil.storage import changes, commits, publications, revisions, rows, tables
from counterfoil.storage.catalog_rows import NewFile, Revision

_Id = TypeVar("_Id", int, str)
_IDS_PER_STATEMENT: Final = 500  # engines limit how many values one statement may hold


def drop_renderings(connection: Connection, now: datetime) -> list[str]:
    """Forget all but the lake of the segments that nothing can reach; return the paths of the files.

    Only revisions that were not looked at since they came of age are looked at: a segment that one of them shares with
    a revision still reachable is dropped when that one's turn comes.
    """
    due = select(tables.revisions.c.id).where(tables.TO_SWEEP, ~_reachable(now))
    held, paths = tables.revision_segments, list[str]()
    sharing = held.alias()
    reached = exists().where(
        sharing.c.segment_id == tables.segments.c.id,
        sharing.c.revision_id == tables.revisions.c.id,
        _reachable(now),
    )
    for revision_ids in _portions(connection.execute(due).scalars().all()):
        idle = select(tables.segments.c.id).distinct().join(held).where(held.c.revision_id.in_(revision_ids))
        for ids in _portions(connection.execute(idle.where(tables.segments.c.rendered, ~reached)).scalars().all()):
            paths += _forget_files(
                connection, and_(tables.files.c.segment_id.in_(ids), tables.files.c.rendering != Rendering.LAKE.value)
            )
            rows.update(connection, tables.segments, tables.segments.c.id.in_(ids), {"rendered": False})
        rows.update(connection, tables.revisions, tables.revisions.c.id.in_(revision_ids), {"swept": True})
    return paths


def record_renderings(connection: Connection, publication: str, made: Mapping[int, Sequence[NewFile]]) -> None:
    """List the renderings that a publication made again, by segment; those that are there already are deleted.

    Raises MovedError if the publication was swept.
    """
    publications.commit(connection, publication, sum(map(len, made.values())))
    for segment_id, new in made.items():
        assert all(file.rendering is not Rendering.LAKE for file in new), "the lake is written once, with its segment"
        bare = and_(tables.segments.c.id == segment_id, ~tables.segments.c.rendered)
        if rows.update(connection, tables.segments, bare, {"rendered": True}):
            commits.record_files(connection, publication, segment_id, new)
            holding = select(tables.revision_segments.c.revision_id).where(
                tables.revision_segments.c.segment_id == segment_id
            )
            rows.update(connection, tables.revisions, tables.revisions.c.id.in_(holding), {"swept": False})
        else:
            publications.to_delete(connection, [file.path for file in new])
    publications.to_delete(connection, publications.forget_empty(connection, [publication]))


def forget_revisions(
    connection: Connection, now: datetime, keep_billed: timedelta | None, keep_unbilled: timedelta | None
) -> list[Revision]:
    """Forget whole revisions by the time since they were superseded (None keeps for ever); never one in force."""
    gone: list[Revision] = []
    for keep, billed in ((keep_billed, True), (keep_unbilled, False)):
        if keep is not None:
            age = and_(tables.revisions.c.billed == billed, tables.revisions.c.superseded_at <= now - keep)
            found = connection.execute(revisions.SELECT.where(age, ~_reachable(now)))
            gone += [revisions.revision_of(row) for row in found]
    forget(connection, [revision.id for revision in gone])
    holds_any = exists().where(tables.revisions.c.dataset_id == tables.datasets.c.id)
    for dataset in {revision.dataset for revision in gone}:
        connection.execute(delete(tables.datasets).where(revisions.is_dataset(dataset), ~holds_any))
    return gone


def forget(connection: Connection, ids: Sequence[str]) -> None:
    """Forget revisions, whatever can reach them, and note their files to be deleted."""
    for some in _portions(ids):
        _forget(connection, some)


def newest_moment(connection: Connection) -> datetime | None:
    """Return when the newest thing in the catalog happened; None if nothing ever did."""
    last_export = connection.execute(select(func.max(tables.operations.c.expires_at))).scalar_one()
    found = [] if last_export is None else [last_export - lifetimes_and_sizes.OPERATION]
    columns = (
        tables.publications.c.began_at,
        tables.revisions.c.published_at,
        tables.revisions.c.superseded_at,
        tables.clients.c.created_at,
        tables.clients.c.revoked_at,
        tables.partners.c.added_at,
    )
    found += [connection.execute(select(func.max(column))).scalar_one() for column in columns]
    return max((moment for moment in found if moment is not None), default=None)


def _forget(connection: Connection, ids: Sequence[str]) -> None:
    """Forget some revisions, and the segments that no other holds."""
    its = tables.revisions.c.id.in_(ids)
    numbers = connection.execute(select(tables.revisions.c.change).where(its)).scalars().all()
    held = tables.revision_segments
    their = connection.execute(select(held.c.segment_id).where(held.c.revision_id.in_(ids)).distinct()).scalars().all()
    connection.execute(delete(held).where(held.c.revision_id.in_(ids)))
    connection.execute(delete(tables.revisions).where(its))
    left = set(
        connection.execute(select(tables.revisions.c.change).where(tables.revisions.c.change.in_(numbers))).scalars()
    )
    publications.to_delete(connection, changes.forget(connection, set(numbers) - left))
    for portion in _portions(their):
        shared = set(connection.execute(select(held.c.segment_id).where(held.c.segment_id.in_(portion))).scalars())
        lost = [segment_id for segment_id in portion if segment_id not in shared]
        made_by = select(tables.segments.c.publication).where(tables.segments.c.id.in_(lost))
        makers = set(connection.execute(made_by).scalars())
        _forget_files(connection, tables.files.c.segment_id.in_(lost))
        connection.execute(delete(tables.segments).where(tables.segments.c.id.in_(lost)))
        publications.to_delete(connection, publications.forget_empty(connection, makers))


def _forget_files(connection: Connection, its: ColumnElement[bool]) -> list[str]:
    """Forget files and note that they are to be deleted, with the listings of publications that hold no more."""
    gone = connection.execute(select(tables.files.c.path, tables.files.c.publication).where(its)).all()
    connection.execute(delete(tables.files).where(its))
    paths = [row.path for row in gone]
    publications.to_delete(connection, paths)
    publications.to_delete(connection, publications.forget_empty(connection, {row.publication for row in gone}))
    return paths


def _reachable(now: datetime) -> ColumnElement[bool]:
    """Whether a row of `revisions` is in force or may still be reached by a link, an operation or a walk."""
    its_operation = exists().where(
        tables.operations.c.revision_id == tables.revisions.c.id,
        tables.operations.c.expires_at > now - lifetimes_and_sizes.LINK,
    )
    since = tables.revisions.c.superseded_at
    return or_(since.is_(None), since > now - lifetimes_and_sizes.RENDERINGS_KEPT, its_operation)


def _portions(ids: Sequence[_Id]) -> Iterator[Sequence[_Id]]:
    for start in range(0, len(ids), _IDS_PER_STATEMENT):
        yield ids[start : start + _IDS_PER_STATEMENT]
