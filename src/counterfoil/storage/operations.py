"""The operations: one immutable row for each accepted export."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select

from counterfoil.errors import BadRequestError
from counterfoil.model import AttributeSet
from counterfoil.storage import rows, tables
from counterfoil.storage.catalog_rows import Operation
from counterfoil.storage.revisions import dataset_of, dataset_values

_COLUMNS = tables.operations.c


def add(connection: Connection, operation: Operation, idempotency_key: str | None, request_digest: str) -> Operation:
    """Record an operation, or return the one that was recorded under the same key for the same request.

    A key is good as long as the operation it made: an expired one lets go of its key.
    """
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


def newest(connection: Connection, partner: str, limit: int) -> list[Operation]:
    """Return a partner's last operations, the newest first, expired ones too until they are forgotten."""
    found = select(tables.operations).where(_COLUMNS.partner == partner)
    found = found.order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(limit)
    return [_operation(row) for row in connection.execute(found)]


def forget(connection: Connection, before: datetime) -> int:
    """Forget the operations that expired before a time; return how many."""
    return int(connection.execute(delete(tables.operations).where(_COLUMNS.expires_at < before)).rowcount)


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
