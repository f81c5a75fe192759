"""What tests of the built-in authority share: an authority with two partners, over HTTP without a socket."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from counterfoil.periods import Clocks
from counterfoil.server.activity_recorder import ActivityRecorder
from counterfoil.server.app import create_app
from counterfoil.server.export_operations import Exports
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.authenticator import Authenticator
from counterfoil.server.identity.authority import Authority
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.server.server_parts import Service
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.engines import open_store
from counterfoil.wire.tokens import Keyring

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "22222222-2222-3333-4444-555555555555"
STRANGER = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GRAPH = "https://graph.microsoft.com"
PARTNER_CENTER = "https://api.partnercenter.microsoft.com"
OWN = "api://billing"
BASE = "https://billing.example.com"


class Http:
    """Requests to an application without a socket."""

    def __init__(self, app: ASGIApp, address: str = "127.0.0.1") -> None:
        self._app = app
        self._address = address

    def request(self, method: str, url: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._address, 40_000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, url, **given)

        return asyncio.run(ask())

    def get(self, url: str) -> httpx.Response:
        return self.request("GET", url)

    def post(self, url: str, **given: Any) -> httpx.Response:
        return self.request("POST", url, **given)


@dataclass
class House:
    """An authority with two partners, over HTTP without a socket, and an authenticator on the same folder."""

    data: Path
    catalog: Catalog
    keys: AuthorityKeys
    clocks: Clocks
    app: ASGIApp
    activity: ActivityRecorder

    @property
    def http(self) -> Http:
        return Http(self.app)

    def client_of(self, partner: str = PARTNER) -> tuple[str, str]:
        client, secret = self.catalog.add_client(partner, "billing", NOW)
        return client.id, secret

    def partner_of(self, token: str, api: str = "graph") -> str:
        """Return whom the token's bearer may read for."""
        audiences = Audiences.from_setting(OWN, development=self.keys.development)
        authenticator = Authenticator(self.catalog, self.clocks, self.keys, audiences)
        return asyncio.run(authenticator.authenticate(f"Bearer {token}", api=api)).partner

    def post(self, tenant: str = PARTNER, path: str = "oauth2/v2.0/token", **form: str) -> httpx.Response:
        good = {"grant_type": "client_credentials", "client_id": "tool", "client_secret": "secret"}
        good["resource" if path == "oauth2/token" else "scope"] = OWN + ("" if path == "oauth2/token" else "/.default")
        fields = {name: value for name, value in {**good, **form}.items() if value}
        return self.http.post(f"/{tenant}/{path}", data=fields)


def house(data: Path, *, development: bool, clocks: Clocks, public_url: str = BASE) -> Iterator[House]:
    with open_store(data) as store:
        catalog = store.catalog
        for partner in (PARTNER, OTHER):
            catalog.add_partner(partner, NOW)
        keys = AuthorityKeys(data, development=development)
        audiences = Audiences.from_setting(OWN, development=development)
        keyring = Keyring.from_text(Keyring.fresh_text())
        service = Service(
            settings=Settings(data=data, public_url="" if development else public_url),
            store=store,
            keyring=keyring,
            clocks=clocks,
            exports=Exports(catalog, keyring, clocks),
            authenticator=Authenticator(catalog, clocks, keys, audiences),
            authority=Authority(catalog, clocks, keys, audiences),
            activity=ActivityRecorder(catalog, clocks.wall),
            development=development,
            open_to=frozenset({BASE.removeprefix("https://")}),
        )
        yield House(data, catalog, keys, clocks, create_app(service), service.activity)


def refusal(answer: httpx.Response, status: int, error: str, number: int) -> str:
    """Check that an answer is a refusal in OAuth's words; return its text."""
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number]), body
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert uuid.UUID(body["trace_id"])
    assert uuid.UUID(body["correlation_id"])
    assert body["timestamp"] == "2026-11-21 12:00:00Z"
    assert answer.headers["cache-control"] == "no-store"
    return str(body["error_description"].partition(" Trace ID: ")[0])
