"""What catalog version 3 adds, written out for good: other ways for a client to prove who it is than a secret.

A credential belongs to a client of `version_2`, by its id; programs of version 2 know nothing of it and need not.
Never edit this module: a later change is a migration of its own.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table

from counterfoil.storage.column_types import Moment

_TEXT: Final = String().with_variant(String(collation="C"), "postgresql")

metadata = MetaData()

# A certificate (PEM, without its key), or what an outside issuer says of a workload: either `certificate` is null or
# the three others are. `id` names it among the client's own, see `client_credentials`.
client_credentials = Table(
    "client_credentials",
    metadata,
    Column("client", _TEXT, primary_key=True),
    Column("id", _TEXT, primary_key=True),
    Column("certificate", _TEXT),
    Column("issuer", _TEXT),
    Column("subject", _TEXT),
    Column("audience", _TEXT),
    Column("expires_at", Moment),
    Column("added_at", Moment, nullable=False),
)

# Assertions that were used, until they end by themselves, and the address that first used each.
assertions = Table(
    "assertions",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("peer", _TEXT, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)


def add(connection: Connection) -> None:
    """Make the tables in a database of version 2."""
    metadata.create_all(connection)
