"""Who may be served, and the programs that may ask our own authority for tokens."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, select

from counterfoil.errors import MissingError, UsageError
from counterfoil.model import tenant_id
from counterfoil.storage import changes, client_secrets, rows, tables
from counterfoil.storage.catalog_rows import ClientSecret, Partner, RegisteredClient
from counterfoil.storage.sealed_records import ClientRevoked, PartnerRemoved

NAME_LENGTH_MAX: Final = 100


def register(connection: Connection, tenant: str, now: datetime, *, name: str | None = None) -> bool:
    """Make sure a partner is registered; return whether it is new. A name replaces the one that it had."""
    tenant = tenant_id(tenant)
    if name is not None:
        _check_name(name, "partner")
    if not registered(connection, tenant):
        rows.insert(connection, tables.partners, {"tenant": tenant, "added_at": now, "name": name})
        return True
    if name is not None:
        rows.update(connection, tables.partners, tables.partners.c.tenant == tenant, {"name": name})
    return False


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
    return [Partner(row.tenant, row.added_at, row.name) for row in found]


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
    for proofs in (tables.client_secrets, tables.client_credentials):
        connection.execute(delete(proofs).where(proofs.c.client.in_(its_clients)))
    connection.execute(delete(tables.clients).where(tables.clients.c.partner == tenant))
    connection.execute(delete(tables.partners).where(tables.partners.c.tenant == tenant))
    changes.count(connection, PartnerRemoved(tenant))


def add_client(
    connection: Connection,
    tenant: str,
    name: str,
    now: datetime,
    *,
    with_secret: bool = True,
    expires_at: datetime | None = None,
) -> tuple[RegisteredClient, str]:
    """Register a program of a partner; return it with its secret, which nobody can ask for again.

    Without one (an empty text) it signs in by what it is trusted with later, see `client_credentials`.
    """
    tenant = tenant_id(tenant)
    _check_name(name, "client")
    require(connection, tenant)
    client = RegisteredClient(str(uuid.uuid4()), tenant, name, now, None)
    values = {"id": client.id, "partner": tenant, "name": name, "created_at": now, "revoked_at": None}
    rows.insert(connection, tables.clients, values)
    return client, client_secrets.add(connection, client.id, now, expires_at)[1] if with_secret else ""


def is_name(text: str) -> bool:
    """Whether a partner or a client can have this name."""
    return 1 <= len(text) <= NAME_LENGTH_MAX and text.isprintable()


def _check_name(name: str, of: str) -> None:
    if not is_name(name):
        raise UsageError(f"{name!r} is not a {of} name.", remedy=f"Use 1 to {NAME_LENGTH_MAX} printable characters.")


def clients_of(connection: Connection, tenant: str) -> list[RegisteredClient]:
    """Return a partner's clients, revoked ones too, the oldest first."""
    tenant = tenant_id(tenant)
    require(connection, tenant)
    found = select(tables.clients).where(tables.clients.c.partner == tenant)
    found = found.order_by(tables.clients.c.created_at, tables.clients.c.id)
    return [client_of(row) for row in connection.execute(found)]


def revoke(connection: Connection, tenant: str, client_id: str, now: datetime) -> None:
    """End a client; one that was revoked before stays as it is."""
    client = _client(connection, tenant, client_id)
    still = and_(tables.clients.c.id == client.id, tables.clients.c.revoked_at.is_(None))
    rows.update(connection, tables.clients, still, {"revoked_at": now})
    changes.count(connection, ClientRevoked(client_id))


def add_secret(
    connection: Connection,
    tenant: str,
    client_id: str,
    now: datetime,
    expires_at: datetime | None,
    *,
    others_end_at: datetime | None = None,
) -> tuple[ClientSecret, str]:
    """Give a client one more secret, see `client_secrets.add`; raises UsageError for one that was revoked.

    With `others_end_at` the secrets that it has end then, unless they end before.
    """
    client = _client(connection, tenant, client_id)
    if client.revoked_at is not None:
        raise UsageError(f"Client {client_id} was revoked.", remedy="Make another: counterfoil clients add")
    if others_end_at is not None:
        client_secrets.end(connection, client_id, others_end_at)
    return client_secrets.add(connection, client.id, now, expires_at)


def remove_secret(connection: Connection, tenant: str, client_id: str, secret_id: str) -> None:
    """End a secret of a client at once."""
    client_secrets.remove(connection, _client(connection, tenant, client_id).id, secret_id)


def check(connection: Connection, client_id: str, secret: str, now: datetime) -> RegisteredClient | None:
    """Return the client that has this id, is not revoked, and has this secret, which has not ended."""
    row = connection.execute(select(tables.clients).where(tables.clients.c.id == client_id)).first()
    found = client_secrets.find(connection, client_id, secret)
    good = row is not None and row.revoked_at is None and found is not None and found.is_good(now)
    return client_of(row) if row is not None and good else None


def secret_ended(connection: Connection, client_id: str, secret: str, now: datetime) -> datetime | None:
    """Return when the secret ended that a client has with this text; None for any that is not of a client here."""
    row = connection.execute(select(tables.clients).where(tables.clients.c.id == client_id)).first()
    found = client_secrets.find(connection, client_id, secret)
    ended = row is not None and row.revoked_at is None and found is not None and not found.is_good(now)
    return found.expires_at if found is not None and ended else None


def _client(connection: Connection, tenant: str, client_id: str) -> RegisteredClient:
    """Return a client of a partner; raises MissingError."""
    tenant = tenant_id(tenant)
    its = and_(tables.clients.c.partner == tenant, tables.clients.c.id == client_id)
    row = connection.execute(select(tables.clients).where(its)).first()
    if row is None:
        raise MissingError(
            f"{tenant} has no client {client_id}.",
            remedy="See: counterfoil clients list.",
            parameter=f"partner={tenant}",
        )
    return client_of(row)


def client_of(row: Row[Any]) -> RegisteredClient:
    """Make a client of a row of `clients`."""
    return RegisteredClient(row.id, row.partner, row.name, row.created_at, row.revoked_at)
