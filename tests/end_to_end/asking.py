"""What tests of bad requests share: a server with a month of line items, and somebody who may ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.fetching import LINE_ITEMS, Fetcher

QUERY = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current&size=30"
USAGE = f"{LINE_ITEMS}?{QUERY}"


@dataclass
class Place:
    """A server, callers of each API, and what they were handed."""

    server: Server
    fetch: Fetcher
    client: httpx.Client
    token: str
    blob: str
    link: str

    def graph(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, path, headers=self.fetch.graph | more.pop("headers", {}), **more)

    def center(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, headers=self.fetch.center | named)


@contextmanager
def prepared() -> Iterator[Place]:
    """Serve something to ask for, and be handed a token and a link."""
    month = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with Server(now="2026-11-21") as server:
        for kind in Kind:
            server.publish(generate(kind, 100, special=True, partner=PARTNER, scope=month), period="2026-11")
        fetch = Fetcher(server)
        with fetch.client as client:
            manifest = fetch.export("usage")["resourceLocation"]
            blob = f"{urlsplit(manifest['rootDirectory']).path}/{manifest['blobs'][0]['name']}"
            token = client.get(USAGE, headers=fetch.center).json()["continuationToken"]
            yield Place(server, fetch, client, token, blob, manifest["sasToken"])
