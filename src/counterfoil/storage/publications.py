"""The row of each publication: open from its first file on, then committed, or condemned by a cleanup.

A publication may lose its lock while it works: a lease ends, a server is restarted. A cleanup that takes it for dead
must not delete files that are then committed. So only an open publication can commit, and its files are deleted only
after it was condemned in a transaction of its own. Trying to condemn is also how the outcome of a commit is found out
whose answer was lost: the attempt waits for a commit under way, and then says whether it happened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, select

from counterfoil.errors import MovedError
from counterfoil.storage import rows, tables
from counterfoil.storage.places import listing_of

NO_SOURCES: Final[Mapping[str, Any]] = MappingProxyType({})
_OPEN: Final = "open"
_COMMITTED: Final = "committed"
_CONDEMNED: Final = "condemned"
_COLUMNS: Final = tables.publications.c


def begin(connection: Connection, publication: str, now: datetime, sources: Mapping[str, Any] = NO_SOURCES) -> None:
    """Record that a publication is about to write files. `sources`: a JSON object about where its lines came from."""
    values = {"id": publication, "state": _OPEN, "began_at": now, "files": 0, "sources": dict(sources)}
    rows.insert(connection, tables.publications, values)


def commit(connection: Connection, publication: str, files: int) -> None:
    """Turn an open publication into a committed one; the first statement of its transaction. Raises MovedError."""
    if not rows.update(connection, tables.publications, _open(publication), {"state": _COMMITTED, "files": files}):
        raise MovedError(
            "This publication was taken for dead and swept while it was at work; nothing was published.",
            remedy="Publish it again.",
        )


def condemn(connection: Connection, publication: str) -> bool:
    """Make sure that a publication never commits. False: it has."""
    if rows.update(connection, tables.publications, _open(publication), {"state": _CONDEMNED}):
        return True
    found = connection.execute(select(_COLUMNS.state).where(_COLUMNS.id == publication)).scalar()
    return found in (None, _CONDEMNED)


def _open(publication: str) -> ColumnElement[bool]:
    return and_(_COLUMNS.id == publication, _COLUMNS.state == _OPEN)


def end(connection: Connection, publication: str) -> None:
    """Forget a publication that never committed and whose files are gone."""
    connection.execute(delete(tables.publications).where(_COLUMNS.id == publication, _COLUMNS.state != _COMMITTED))


def unfinished(connection: Connection) -> list[str]:
    """Return the publications that are open or condemned, the oldest first."""
    found = select(_COLUMNS.id).where(tables.UNFINISHED).order_by(_COLUMNS.began_at, _COLUMNS.id)
    return list(connection.execute(found).scalars())


def known(connection: Connection) -> set[str]:
    """Return the ids of all publications."""
    return set(connection.execute(select(_COLUMNS.id)).scalars())


def sources(connection: Connection, publication: str) -> dict[str, Any] | None:
    """Return what was recorded about a publication's sources."""
    found: dict[str, Any] | None = connection.execute(
        select(_COLUMNS.sources).where(_COLUMNS.id == publication)
    ).scalar()
    return found


def forget_empty(connection: Connection, publications: Collection[str]) -> list[str]:
    """Forget those of some committed publications that hold nothing any more; return the paths of their listings."""
    of_segments = exists().where(tables.segments.c.publication == _COLUMNS.id)
    of_files = exists().where(tables.files.c.publication == _COLUMNS.id)
    empty = select(_COLUMNS.id).where(_COLUMNS.id.in_(publications), ~of_segments, ~of_files)
    gone = list(connection.execute(empty).scalars())
    connection.execute(delete(tables.publications).where(_COLUMNS.id.in_(gone)))
    return [listing_of(publication) for publication in gone]


# Deletions: the paths of files that the catalog has forgotten and that are still there.


def to_delete(connection: Connection, paths: Iterable[str]) -> None:
    """Note files that are to be deleted once this transaction is committed."""
    rows.insert(connection, tables.deletions, *({"path": path} for path in paths))


def deletions(connection: Connection) -> list[str]:
    """Return the paths of all files that are to be deleted."""
    return list(connection.execute(select(tables.deletions.c.path)).scalars())


def deleted(connection: Connection, paths: Sequence[str]) -> None:
    """Forget that files were to be deleted: they are gone."""
    connection.execute(delete(tables.deletions).where(tables.deletions.c.path.in_(paths)))
