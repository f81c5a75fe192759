"""What catalog version 5 adds, written out for good: activity, several secrets of a client, and names of partners.

A client's secret has a row of its own, with the time it ends at, and is no longer in `clients`: programs of earlier
versions would not find it there, so they may use the catalog no longer. A secret of before has no end.

A migration does not mend: a row that was damaged before keeps a digest that is wrong.

Never edit this module: a later change is a migration of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, String, Table, select, text, update
from sqlalchemy import insert as insert_into

from counterfoil.storage import rows, version_4
from counterfoil.storage.column_types import Json, Moment

_TEXT: Final = String().with_variant(String(collation="C"), "postgresql")
_NO_HASH: Final = "0" * 64  # what `clients` had for a client without a secret
_FIRST: Final = "first"

metadata = MetaData()
for _table in version_4.metadata.sorted_tables:
    if _table.name != "clients":
        _table.to_metadata(metadata)

partners = metadata.tables["partners"]
partners.append_column(Column("name", _TEXT))

clients = Table(
    "clients",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("partner", _TEXT, nullable=False, index=True),
    Column("name", _TEXT, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column(rows.DIGEST, String, nullable=False),
)

# `id` names a secret among those of its client.
client_secrets = Table(
    "client_secrets",
    metadata,
    Column("client", _TEXT, primary_key=True),
    Column("id", _TEXT, primary_key=True),
    Column("sha256", _TEXT, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column(rows.DIGEST, String, nullable=False),
)

# What was done, by whom: one row for each, or for `count` alike. `number` has no gaps. `details` are what a partner's
# erasure takes away; `details_sha256` is then all that is left of them, and `chain` goes over that. See `activity`.
activity = Table(
    "activity",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, index=True),
    Column("action", _TEXT, nullable=False),
    Column("partner", _TEXT),
    Column("actor", _TEXT, nullable=False),
    Column("subject", _TEXT),
    Column("count", BigInteger, nullable=False),
    Column("details", Json),
    Column("details_sha256", _TEXT, nullable=False),
    Column("chain", _TEXT, nullable=False),
    Column(rows.DIGEST, String, nullable=False),
    Index("activity_of_partner", "partner", "number"),
)

# The ends of the activity that is kept, one row: `before` is the chain of the last row that was forgotten, `number`
# and `chain` are those of the last row that was added.
activity_ends = Table(
    "activity_ends",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("before", _TEXT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("chain", _TEXT, nullable=False),
    Column(rows.DIGEST, String, nullable=False),
)


def add(connection: Connection) -> None:
    """Bring a database of version 4 on."""
    metadata.create_all(connection, [client_secrets, activity, activity_ends])
    rows.insert(connection, activity_ends, {"id": 1, "before": "", "number": 0, "chain": ""})
    _name_partners(connection)
    _move_secrets(connection)


def _name_partners(connection: Connection) -> None:
    before = version_4.metadata.tables["partners"]
    connection.execute(text("ALTER TABLE partners ADD COLUMN name VARCHAR"))
    for row in map(dict, connection.execute(select(before)).mappings().all()):
        changed = update(partners).where(partners.c.tenant == row["tenant"])
        connection.execute(changed.values(_as_sound(before, row, partners, {**row, "name": None})))


def _move_secrets(connection: Connection) -> None:
    # The table is made anew: not every SQLite can drop a column.
    before = version_4.metadata.tables["clients"]
    found = list(map(dict, connection.execute(select(before)).mappings()))
    connection.execute(text("DROP TABLE clients"))
    metadata.create_all(connection, [clients])
    for row in found:
        values = {name: row[name] for name in row if name not in ("secret_sha256", rows.DIGEST)}
        connection.execute(insert_into(clients).values(_as_sound(before, row, clients, values)))
        if row["secret_sha256"] != _NO_HASH:
            secret = {
                "client": row["id"],
                "id": _FIRST,
                "sha256": row["secret_sha256"],
                "created_at": row["created_at"],
                "expires_at": None,
            }
            connection.execute(insert_into(client_secrets).values(_as_sound(before, row, client_secrets, secret)))


def _as_sound(before: Table, row: Mapping[str, Any], table: Table, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return values with their digest, which is right where that of the row was right that they are made of."""
    sound = rows.is_sound(before, row)
    return {**values, rows.DIGEST: rows.digest_of(table, values) if sound else row[rows.DIGEST]}
