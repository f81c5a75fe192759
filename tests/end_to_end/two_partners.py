"""Two partners at one server: A was handed everything there is, and B would like to have it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER as A
from counterfoil.testing import Server
from tests.end_to_end.fetching import BILLING, LINE_ITEMS, V1_TYPES, Fetcher

B = "11111111-2222-3333-4444-555555555555"
NOBODY = "99999999-8888-7777-6666-555555555555"
INVOICE, MADE_UP_INVOICE = "GAAAA00001", "GZZZZ99999"
KEY = "the key of A"
CHANGING = {"date", "request-id", "client-request-id", "x-ms-request-id", "ms-requestid", "ms-correlationid", "ms-cv"}
CHANGING |= {"ms-serverid"}  # names the process
GUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?")
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


@dataclass
class Handed:
    """What partner A was handed in the course of time."""

    operations: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    continuations: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Place:
    """The server, what B saw before A had anything, and what A was handed."""

    server: Server
    a: Fetcher
    b: Fetcher
    alone: dict[str, Answer]
    handed: Handed
    own_blob: str = ""

    def as_b(self, method: str, path: str, **more: Any) -> Answer:
        headers = (self.b.center if path.lower().startswith("/v1/") else self.b.graph) | more.pop("headers", {})
        return ask(self.b.client, method, path, headers=headers, **more)


def ask(client: httpx.Client, method: str, path: str, **more: Any) -> Answer:
    """Return an answer, bytes and order kept, but for ids of the request and the time of day."""
    answer = client.request(method, path, **more)
    headers = [(name, b"*" if name.decode().lower() in CHANGING else value) for name, value in answer.headers.raw]
    body = answer.content
    for name in ("request-id", "x-ms-request-id", "ms-requestid"):
        if name in answer.headers:
            body = body.replace(answer.headers[name].encode(), b"*")
    return answer.status_code, headers, TIME.sub(b"*", body)


def plain_routes(server: Server) -> list[str]:
    """Every path that is documented with GET and needs nothing filled in; and all first pages."""
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    return [path for path, item in paths.items() if "get" in item and "{" not in path] + [*map(query, Kind)]


@contextmanager
def prepared() -> Iterator[Place]:
    """Serve both; B looks around, then A is handed all that there is."""
    month = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with Server(now="2026-11-21") as server:
        a, b = Fetcher(server), Fetcher(server, B)
        with a.client, b.client:
            for kind in Kind:
                server.publish(generate(kind, 80, seed=2, special=True, partner=B, scope=month), period="2026-11")
            own = b.export("usage")["resourceLocation"]
            place = Place(server, a, b, {}, Handed())
            place.alone = {path: place.as_b("GET", path) for path in plain_routes(server)}
            place.own_blob = f"{urlsplit(own['rootDirectory']).path}/{own['blobs'][0]['name']}"
            for kind in Kind:
                server.publish(generate(kind, 300, seed=1, special=True, partner=A, scope=month), period="2026-11")
                server.publish(generate(kind, 100, seed=1, special=True, partner=A, scope=Scope.billed(INVOICE)))
            hand_out(place)
            yield place


def hand_out(place: Place) -> None:
    """Let A use every route, and note what it gets."""
    handed, server = place.handed, place.server
    for kind in Kind:
        for scope in ({"invoice": INVOICE}, {}, {"invoice": "GNODATA"}):
            for attributes in ("full", "basic"):
                operation = place.a.export(kind, attributes=attributes, **scope)
                handed.operations.append(operation["id"])
                manifest = operation.get("resourceLocation")
                if manifest:
                    handed.manifests.append(manifest["id"])
                    handed.links.append(manifest["sasToken"])
                    root = urlsplit(manifest["rootDirectory"]).path
                    handed.blobs += [f"{root}/{blob['name']}" for blob in manifest["blobs"]]
        handed.continuations[kind] = [
            token
            for more in ("", "&hasPartnerEarnedCredit=true", "&hasPartnerEarnedCredit=false")
            if (token := place.a.client.get(query(kind, more), headers=place.a.center).json().get("continuationToken"))
        ]
    server.delay_operations(3_600)
    handed.operations.append(place.a.export("usage")["id"])
    server.delay_operations(0)
    expired = server.service.catalog.operation(A, handed.operations[0])
    assert expired is not None
    expired = replace(expired, id=str(uuid.uuid4()), manifest_id=str(uuid.uuid4()))
    expired = replace(expired, expires_at=utc_now() - timedelta(hours=1), created_at=utc_now() - timedelta(hours=25))
    server.service.catalog.add_operation(expired, None, "")
    handed.operations.append(expired.id)
    handed.manifests.append(expired.manifest_id)
    path = f"{BILLING}/usage/billed/export"
    keyed = place.a.client.post(path, json={"invoiceId": INVOICE}, headers=place.a.graph | {"Idempotency-Key": KEY})
    handed.operations.append(keyed.headers["Location"].rpartition("/")[2])
    assert len(handed.operations) == 15
    assert len(handed.blobs) == 8
    assert [len(tokens) for tokens in handed.continuations.values()] == [3, 3]


def query(kind: str, more: str = "") -> str:
    return (
        f"{LINE_ITEMS}?provider=onetime&invoicelineitemtype={V1_TYPES[kind]}&currencycode=EUR&period=current&size=20"
        + more
    )
