"""The tables of catalog version 2, written out for good. Never edit this module: later versions are migrations.

A catalog is made as version 2 and then migrated, so that a new one and an upgraded one cannot differ. `tables` is what
the program uses today; a test holds it against what comes out of this module and all migrations.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

_ID: Final = BigInteger().with_variant(Integer(), "sqlite")
_TEXT: Final = String().with_variant(String(collation="C"), "postgresql")
_METADATA: Final = MetaData()


def _partial_index(name: str, column: str, where: TextClause, *, unique: bool = False) -> Index:
    return Index(name, column, unique=unique, sqlite_where=where, postgresql_where=where)


def create(connection: Connection) -> None:
    """Make the tables of version 2 in an empty database."""
    _METADATA.create_all(connection)


Table("meta", _METADATA, Column("key", _TEXT, primary_key=True), Column("value", _TEXT, nullable=False))
Table(
    "partners",
    _METADATA,
    Column("tenant", _TEXT, primary_key=True),
    Column("added_at", BigInteger, nullable=False),
)
Table(
    "clients",
    _METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("partner", _TEXT, nullable=False, index=True),
    Column("name", _TEXT, nullable=False),
    Column("secret_sha256", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
Table(
    "datasets",
    _METADATA,
    Column("id", _ID, primary_key=True),
    Column("kind", _TEXT, nullable=False),
    Column("partner", _TEXT, nullable=False),
    Column("invoice", _TEXT, nullable=False),
    Column("period", _TEXT, nullable=False),
    Column("currency", _TEXT, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    UniqueConstraint("partner", "kind", "invoice", "period", "currency"),
    sqlite_autoincrement=True,
)
Table(
    "publications",
    _METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("state", _TEXT, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("sources", Text, nullable=False),
    _partial_index("publications_unfinished", "state", text("state != 'committed'")),
)
Table(
    "revisions",
    _METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("dataset_id", _ID, ForeignKey("datasets.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("etag", _TEXT, nullable=False),
    Column("contents", Text, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("base_id", _TEXT),
    Column("superseded_at", BigInteger),
    Column("billed", Boolean, nullable=False),
    Column("swept", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False, index=True),
    UniqueConstraint("dataset_id", "number"),
    Index("revisions_by_age", "billed", "superseded_at"),
    _partial_index("revisions_to_sweep", "superseded_at", text("superseded_at IS NOT NULL AND NOT swept")),
    _partial_index("one_revision_in_force", "dataset_id", text("superseded_at IS NULL"), unique=True),
)
Table(
    "segments",
    _METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", _TEXT, nullable=False, index=True),
    Column("publication", _TEXT, ForeignKey("publications.id"), nullable=False, index=True),
    Column("issuer", _TEXT, nullable=False),
    Column("contents", Text, nullable=False),
    Column("warnings", Text, nullable=False),
    Column("rendered", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
Table(
    "revision_segments",
    _METADATA,
    Column("revision_id", _TEXT, ForeignKey("revisions.id"), primary_key=True),
    Column("segment_id", _ID, ForeignKey("segments.id"), primary_key=True, index=True),
)
Table(
    "files",
    _METADATA,
    Column("id", _ID, primary_key=True),
    Column("segment_id", _ID, ForeignKey("segments.id"), nullable=False),
    Column("publication", _TEXT, ForeignKey("publications.id"), nullable=False, index=True),
    Column("rendering", _TEXT, nullable=False),
    Column("part", BigInteger, nullable=False),
    Column("path", _TEXT, nullable=False, unique=True),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("sha256", _TEXT, nullable=False),
    Column("line_items", BigInteger, nullable=False),
    UniqueConstraint("segment_id", "rendering", "part"),
    sqlite_autoincrement=True,
)
Table(
    "operations",
    _METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("manifest_id", _TEXT, nullable=False, unique=True),
    Column("partner", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("invoice", _TEXT, nullable=False),
    Column("period", _TEXT, nullable=False),
    Column("currency", _TEXT, nullable=False),
    Column("attributes", _TEXT, nullable=False),
    Column("revision_id", _TEXT, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("ready_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("idempotency_key", _TEXT),
    Column("request_digest", _TEXT, nullable=False),
    UniqueConstraint("partner", "idempotency_key"),
    Index("operations_newest_first", "partner", "created_at", "id"),
)
Table(
    "changes",
    _METADATA,
    Column("counter", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    _partial_index("changes_unwritten", "counter", text("document != '{}'")),
)
Table("deletions", _METADATA, Column("path", _TEXT, primary_key=True))
