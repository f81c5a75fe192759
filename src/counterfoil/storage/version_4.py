"""What catalog version 4 adds, written out for good: every row has a digest of its other columns, see `rows`.

Programs of earlier versions would leave it out, so they may use the catalog no longer.
"""

from __future__ import annotations

from sqlalchemy import Connection, text, true

from counterfoil.storage import rows, tables


def add(connection: Connection) -> None:
    """Add the digests to a database of version 3, and write those of the rows that are there."""
    for table in tables.metadata.sorted_tables:
        if table is not tables.meta:
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN digest VARCHAR NOT NULL DEFAULT ''"))
            rows.update(connection, table, true(), {})
