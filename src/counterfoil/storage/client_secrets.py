"""The secrets of clients: up to two of one are good at a time, so that one can be replaced while the other works.

A secret has 256 random bits, so a plain SHA-256 is all its hash needs to be: slow hashes and salts protect secrets that
people choose. It is shown once, when it is made, and cannot be read again. One that ended stays listed until another
is added.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, select

from counterfoil.errors import MissingError, UsageError
from counterfoil.storage import changes, rows, tables
from counterfoil.storage.catalog_rows import ClientSecret
from counterfoil.storage.sealed_records import SecretRemoved

GOOD_MAX: Final = 2
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 4
_NO_HASH: Final = "0" * 64  # no text is known to have it

_SECRETS: Final = tables.client_secrets.c


def add(connection: Connection, client_id: str, now: datetime, expires_at: datetime | None) -> tuple[ClientSecret, str]:
    """Give a client one more secret; return it, and its text, which nobody can ask for again.

    Raises UsageError where two are good already, and for an end that is past.
    """
    if expires_at is not None and expires_at <= now:
        raise UsageError(f"A secret cannot end at {expires_at:%Y-%m-%d %H:%M} UTC: that is past.", parameter="expires")
    connection.execute(delete(tables.client_secrets).where(_SECRETS.client == client_id, ~_good(now)))
    good = of_client(connection, client_id)
    if len(good) >= GOOD_MAX:
        raise UsageError(
            f"Client {client_id} has {GOOD_MAX} secrets that are good: {', '.join(each.id for each in good)}.",
            remedy="Remove the one that is no longer used: counterfoil clients remove-secret",
        )
    taken = {each.id for each in good}
    made = next(each for each in iter(lambda: secrets.token_hex(_ID_BYTES), "") if each not in taken)
    secret = ClientSecret(made, now, expires_at)
    text = secrets.token_urlsafe(_SECRET_BYTES)
    values = {
        "client": client_id,
        "id": made,
        "sha256": _hash(text),
        "created_at": now,
        "expires_at": expires_at,
    }
    rows.insert(connection, tables.client_secrets, values)
    return secret, text


def of_client(connection: Connection, client_id: str) -> list[ClientSecret]:
    """Return the secrets of a client, also those that ended, the oldest first."""
    found = select(tables.client_secrets).where(_SECRETS.client == client_id)
    return [_secret(row) for row in connection.execute(found.order_by(_SECRETS.created_at, _SECRETS.id))]


def end(connection: Connection, client_id: str, at: datetime) -> None:
    """Let the secrets of a client end at a time, unless they end before."""
    later = or_(_SECRETS.expires_at.is_(None), _SECRETS.expires_at > at)
    rows.update(connection, tables.client_secrets, and_(_SECRETS.client == client_id, later), {"expires_at": at})


def remove(connection: Connection, client_id: str, secret_id: str) -> None:
    """End a secret at once; raises MissingError for one that the client does not have."""
    its = and_(_SECRETS.client == client_id, _SECRETS.id == secret_id)
    if not connection.execute(delete(tables.client_secrets).where(its)).rowcount:
        raise MissingError(
            f"Client {client_id} has no secret {secret_id}.",
            remedy="See: counterfoil clients list.",
            parameter="secret",
        )
    changes.count(connection, SecretRemoved(client_id, secret_id))


def find(connection: Connection, client_id: str, text: str) -> ClientSecret | None:
    """Return the secret of a client that has this text, whether or not it has ended.

    A client that is not there takes as long as one that is.
    """
    right, given = None, _hash(text)
    found = connection.execute(select(tables.client_secrets).where(_SECRETS.client == client_id)).all()
    for row in found:
        if secrets.compare_digest(row.sha256, given):
            right = row
    for _ in range(GOOD_MAX - len(found)):
        secrets.compare_digest(_NO_HASH, given)
    return None if right is None else _secret(right)


def _good(now: datetime) -> ColumnElement[bool]:
    return or_(_SECRETS.expires_at.is_(None), _SECRETS.expires_at > now)


def _secret(row: Row[Any]) -> ClientSecret:
    return ClientSecret(row.id, row.created_at, row.expires_at)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
