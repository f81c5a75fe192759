"""The operations: one immutable row for each accepted export."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, or_, select

from counterfoil.errors import BadRequestError
from counterfoil.model import AttributeSet
from counterfoil.storage import rows, tables
from counterfoil.storage.catalog_rows import Operation
from counterfoil.storage.revisions import dataset_of, dataset_values

_COLUMNS = tables.operations.c


def add(
    connection: Connection,
    operation: Operation,
    idempotency_key: str | None,
    request_digest: str,
    *,
    shared_since: datetime | None = None,
) -> Operation:
    """Record an operation, or return the one that was recorded under the same key for the same request.

    A key is good as long as the operation it made: an expired one lets go of its key. Without a key, one that was
    recorded for the same request since `shared_since` is returned.
    """
    if idempotency_key is None and shared_since is not None:
        found = same(connection, operation, request_digest, shared_since)
        if found is not None:
            return found
    if idempotency_key is not None:
        holds_key = and_(_COLUMNS.partner == operation.dataset.partner, _COLUMNS.idempotency_key == idempotency_key)
        row = connection.execute(select(tables.operations).where(holds_key)).first()
        if row is not None and row.expires_at > operation.created_at:
            if row.request_digest != request_digest:
                raise BadRequestError("This Idempotency-Key was used for another request.", parameter="Idempotency-Key")
            return _operation(row)
        if row is not None:
            rows.update(connection, tables.operations, _COLUMNS.id == row.id, {"idempotency_key": None})
    values = {
        "id": operation.id,
        "manifest_id": operation.manifest_id,
        **dataset_values(operation.dataset),
        "attributes": operation.attributes.value,
        "revision_id": operation.revision_id,
        "created_at": operation.created_at,
        "ready_at": operation.ready_at,
        "expires_at": operation.expires_at,
        "idempotency_key": idempotency_key,
        "request_digest": request_digest,
    }
    rows.insert(connection, tables.operations, values)
    return operation


def by_id(connection: Connection, partner: str, operation_id: str) -> Operation | None:
    """Return a partner's operation, expired or not; another partner's does not exist."""
    return _one(connection, partner, _COLUMNS.id == operation_id)


def by_manifest(connection: Connection, partner: str, manifest_id: str) -> Operation | None:
    """Return a partner's operation by the id of its manifest."""
    return _one(connection, partner, _COLUMNS.manifest_id == manifest_id)


def _one(connection: Connection, partner: str, its: ColumnElement[bool]) -> Operation | None:
    row = connection.execute(select(tables.operations).where(its, _COLUMNS.partner == partner)).first()
    return None if row is None else _operation(row)


def same(connection: Connection, wanted: Operation, request_digest: str, since: datetime) -> Operation | None:
    """Return the newest operation without a key of the same request over the same revision, made since a time.

    Where an export takes a while, one that is ready is not returned: who asks anew waits anew.
    """
    delayed = wanted.ready_at > wanted.created_at
    its = and_(
        *(_COLUMNS[name] == value for name, value in dataset_values(wanted.dataset).items()),
        _COLUMNS.created_at.between(since, wanted.created_at),
        _COLUMNS.request_digest == request_digest,
        _COLUMNS.revision_id.is_not_distinct_from(wanted.revision_id),
        _COLUMNS.idempotency_key.is_(None),
        _COLUMNS.expires_at > wanted.created_at,
        _COLUMNS.ready_at > wanted.created_at if delayed else _COLUMNS.ready_at <= wanted.created_at,
    )
    found = select(tables.operations).where(its).order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(1)
    row = connection.execute(found).first()
    return None if row is None else _operation(row)


def live(
    connection: Connection, partner: str, now: datetime, *, succeeded: bool, limit: int, offset: int = 0
) -> list[Operation]:
    """Return some of a partner's operations that have not expired, the newest first."""
    found = select(tables.operations).where(_live(partner, now, succeeded=succeeded))
    ordered = found.order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc())
    return [_operation(row) for row in connection.execute(ordered.limit(limit).offset(offset))]


def count_live(connection: Connection, partner: str, now: datetime, *, succeeded: bool) -> int:
    """Count a partner's operations that have not expired."""
    found = select(func.count()).select_from(tables.operations).where(_live(partner, now, succeeded=succeeded))
    return int(connection.execute(found).scalar_one())


def _live(partner: str, now: datetime, *, succeeded: bool) -> ColumnElement[bool]:
    """The condition of a partner's operations that have not expired and whose data, where they had any, are kept."""
    held, segments, wanted = tables.revision_segments.c, tables.segments.c, _COLUMNS.revision_id
    swept = exists().where(held.revision_id == wanted, held.segment_id == segments.id, ~segments.rendered)
    kept = and_(exists().where(tables.revisions.c.id == wanted), ~swept)
    its = and_(_COLUMNS.partner == partner, _COLUMNS.expires_at > now)
    return and_(its, kept, _COLUMNS.ready_at <= now) if succeeded else and_(its, or_(wanted.is_(None), kept))


def newest(connection: Connection, partner: str, limit: int) -> list[Operation]:
    """Return a partner's last operations, the newest first, expired ones too until they are forgotten."""
    found = select(tables.operations).where(_COLUMNS.partner == partner)
    found = found.order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(limit)
    return [_operation(row) for row in connection.execute(found)]


def forget(connection: Connection, before: datetime, limit: int) -> int:
    """Forget some of the operations that expired before a time; return how many."""
    some = select(_COLUMNS.id).where(_COLUMNS.expires_at < before).limit(limit)
    return int(connection.execute(delete(tables.operations).where(_COLUMNS.id.in_(some))).rowcount)


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        row.id,
        row.manifest_id,
        dataset_of(row),
        AttributeSet(row.attributes),
        row.revision_id,
        row.created_at,
        row.ready_at,
        row.expires_at,
    )
