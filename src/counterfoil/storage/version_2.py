"""The tables of catalog version 2, written out for good: the same for SQLite and PostgreSQL.

Times are whole microseconds since 1970 in UTC, JSON is text, ids have 64 bits and texts are ordered by their bytes, so
that every engine stores and compares them alike. A revision is in force exactly while its `superseded_at` is null; a
unique index allows one per dataset. Operations and clients name their partner, and operations and revisions name
revisions, without a foreign key: what they point at may be removed or swept before they are.

Never edit this module: a catalog is made as version 2 and then migrated, so that a new one and an upgraded one cannot
differ. What the program uses are the tables of `tables`.
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
    TextClause,
    UniqueConstraint,
    text,
)

from counterfoil.storage.column_types import Json, Moment

_ID: Final = BigInteger().with_variant(Integer(), "sqlite")  # only an INTEGER is SQLite's row id, and that has 64 bits
_TEXT: Final = String().with_variant(String(collation="C"), "postgresql")
UNFINISHED: Final = text("state != 'committed'")
TO_SWEEP: Final = text("superseded_at IS NOT NULL AND NOT swept")
UNWRITTEN: Final = text("document != '{}'")
_IN_FORCE: Final = text("superseded_at IS NULL")


def _partial_index(name: str, column: str, where: TextClause, *, unique: bool = False) -> Index:
    return Index(name, column, unique=unique, sqlite_where=where)


metadata = MetaData()


def create(connection: Connection) -> None:
    """Make the tables in an empty database."""
    # Here, because to name another dialect beside an index imports it: a tenth of a second, in every process.
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        index.dialect_options[connection.dialect.name]["where"] = index.dialect_options["sqlite"]["where"]
    metadata.create_all(connection)


meta = Table("meta", metadata, Column("key", _TEXT, primary_key=True), Column("value", _TEXT, nullable=False))

partners = Table(
    "partners",
    metadata,
    Column("tenant", _TEXT, primary_key=True),
    Column("added_at", Moment, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("partner", _TEXT, nullable=False, index=True),
    Column("name", _TEXT, nullable=False),
    Column("secret_sha256", _TEXT, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", _TEXT, nullable=False),
    Column("partner", _TEXT, nullable=False),
    Column("invoice", _TEXT, nullable=False),
    Column("period", _TEXT, nullable=False),
    Column("currency", _TEXT, nullable=False),
    # The number the last revision got. Not max(number): that one may have been swept, and no number comes twice.
    Column("last_number", BigInteger, nullable=False),
    UniqueConstraint("partner", "kind", "invoice", "period", "currency"),
    sqlite_autoincrement=True,
)

# One row from the first file of a publication on. `state` is open, committed or condemned: only an open publication can
# commit, and the files of a dead one are deleted only after it is condemned. `sources` says where its line items came
# from.
publications = Table(
    "publications",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("state", _TEXT, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("sources", Json, nullable=False),
    _partial_index("publications_unfinished", "state", UNFINISHED),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("dataset_id", _ID, ForeignKey("datasets.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("etag", _TEXT, nullable=False),
    Column("contents", Json, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("base_id", _TEXT),
    Column("superseded_at", Moment),
    # `billed` repeats what the dataset says, and `swept` says that its renderings were dropped as far as no other
    # revision shares them: with both, a sweep looks only at what has come of age.
    Column("billed", Boolean, nullable=False),
    Column("swept", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False, index=True),
    UniqueConstraint("dataset_id", "number"),
    Index("revisions_by_age", "billed", "superseded_at"),
    _partial_index("revisions_to_sweep", "superseded_at", TO_SWEEP),
    _partial_index("one_revision_in_force", "dataset_id", _IN_FORCE, unique=True),
)

# Ids are never used again (sqlite_autoincrement): a reader may remember one for longer than its row lives.
segments = Table(
    "segments",
    metadata,
    Column("id", _ID, primary_key=True),
    # Nothing else repeats the name, and an index does: the engine's own check compares the two. A name that broke
    # unnoticed would let the next publication of this segment be added to it instead of replacing it.
    Column("name", _TEXT, nullable=False, index=True),
    Column("publication", _TEXT, ForeignKey("publications.id"), nullable=False, index=True),
    Column("issuer", _TEXT, nullable=False),
    Column("contents", Json, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("rendered", Boolean, nullable=False),
    sqlite_autoincrement=True,
)

revision_segments = Table(
    "revision_segments",
    metadata,
    Column("revision_id", _TEXT, ForeignKey("revisions.id"), primary_key=True),
    Column("segment_id", _ID, ForeignKey("segments.id"), primary_key=True, index=True),
)

files = Table(
    "files",
    metadata,
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

operations = Table(
    "operations",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("manifest_id", _TEXT, nullable=False, unique=True),
    Column("partner", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("invoice", _TEXT, nullable=False),
    Column("period", _TEXT, nullable=False),
    Column("currency", _TEXT, nullable=False),
    Column("attributes", _TEXT, nullable=False),
    Column("revision_id", _TEXT, index=True),
    Column("created_at", Moment, nullable=False),
    Column("ready_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("idempotency_key", _TEXT),
    Column("request_digest", _TEXT, nullable=False),
    UniqueConstraint("partner", "idempotency_key"),
    Index("operations_newest_first", "partner", "created_at", "id"),
)

# Changes that must not be lost, each with a file of its own beside the files. A document is what that file is still to
# hold, and empty once it does, see `change_log`.
changes = Table(
    "changes",
    metadata,
    Column("counter", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Json, nullable=False),
    _partial_index("changes_unwritten", "counter", UNWRITTEN),
)

# Paths of files that the catalog has forgotten and that are still to be deleted.
deletions = Table("deletions", metadata, Column("path", _TEXT, primary_key=True))
