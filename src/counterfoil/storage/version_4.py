"""What catalog version 4 adds, written out for good: every row has a digest of its other columns, see `rows`.

The rows of `meta` have none: what they say is held against the mark beside the files. Programs of earlier versions
would leave the digest out, so they may use the catalog no longer.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, text, true

from counterfoil.storage import rows, version_2, version_3

WITHOUT: Final = frozenset({"meta"})

metadata = MetaData()
for _table in (*version_2.metadata.sorted_tables, *version_3.metadata.sorted_tables):
    _its = _table.to_metadata(metadata)
    if _table.name not in WITHOUT:
        _its.append_column(Column(rows.DIGEST, String, nullable=False))


def add(connection: Connection) -> None:
    """Add the digests to a database of version 3, and write those of the rows that are there."""
    for table in metadata.sorted_tables:
        if table.name not in WITHOUT:
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN digest VARCHAR NOT NULL DEFAULT ''"))
            rows.update(connection, table, true(), {})
