"""Partners and their clients in bulk: a CSV of partners, their names, and a client each where one is wanted.

The list is checked whole before anything changes. Giving it again adds what is new: a client of that name is not made a
second time, and its secret cannot be shown again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil.errors import InputError, UsageError
from counterfoil.model import tenant_id

if TYPE_CHECKING:
    from counterfoil.storage.catalog import Catalog

_NAMES: Final = ("partner", "name", "client")


@dataclass(frozen=True, slots=True)
class ListedPartner:
    """A line of the list; what is empty is not said."""

    tenant: str
    name: str
    client: str


def read_partners(path: Path) -> list[ListedPartner]:
    """Return the lines of a list of partners; raises InputError, naming the line."""
    from counterfoil.datasets.csv_lists import rows_of, text_of
    from counterfoil.storage.partner_registry import NAME_LENGTH_MAX, is_name

    listed = []
    for line, row in rows_of(text_of(path), path, _NAMES):
        try:
            tenant = tenant_id(row["partner"])
        except UsageError as error:
            raise InputError(error.message.rstrip("."), file=str(path), line=line, remedy=error.remedy) from error
        for name in ("name", "client"):
            text = row.get(name, "")
            if text and not is_name(text):
                raise InputError(
                    "is not a name", file=str(path), line=line, attribute=name, value=text,
                    remedy=f"Use 1 to {NAME_LENGTH_MAX} printable characters.",
                )  # fmt: skip
        listed.append(ListedPartner(tenant, row.get("name", ""), row.get("client", "")))
    if not listed:
        raise InputError("lists no partners", file=str(path), remedy="Give each partner a line of its own.")
    return listed


def register(
    catalog: Catalog, listed: list[ListedPartner], now: datetime, ends: datetime | None
) -> list[dict[str, object]]:
    """Register partners and make their clients; returns a row for each line, with the secret of a new client.

    `ends` is when such a secret ends; None for never.
    """
    rows: list[dict[str, object]] = []
    for each in listed:
        added = catalog.add_partner(each.tenant, now, name=each.name or None)
        row = {"partner": each.tenant, "name": each.name or None, "added": added}
        secret: dict[str, object] = {"clientId": None, "clientSecret": None, "expires": None}
        if each.client:
            known = [it for it in catalog.clients(each.tenant) if it.name == each.client and it.revoked_at is None]
            if known:
                secret["clientId"] = known[0].id
            else:
                client, text = catalog.add_client(each.tenant, each.client, now, expires_at=ends)
                secret = {"clientId": client.id, "clientSecret": text, "expires": ends}
        rows.append({**row, "client": each.client or None, **secret})
    return rows
