"""The certificates and federated identities by which a client may sign in, and the assertions that it has used.

Nothing here proves anything: what is stored is public, and whoever checks a signature asks here what it has to be
checked against. A used assertion is remembered in the catalog, so that every node knows of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select

from counterfoil.errors import MissingError, UsageError
from counterfoil.model import tenant_id
from counterfoil.storage import partner_registry, rows, tables
from counterfoil.storage.catalog_rows import ClientCertificate, ClientCredential, FederatedIdentity, RegisteredClient

CREDENTIALS_MAX: Final = 20


def add_client(
    connection: Connection, tenant: str, name: str, credentials: Sequence[ClientCredential], now: datetime
) -> RegisteredClient:
    """Register a client that signs in by these alone; raises as `trust` does, and then registers nothing."""
    client, _ = partner_registry.add_client(connection, tenant, name, now, with_secret=False)
    trust(connection, tenant, client.id, credentials, now)
    return client


def trust(
    connection: Connection, tenant: str, client_id: str, credentials: Sequence[ClientCredential], now: datetime
) -> None:
    """Let a client sign in by these too; one that it had already is not added again.

    Raises MissingError for a client that is not there or was revoked, and UsageError for too many.
    """
    client = active_client(connection, client_id)
    if client is None or client.partner != tenant_id(tenant):
        raise MissingError(
            f"{tenant} has no client {client_id} that could sign in.",
            remedy="See: counterfoil clients list.",
            parameter=f"partner={tenant}",
        )
    table = tables.client_credentials
    for credential in credentials:
        its = (table.c.client == client_id, table.c.id == credential.id)
        if connection.execute(select(table.c.id).where(*its)).first() is not None:
            continue
        fields = {name: getattr(credential, name, None) for name in ("issuer", "subject", "audience", "expires_at")}
        pem = credential.pem if isinstance(credential, ClientCertificate) else None
        row = {"client": client_id, "id": credential.id, "certificate": pem, "added_at": now}
        rows.insert(connection, table, {**row, **fields})
    counted = select(func.count()).select_from(table).where(table.c.client == client_id)
    if connection.execute(counted).scalar_one() > CREDENTIALS_MAX:
        raise UsageError(
            f"A client may have {CREDENTIALS_MAX} certificates and federated identities.",
            remedy="Make another client, and revoke this one when it is used no more.",
        )


def credentials_of(connection: Connection, client_id: str) -> list[ClientCredential]:
    """Return by what a client may sign in besides its secret, in the order of when it was added."""
    table = tables.client_credentials
    found = select(table).where(table.c.client == client_id).order_by(table.c.added_at, table.c.id)
    return [_credential(row) for row in connection.execute(found)]


def active_client(connection: Connection, client_id: str) -> RegisteredClient | None:
    """Return the client of an id unless it was revoked."""
    table = tables.clients
    row = connection.execute(select(table).where(table.c.id == client_id, table.c.revoked_at.is_(None))).first()
    return None if row is None else partner_registry.client_of(row)


def clients_ending(connection: Connection, before: datetime) -> list[tuple[RegisteredClient, datetime]]:
    """Return the clients of which all secrets and credentials end before a time, and when the last does."""
    ends: dict[str, datetime | None] = {}
    for table in (tables.client_secrets, tables.client_credentials):
        for row in connection.execute(select(table.c.client, table.c.expires_at)):
            last = ends.get(row.client, row.expires_at)
            ends[row.client] = None if last is None or row.expires_at is None else max(last, row.expires_at)
    active = select(tables.clients).where(tables.clients.c.revoked_at.is_(None)).order_by(tables.clients.c.id)
    clients = [(partner_registry.client_of(row), ends.get(row.id)) for row in connection.execute(active)]
    return [(client, ends_at) for client, ends_at in clients if ends_at is not None and ends_at < before]


def use_assertion(
    connection: Connection, client_id: str, assertion_id: str, peer: str, *, expires_at: datetime, now: datetime
) -> bool:
    """Remember an assertion until it ends; return whether the address may use it: it was the first one to."""
    table = tables.assertions
    key = hashlib.sha256(f"{client_id}\0{assertion_id}".encode("utf-8", "surrogatepass")).hexdigest()
    connection.execute(delete(table).where(table.c.expires_at < now))
    row = connection.execute(select(table.c.peer).where(table.c.id == key)).first()
    if row is None:
        rows.insert(connection, table, {"id": key, "peer": peer, "expires_at": expires_at})
    return row is None or row.peer == peer


def _credential(row: Row[Any]) -> ClientCredential:
    if row.certificate is not None:
        return ClientCertificate(row.id, row.certificate, row.expires_at)
    return FederatedIdentity(row.issuer, row.subject, row.audience)
