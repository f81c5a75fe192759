"""Published v1 files of small numbered items, and a client that walks them as an SDK does."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.model import Contents, Dataset, Rendering
from counterfoil.storage import v1_blocks
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.v1_blocks import BlockWriter
from tests.committing import commit
from tests.server.serving import NOW, PARTNER, UNBILLED, Place
from tests.storage.block_items import add_items

LINE_ITEMS = "/v1/invoices/unbilled/lineitems"
USAGE = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=usd&period=current"
NEXT = USAGE + "&seekOperation=Next"


@dataclass(frozen=True)
class Item:
    """A line item as the server stores it. The text is what counts: its digits must come through."""

    number: int
    credit: bool = False
    name: str = "old"

    @property
    def text(self) -> bytes:
        """Its JSON."""
        return b'{"n":%d,"name":"%s","total":%d.10,"text":"\\u00e4 \xc3\xa4"}' % (
            self.number,
            self.name.encode(),
            self.number,
        )


def items(count: int, *, name: str = "old") -> list[Item]:
    """Return numbered items, every third with partner earned credit."""
    return [Item(number, number % 3 == 1, name) for number in range(count)]


def publish_v1(
    place: Place,
    parts: Sequence[Sequence[Item]],
    *,
    dataset: Dataset = UNBILLED,
    block_items: int = v1_blocks.ITEMS_MAX,
    now: datetime = NOW,
) -> Revision:
    """Commit a revision of one file for each part, in blocks of at most so many items."""
    files = []
    everything = hashlib.sha256()
    with place.store.begin(now) as publication, pytest.MonkeyPatch.context() as patch:
        patch.setattr(v1_blocks, "ITEMS_MAX", block_items)
        for part, found in enumerate(parts):
            with publication.create(dataset, "whole", Rendering.V1, part=part) as file:
                writer = BlockWriter(file)
                add_items(writer, [item.text for item in found], [item.credit for item in found])
                assert writer.finish() == len(found)
                size = file.tell()
            files.append(NewFile(Rendering.V1, part, file.path, size, file.sha256, len(found)))
            everything.update(b"".join(item.text for item in found))
        count = sum(map(len, parts))
        total = sum((Decimal(f"{item.number}.10") for found in parts for item in found), Decimal(0))
        totals = {"BillingPreTaxTotal": total} if count else {}  # nothing has no totals
        contents = Contents(count, everything.hexdigest(), dataset.scope.currency, totals)
        segment = NewSegment(dataset, "whole", dataset.partner, contents, tuple(files), {})
        current = place.catalog.in_force(dataset)
        bases = {dataset: None if current is None else current.id}
        publication.seal([segment])
        [revision] = commit(place.catalog, publication.id, [segment], bases, now)
    return revision


def page(
    place: Place,
    query: str = USAGE,
    token: str = "",
    *,
    partner: str = PARTNER,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> httpx.Response:
    """Ask for one page, and see that the answer is well formed."""
    sent = {"MS-ContinuationToken": token} if token else {}
    response = place.get(f"{LINE_ITEMS}?{query}", partner, **sent, **headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    if status == 200:
        check_envelope(response.json())
    elif status != 429:
        check_error(response.json())
    return response


def check_envelope(body: dict[str, Any]) -> None:
    """Root token and next link are in step, and so are the count and the items."""
    assert body["totalCount"] == len(body["items"])
    assert body["attributes"] == {"objectType": "Collection"}
    assert body["links"]["self"]["headers"] == []
    assert "seekOperation" not in body["links"]["self"]["uri"]
    token = body.get("continuationToken")
    following = body["links"].get("next")
    if token is None:
        assert set(body["links"]) == {"self"}
    else:
        assert token
        assert following["headers"] == [{"key": "MS-ContinuationToken", "value": token}]
        assert following["uri"] == body["links"]["self"]["uri"] + "&seekOperation=Next"


def check_error(body: dict[str, Any]) -> None:
    """The error body that the SDKs read."""
    assert list(body) == ["code", "description", "data", "source"]
    assert body["code"].isdigit()
    assert 1 <= len(body["description"]) <= 1024
    assert body["data"] == []
    assert body["source"] == "Counterfoil"


def walk(
    place: Place, query: str = USAGE, *, partner: str = PARTNER, headers: Mapping[str, str] = MappingProxyType({})
) -> list[httpx.Response]:
    """Return all pages, following `links.next` as the Java and PowerShell SDKs do: `/v1/` + a uri with a slash."""
    found = [page(place, query, partner=partner, headers=headers)]
    while following := found[-1].json()["links"].get("next"):
        sent = {header["key"]: header["value"] for header in following["headers"]}
        assert len(found) < 10_000
        found.append(place.get("/v1/" + following["uri"], partner, **sent, **headers))
        assert found[-1].status_code == 200, found[-1].text
        check_envelope(found[-1].json())
    return found


def texts(pages: Sequence[httpx.Response]) -> bytes:
    """Return the items of all pages as the server wrote them, joined by commas."""
    runs = []
    for one in pages:
        body = one.content
        begin = body.index(b'"items":[') + len(b'"items":[')
        end = body.rindex(b'],"links":{')
        assert json.loads(body[begin - 1 : end + 1]) == one.json()["items"]
        runs.append(body[begin:end])
    return b",".join(run for run in runs if run)


def joined(found: Sequence[Item]) -> bytes:
    """Return items as they should arrive."""
    return b",".join(item.text for item in found)


def first_token(place: Place, query: str = USAGE) -> str:
    """Return the token of page 1."""
    return str(page(place, query).json()["continuationToken"])


def raw(place: Place, request: str) -> bytes:
    """Send bytes as they are, and return the answer until the server closes."""
    address = urlsplit(place.url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while more := connection.recv(1 << 16):
            answer += more
    return answer


def raw_get(place: Place, target: str, method: str = "GET", more: str = "") -> tuple[int, bytes]:
    """Send a request that no client library would, and return status and body."""
    host = urlsplit(place.url).netloc
    answer = raw(
        place,
        f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {PARTNER}\r\n{more}"
        "Connection: close\r\n\r\n",
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body
