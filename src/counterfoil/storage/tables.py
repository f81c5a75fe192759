"""The catalog's tables, as SQLAlchemy Core describes them: the same for SQLite and Postgres.

Times are whole microseconds since 1970 in UTC and JSON is text, so that both engines store and compare them
alike. A revision is in force exactly while its `superseded_at` is null; a unique index allows one per dataset.
Operations and clients name their partner, and operations and revisions name revisions, without a foreign key:
what they point at may be removed or swept before they are.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """A naive time has no place here: subtracting it raises TypeError."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Integers only, so that what comes back is what went in, to the microsecond."""
        return None if value is None else _EPOCH + _MICROSECOND * value


class Json(TypeDecorator[dict[str, Any]]):
    """A JSON object, kept as text. Amounts are in it as strings, never as JSON numbers."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Sorted and without spaces: equal objects are equal texts."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """The object that was stored."""
        return None if value is None else dict(json.loads(value))


metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

partners = Table(
    "partners",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("added_at", Moment, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("id", String, primary_key=True),
    Column("partner", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("secret_sha256", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("partner", String, nullable=False),
    Column("invoice", String, nullable=False),
    Column("period", String, nullable=False),
    Column("currency", String, nullable=False),
    # The number the last revision got. Not max(number): that one may have been swept, and no number comes twice.
    Column("last_number", Integer, nullable=False),
    UniqueConstraint("partner", "kind", "invoice", "period", "currency"),
    sqlite_autoincrement=True,
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("dataset_id", ForeignKey(datasets.c.id), nullable=False),
    Column("number", Integer, nullable=False),
    Column("etag", String, nullable=False),
    Column("contents", Json, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("base_id", String),
    Column("superseded_at", Moment),
    UniqueConstraint("dataset_id", "number"),
)
Index(
    "one_revision_in_force",
    revisions.c.dataset_id,
    unique=True,
    sqlite_where=revisions.c.superseded_at.is_(None),
    postgresql_where=revisions.c.superseded_at.is_(None),
)

# Ids are never used again (sqlite_autoincrement): a reader may remember one for longer than its row lives.
segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    # Nothing else repeats the name, and an index does: the engine's own check compares the two. A name that broke
    # unnoticed would let the next publication of this segment stand beside it instead of replacing it.
    Column("name", String, nullable=False, index=True),
    Column("publication", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("contents", Json, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("rendered", Boolean, nullable=False),
    sqlite_autoincrement=True,
)

revision_segments = Table(
    "revision_segments",
    metadata,
    Column("revision_id", ForeignKey(revisions.c.id), primary_key=True),
    Column("segment_id", ForeignKey(segments.c.id), primary_key=True, index=True),
)

files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("segment_id", ForeignKey(segments.c.id), nullable=False),
    Column("publication", String, nullable=False, index=True),
    Column("rendering", String, nullable=False),
    Column("part", Integer, nullable=False),
    Column("path", String, nullable=False, unique=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("line_items", BigInteger, nullable=False),
    UniqueConstraint("segment_id", "rendering", "part"),
    sqlite_autoincrement=True,
)

operations = Table(
    "operations",
    metadata,
    Column("id", String, primary_key=True),
    Column("manifest_id", String, nullable=False, unique=True),
    Column("partner", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("invoice", String, nullable=False),
    Column("period", String, nullable=False),
    Column("currency", String, nullable=False),
    Column("attributes", String, nullable=False),
    Column("revision_id", String, index=True),
    Column("created_at", Moment, nullable=False),
    Column("ready_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("idempotency_key", String),
    Column("request_digest", String, nullable=False),
    UniqueConstraint("partner", "idempotency_key"),
    Index("operations_newest_first", "partner", "created_at", "id"),
)
