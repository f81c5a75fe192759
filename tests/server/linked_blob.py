"""One blob of 3 MiB and a bit under its signed link, and how tests ask for it."""

from __future__ import annotations

import http.client
import xml.etree.ElementTree as ET
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from counterfoil.server import blob_routes
from tests.server.serving import Place

SIZE = 3 * blob_routes.PIECE_BYTES + 12_345  # more than one piece, and not a whole number of them


@dataclass
class Link:
    """One blob of 3 MiB and a bit, and what is known of it."""

    place: Place
    root: str
    name: str
    token: str
    content: bytes

    @property
    def url(self) -> str:
        return f"{self.root}/{self.name}?{self.token}"

    def get(self, method: str = "GET", **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Accept-Encoding": "gzip"}
        return self.place.client.request(method, self.url, headers=sent)

    @property
    def path(self) -> str:
        return urlsplit(self.root).path


def code_of(answer: httpx.Response, status: int, code: str) -> None:
    """Check that an answer is a storage refusal."""
    assert answer.status_code == status
    assert answer.headers["x-ms-error-code"] == code
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["x-ms-request-id"]
    if answer.request.method != "HEAD":
        error = ET.fromstring(answer.content)
        assert (error.tag, error.findtext("Code")) == ("Error", code)
        assert error.findtext("Message")


def raw_get(link: Link, target: str) -> httpx.Response:
    """Send a path just as it is; httpx would tidy it first."""
    where = urlsplit(link.place.url)
    with closing(http.client.HTTPConnection(str(where.hostname), where.port)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        request = httpx.Request("GET", link.place.url)
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read(), request=request)
