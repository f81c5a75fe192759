"""Who may be served, and the programs that may ask our own authority for tokens.

A client's secret has 256 random bits, so a plain SHA-256 is all its hash needs to be: slow hashes and salts
protect secrets that people choose. It is shown once, when it is made, and cannot be read again.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, select

from counterfoil.errors import MissingError, UsageError
from counterfoil.model import tenant_id
from counterfoil.storage import changes, rows, tables
from counterfoil.storage.catalog_rows import Partner, RegisteredClient
from counterfoil.storage.sealed_records import ClientRevoked, PartnerRemoved

CLIENT_NAME_LENGTH_MAX: Final = 100
_SECRET_BYTES: Final = 32
_NO_HASH: Final = "0" * 64


def register(connection: Connection, tenant: str, now: datetime) -> bool:
    """Make sure a partner is registered; return whether it is new."""
    tenant = tenant_id(tenant)
    if registered(connection, tenant):
        return False
    rows.insert(connection, tables.partners, {"tenant": tenant, "added_at": now})
    return True


def registered(connection: Connection, tenant: str) -> bool:
    """Return whether a partner may be served."""
    found = connection.execute(select(tables.partners.c.tenant).where(tables.partners.c.tenant == tenant))
    return found.first() is not None


def require(connection: Connection, tenant: str) -> None:
    """Raise MissingError unless the partner is registered."""
    if not registered(connection, tenant):
        raise MissingError(
            f"{tenant} is not a registered partner here.",
            remedy=f"Register it with: counterfoil partners add {tenant}",
        )


def all_partners(connection: Connection) -> list[Partner]:
    """Return all registered partners, in order of tenant id."""
    found = connection.execute(select(tables.partners).order_by(tables.partners.c.tenant))
    return [Partner(row.tenant, row.added_at) for row in found]


def remove(connection: Connection, tenant: str) -> None:
    """Take away a partner, its clients and operations; its withdrawn datasets stay until retention ends them."""
    tenant = tenant_id(tenant)
    require(connection, tenant)
    in_force = connection.execute(
        select(func.count())
        .select_from(tables.revisions.join(tables.datasets))
        .where(tables.datasets.c.partner == tenant, tables.revisions.c.superseded_at.is_(None))
    ).scalar_one()
    if in_force:
        datasets = "a dataset" if in_force == 1 else f"{in_force:,} datasets"
        raise UsageError(
            f"{tenant} has {datasets} in force, so it cannot be removed.",
            remedy="Withdraw them first: `counterfoil list` names them, `counterfoil withdraw` ends them.",
        )
    connection.execute(delete(tables.operations).where(tables.operations.c.partner == tenant))
    its_clients = select(tables.clients.c.id).where(tables.clients.c.partner == tenant)
    trusted = tables.client_credentials
    connection.execute(delete(trusted).where(trusted.c.client.in_(its_clients)))
    connection.execute(delete(tables.clients).where(tables.clients.c.partner == tenant))
    connection.execute(delete(tables.partners).where(tables.partners.c.tenant == tenant))
    changes.count(connection, PartnerRemoved(tenant))


def add_client(
    connection: Connection, tenant: str, name: str, now: datetime, *, with_secret: bool = True
) -> tuple[RegisteredClient, str]:
    """Register a program of a partner; return it with its secret, which nobody can ask for again.

    Without one (an empty text) it signs in by what it is trusted with later, see `client_credentials`.
    """
    tenant = tenant_id(tenant)
    if not 1 <= len(name) <= CLIENT_NAME_LENGTH_MAX or not name.isprintable():
        raise UsageError(
            f"{name!r} is not a client name.", remedy=f"Use 1 to {CLIENT_NAME_LENGTH_MAX} printable characters."
        )
    require(connection, tenant)
    secret = secrets.token_urlsafe(_SECRET_BYTES) if with_secret else ""
    client = RegisteredClient(str(uuid.uuid4()), tenant, name, now, None, with_secret)
    values = {
        "id": client.id,
        "partner": tenant,
        "name": name,
        "secret_sha256": _hash(secret) if secret else _NO_HASH,
        "created_at": now,
        "revoked_at": None,
    }
    rows.insert(connection, tables.clients, values)
    return client, secret


def clients_of(connection: Connection, tenant: str) -> list[RegisteredClient]:
    """Return a partner's clients, revoked ones too, the oldest first."""
    tenant = tenant_id(tenant)
    require(connection, tenant)
    found = select(tables.clients).where(tables.clients.c.partner == tenant)
    found = found.order_by(tables.clients.c.created_at, tables.clients.c.id)
    return [client_of(row) for row in connection.execute(found)]


def revoke(connection: Connection, tenant: str, client_id: str, now: datetime) -> None:
    """End a client; one that was revoked before stays as it is."""
    tenant = tenant_id(tenant)
    its = and_(tables.clients.c.partner == tenant, tables.clients.c.id == client_id)
    if connection.execute(select(tables.clients.c.id).where(its)).first() is None:
        raise MissingError(
            f"{tenant} has no client {client_id}.",
            remedy="See: counterfoil clients list.",
            parameter=f"partner={tenant}",
        )
    rows.update(connection, tables.clients, and_(its, tables.clients.c.revoked_at.is_(None)), {"revoked_at": now})
    changes.count(connection, ClientRevoked(client_id))


def check(connection: Connection, client_id: str, secret: str) -> RegisteredClient | None:
    """Return the client that has this id and secret and is not revoked."""
    row = connection.execute(select(tables.clients).where(tables.clients.c.id == client_id)).first()
    # An unknown id is compared as well, with a hash that no text is known to have.
    right = secrets.compare_digest(_NO_HASH if row is None else row.secret_sha256, _hash(secret))
    return client_of(row) if row is not None and right and row.revoked_at is None else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def client_of(row: Row[Any]) -> RegisteredClient:
    """Make a client of a row of `clients`."""
    has_secret = row.secret_sha256 != _NO_HASH
    return RegisteredClient(row.id, row.partner, row.name, row.created_at, row.revoked_at, has_secret)
