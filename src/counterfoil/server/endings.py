"""What ends soon: the certificate for https, and clients that could then sign in no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.errors import UsageError
from counterfoil.lifetimes_and_sizes import ENDS_SOON
from counterfoil.server.identity.tls import end_of_certificate
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog

_CLIENTS_NAMED_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends soon or has ended, and what to do."""

    about: str
    told: str
    remedy: str


def endings(settings: Settings, catalog: Catalog, now: datetime) -> list[Ending]:
    """Return what ends within a month, and clients that have nothing left to sign in by."""
    found = []
    if settings.tls_cert is not None:
        try:
            ends_at = end_of_certificate(settings.tls_cert)
        except UsageError as error:
            return [Ending("certificate", error.message, error.remedy)]
        if ends_at - now < ENDS_SOON:
            told = f"The certificate {settings.tls_cert} {_ends(ends_at, now)}."
            found.append(Ending("certificate", told, "Renew it; a running server takes the new files by itself."))
    clients = catalog.clients_ending(now + ENDS_SOON)
    for client, ends_at in clients[:_CLIENTS_NAMED_MAX]:
        whose = f"client {client.id} ({client.name}) of {client.partner}"
        told = f"All that {whose} can sign in by {_ends(ends_at, now)}."
        found.append(Ending("client", told, "Give it a new secret: counterfoil clients rotate"))
    if len(clients) > _CLIENTS_NAMED_MAX:
        told = f"The same is so of {len(clients) - _CLIENTS_NAMED_MAX:,} other clients."
        found.append(Ending("clients", told, "See: counterfoil clients list"))
    return found


def _ends(ends_at: datetime, now: datetime) -> str:
    return f"{'ended' if ends_at <= now else 'ends'} on {ends_at:%Y-%m-%d}"
