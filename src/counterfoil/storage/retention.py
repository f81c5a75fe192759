"""What may be forgotten, and forgetting it: first in the catalog, then (by the caller) on the disk.

The order matters. A crash between the two leaves files that the catalog does not list, which a later sweep finds
and deletes; the other order would leave a catalog that promises files that are gone.

How long renderings of a superseded revision are kept, and why, is in `lifetimes`. Should those lives ever be longer,
the operations themselves are asked too: while one of a revision has not expired, or could have renewed a link that
is still good, its renderings stay.

A file can be shared: a segment is forgotten with the last revision that holds it, and its renderings are dropped
when no revision that holds it may be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update

from counterfoil import lifetimes
from counterfoil.model import Rendering
from counterfoil.storage import commits, revisions, tables
from counterfoil.storage.records import Forgotten, NewFile

_Id = TypeVar("_Id", int, str)
_IDS_PER_STATEMENT: Final = 500  # engines limit how many values one statement may hold


def drop_renderings(connection: Connection, now: datetime) -> list[str]:
    """Forget all but the lake of the segments that nothing can reach; return the paths of the files."""
    held = tables.revision_segments
    reached = exists().where(
        held.c.segment_id == tables.segments.c.id, held.c.revision_id == tables.revisions.c.id, _reachable(now)
    )
    idle = select(tables.segments.c.id).where(tables.segments.c.rendered, ~reached)
    paths: list[str] = []
    for ids in _portions(connection.execute(idle).scalars().all()):
        its = and_(tables.files.c.segment_id.in_(ids), tables.files.c.rendering != Rendering.LAKE.value)
        paths += connection.execute(select(tables.files.c.path).where(its)).scalars()
        connection.execute(delete(tables.files).where(its))
        connection.execute(update(tables.segments).where(tables.segments.c.id.in_(ids)).values(rendered=False))
    return paths


def record_renderings(connection: Connection, segment_id: int, new: Sequence[NewFile]) -> bool:
    """List renderings that were made again. False: they are there already, or the segment is gone."""
    assert all(file.rendering is not Rendering.LAKE for file in new), "the lake is written once, with its segment"
    bare = and_(tables.segments.c.id == segment_id, ~tables.segments.c.rendered)
    if connection.execute(update(tables.segments).where(bare).values(rendered=True)).rowcount == 0:
        return False
    commits.record_files(connection, segment_id, new)
    return True


def forget_revisions(
    connection: Connection, now: datetime, keep_billed: timedelta | None, keep_unbilled: timedelta | None
) -> Forgotten:
    """Forget whole revisions by the time since they were superseded (None keeps for ever); never one in force."""
    age: list[ColumnElement[bool]] = []
    for keep, billed in ((keep_billed, True), (keep_unbilled, False)):
        if keep is not None:
            of_kind = tables.datasets.c.invoice != "" if billed else tables.datasets.c.invoice == ""
            age.append(and_(of_kind, tables.revisions.c.superseded_at <= now - keep))
    found = revisions.SELECT.where(or_(*age), ~_reachable(now)) if age else None
    gone = [] if found is None else [revisions.revision_of(row) for row in connection.execute(found)]
    if not gone:
        return Forgotten((), ())
    for ids in _portions([revision.id for revision in gone]):
        connection.execute(delete(tables.revision_segments).where(tables.revision_segments.c.revision_id.in_(ids)))
        connection.execute(delete(tables.revisions).where(tables.revisions.c.id.in_(ids)))
    paths = _forget_segments(connection)
    holds_any = exists().where(tables.revisions.c.dataset_id == tables.datasets.c.id)
    connection.execute(delete(tables.datasets).where(~holds_any))
    return Forgotten(tuple(gone), tuple(paths))


def _forget_segments(connection: Connection) -> list[str]:
    """Forget the segments that no revision holds any more; return the paths of their files."""
    held = exists().where(tables.revision_segments.c.segment_id == tables.segments.c.id)
    paths: list[str] = []
    for ids in _portions(connection.execute(select(tables.segments.c.id).where(~held)).scalars().all()):
        its = tables.files.c.segment_id.in_(ids)
        paths += connection.execute(select(tables.files.c.path).where(its)).scalars()
        connection.execute(delete(tables.files).where(its))
        connection.execute(delete(tables.segments).where(tables.segments.c.id.in_(ids)))
    return paths


def _reachable(now: datetime) -> ColumnElement[bool]:
    """Whether a row of `revisions` is in force or may still be reached by a link, an operation or a walk."""
    its_operation = exists().where(
        tables.operations.c.revision_id == tables.revisions.c.id,
        tables.operations.c.expires_at > now - lifetimes.LINK,
    )
    since = tables.revisions.c.superseded_at
    return or_(since.is_(None), since > now - lifetimes.RENDERINGS_KEPT, its_operation)


def _portions(ids: Sequence[_Id]) -> Iterator[Sequence[_Id]]:
    for start in range(0, len(ids), _IDS_PER_STATEMENT):
        yield ids[start : start + _IDS_PER_STATEMENT]
