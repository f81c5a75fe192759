"""Reading what was published: datasets, their revisions, and the segments and files those are made of."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, select

from counterfoil.errors import MissingError, UsageError
from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope
from counterfoil.storage import changes, tables
from counterfoil.storage.catalog_rows import Published, Revision, Segment, StoredFile

_IDS_PER_STATEMENT: Final = 500  # engines limit how many values one statement may hold
_PREFIX: Final = re.compile(r"[0-9a-f]{6,32}", re.ASCII)
_NAMED: Final = (
    tables.datasets.c.partner,
    tables.datasets.c.kind,
    tables.datasets.c.invoice,
    tables.datasets.c.period,
    tables.datasets.c.currency,
)
# All that `revision_of` needs; callers add their conditions.
SELECT: Final[Select[Any]] = select(tables.revisions, *_NAMED).select_from(tables.revisions.join(tables.datasets))


# Written once: each first page and each export asks it, and building the statement takes longer than running it.
_IN_FORCE: Final = SELECT.where(
    and_(*(column == bindparam(f"wanted_{column.name}") for column in _NAMED)),
    tables.revisions.c.superseded_at.is_(None),
)


def dataset_values(dataset: Dataset) -> dict[str, str]:
    """Return a dataset as its row has it."""
    scope = dataset.scope
    named = {"invoice": scope.invoice, "period": scope.period, "currency": scope.currency}
    return {"kind": dataset.kind.value, "partner": dataset.partner, **named}


def is_dataset(dataset: Dataset) -> ColumnElement[bool]:
    """The condition that a row of `datasets` is this one."""
    its = dataset_values(dataset)
    return and_(*(column == its[column.name] for column in _NAMED))


def in_force(connection: Connection, dataset: Dataset) -> Revision | None:
    """Return the revision that is served now."""
    wanted = {f"wanted_{name}": value for name, value in dataset_values(dataset).items()}
    row = connection.execute(_IN_FORCE, wanted).first()
    return None if row is None else revision_of(row)


def published(connection: Connection) -> Published:
    """Return how much is published."""
    in_force = select(func.count()).where(tables.revisions.c.superseded_at.is_(None))
    last_at = connection.execute(select(func.max(tables.revisions.c.published_at))).scalar_one()
    return Published(connection.execute(in_force).scalar_one(), changes.mark(connection).counter, last_at)


def by_id(connection: Connection, revision_id: str) -> Revision | None:
    """Return the revision with exactly this id."""
    row = connection.execute(SELECT.where(tables.revisions.c.id == revision_id)).first()
    return None if row is None else revision_of(row)


def by_prefix(connection: Connection, prefix: str) -> Revision:
    """Return the one revision whose id begins so; raises UsageError and MissingError."""
    lowered = prefix.strip().lower()
    if _PREFIX.fullmatch(lowered) is None:
        raise UsageError(f"{prefix!r} is not a revision.", remedy="Give at least the first 6 digits of its id.")
    rows = connection.execute(SELECT.where(tables.revisions.c.id.startswith(lowered)).limit(2)).all()
    if not rows:
        raise MissingError(f"There is no revision {lowered} here.", remedy="See: counterfoil list")
    if len(rows) > 1:
        raise UsageError(f"Several revisions begin with {lowered}.", remedy="Give more digits of its id.")
    return revision_of(rows[0])


def of_dataset(connection: Connection, dataset: Dataset) -> list[Revision]:
    """Return a dataset's revisions, the newest first."""
    found = SELECT.where(is_dataset(dataset)).order_by(tables.revisions.c.number.desc())
    return [revision_of(row) for row in connection.execute(found)]


def datasets(
    connection: Connection,
    partner: str | None = None,
    *,
    kind: Kind | None = None,
    invoice: str | None = None,
    period: str | None = None,
    currency: str | None = None,
) -> list[tuple[Dataset, Revision | None]]:
    """Return every dataset that is of what is given, with the revision in force.

    The currency of an invoice is that of its line items; one that was withdrawn has none.
    """
    columns = tables.datasets.c
    current = and_(tables.revisions.c.dataset_id == columns.id, tables.revisions.c.superseded_at.is_(None))
    found = select(tables.revisions, *_NAMED).select_from(tables.datasets.join(tables.revisions, current, isouter=True))
    wanted = {columns.partner: partner, columns.kind: kind, columns.invoice: invoice, columns.period: period}
    for column, value in wanted.items():
        if value is not None:
            found = found.where(column == str(value))
    every = (
        (dataset_of(row), None if row.id is None else revision_of(row))
        for row in connection.execute(found.order_by(*_NAMED))
    )
    return [each for each in every if currency is None or currency == _currency(*each)]


def _currency(dataset: Dataset, revision: Revision | None) -> str:
    return dataset.scope.currency or (revision.contents.currency if revision is not None else "")


def segments(connection: Connection, revision_id: str) -> list[Segment]:
    """Return a revision's segments, by name."""
    found = (
        select(tables.segments)
        .select_from(tables.segments.join(tables.revision_segments))
        .where(tables.revision_segments.c.revision_id == revision_id)
    )
    # Sorted here, by code points: engines differ in how they order text.
    return sorted((_segment(row) for row in connection.execute(found)), key=lambda segment: segment.name)


def files(connection: Connection, revision_id: str, rendering: Rendering | None = None) -> list[StoredFile]:
    """Return a revision's files, of one rendering or of all, in order of segment name and part."""
    found = (
        select(tables.files, tables.segments.c.name)
        .select_from(tables.files.join(tables.segments).join(tables.revision_segments))
        .where(tables.revision_segments.c.revision_id == revision_id)
    )
    if rendering is not None:
        found = found.where(tables.files.c.rendering == rendering.value)
    rows = sorted(connection.execute(found), key=lambda row: (row.name, row.part, row.rendering))
    return [stored_file(row) for row in rows]


def no_longer_kept(connection: Connection, revision_ids: Collection[str]) -> set[str]:
    """Return which of these were forgotten, or lack the wire forms of a segment because those were swept."""
    ids, gone = sorted(revision_ids), set[str]()
    held = tables.revision_segments
    for start in range(0, len(ids), _IDS_PER_STATEMENT):
        portion = ids[start : start + _IDS_PER_STATEMENT]
        there = connection.execute(select(tables.revisions.c.id).where(tables.revisions.c.id.in_(portion))).scalars()
        swept = select(held.c.revision_id).join(tables.segments).where(held.c.revision_id.in_(portion))
        gone |= set(portion).difference(there)
        gone |= set(connection.execute(swept.where(~tables.segments.c.rendered)).scalars())
    return gone


def files_after(connection: Connection, file_id: int, limit: int) -> list[StoredFile]:
    """Return the next files of the whole catalog, in order of id."""
    found = select(tables.files).where(tables.files.c.id > file_id).order_by(tables.files.c.id).limit(limit)
    return [stored_file(row) for row in connection.execute(found)]


def revision_of(row: Row[Any]) -> Revision:
    """Make a revision of a row of `revisions` joined with `datasets`."""
    return Revision(
        row.id,
        row.number,
        dataset_of(row),
        row.etag,
        msgspec.convert(row.contents, Contents),
        row.published_at,
        row.base_id,
        row.superseded_at,
    )


def stored_file(row: Row[Any]) -> StoredFile:
    """Make a file of a row of `files`."""
    form = Rendering(row.rendering)
    place = (row.path, row.length, row.sha256, row.line_items, row.offset)
    return StoredFile(form, row.part, *place, id=row.id, segment_id=row.segment_id)


def _segment(row: Row[Any]) -> Segment:
    contents = msgspec.convert(row.contents, Contents)
    return Segment(row.id, row.name, row.publication, row.issuer, contents, row.warnings, row.rendered)


def dataset_of(row: Row[Any]) -> Dataset:
    """Make a dataset of a row that names one."""
    return Dataset(Kind(row.kind), row.partner, Scope(row.invoice, row.period, row.currency))
