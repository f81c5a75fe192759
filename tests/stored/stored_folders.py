"""The stored folders of each version, unpacked for a test, and served by today's program at the time they were made.

They are kept in archives: git keeps neither private modes nor empty folders, and no test can write to them.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from counterfoil.client import Api, Client, ask_billed, ask_unbilled
from counterfoil.client.protocol.retries import Patience
from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod, Clocks
from counterfoil.server.app import create_app
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.server.listening import Endpoint
from counterfoil.server.server_parts import Service
from counterfoil.server.startup import open_service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.wire.graph import ExportRequest

VERSION_2: Final = Path(__file__).parent / "version-2"
SOURCE: Final = "https://counterfoil.example"  # where the pulls were made from; no request leaves this machine
PARTNER: Final = "0e195b37-4574-4539-bc42-0e539b9684c0"
NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)  # when the last thing was stored
PAGE_SIZE_ITEMS: Final = 4
NOVEMBER: Final = BillingPeriod(2026, 11)
USAGE: Final = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(NOVEMBER, "EUR"))
LICENCES: Final = Dataset(Kind.RECONCILIATION, PARTNER, Scope.unbilled(NOVEMBER, "EUR"))
INVOICE: Final = Dataset(Kind.RECONCILIATION, PARTNER, Scope.billed("G016907411"))
INVOICED_USAGE: Final = Dataset(Kind.USAGE, PARTNER, Scope.billed("G016907411"))
WITHDRAWN: Final = Dataset(Kind.RECONCILIATION, PARTNER, Scope.unbilled(BillingPeriod(2026, 10), "USD"))
AUDIENCES: Final = {Api.GRAPH: "graph", Api.V1: "partner-center"}
Texts = Mapping[str, str]  # of one line item: raw JSON by attribute, without those that are empty


@dataclass(frozen=True, slots=True)
class Served:
    """A data folder that is served at `SOURCE`, for `transport` only."""

    service: Service
    transport: RoutedTransport

    def token(self, api: Api) -> str:
        """Return a token that is good at that time."""
        return mint_development_token(self.service.settings.data, PARTNER, AUDIENCES[api], NOW)

    def client(self, api: Api) -> Client:
        """Return a client of that time, which asks for one thing after another and does not try again."""
        patience = Patience(attempts_max=1, now=lambda: NOW)
        return Client(
            SOURCE,
            self.token(api),
            transport=self.transport,
            patience=patience,
            parallel=1,
            page_size_items=PAGE_SIZE_ITEMS,
        )

    def ask(self, method: str, url: str, api: Api | None, **more: Any) -> httpx.Response:
        """Ask once; without an API, without a token."""
        headers = {"Authorization": f"Bearer {self.token(api)}"} if api else {}
        with httpx.Client(transport=self.transport, base_url=SOURCE, headers=headers) as client:
            return client.request(method, url, **more)


@dataclass
class RoutedTransport(httpx.BaseTransport):
    """Takes requests for `SOURCE` to a server of this machine, and notes their paths."""

    port: int
    paths: list[str] = field(default_factory=list)
    requests_max: int | None = None  # after so many the line is cut

    def __post_init__(self) -> None:
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the server; raises ConnectError once the line is cut."""
        assert request.url.host == httpx.URL(SOURCE).host, request.url
        if self.requests_max is not None and len(self.paths) >= self.requests_max:
            raise httpx.ConnectError("the line is cut", request=request)
        self.paths.append(request.url.path)
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.port)
        request.headers["Host"] = f"127.0.0.1:{self.port}"
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Keep it open: several clients share it."""


@contextmanager
def serving(data: Path, *, development: bool = True) -> Iterator[Served]:
    """Serve a data folder by clocks that stand still."""
    clocks = Clocks(business=lambda: NOW, wall=lambda: NOW)
    settings = Settings(data=data, public_url=SOURCE)
    with (
        open_service(settings, clocks, development=development) as service,
        running(create_app(service), [Endpoint("127.0.0.1", 0)], grace_s=1) as [url],
    ):
        transport = RoutedTransport(int(url.rpartition(":")[2]))
        try:
            yield Served(service, transport)
        finally:
            transport._inner.close()


def ask_for(dataset: Dataset) -> ExportRequest:
    """Return what to ask for a dataset at that time."""
    scope = dataset.scope
    if scope.is_billed:
        return ask_billed(dataset.kind, scope.invoice)
    return ask_unbilled(dataset.kind, scope.period, scope.currency, now=NOW)


def unpacked(archive: Path, to: Path) -> Path:
    """Unpack a stored folder, with the modes that its files had."""
    with tarfile.open(archive) as packed:
        for member in packed:
            path = to / member.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if member.isdir():
                path.mkdir(mode=member.mode, exist_ok=True)
                continue
            content = packed.extractfile(member)
            assert content is not None
            path.write_bytes(content.read())
            path.chmod(member.mode)
    return to


def listed(version: Path) -> dict[str, Any]:
    """Return what a folder of this version holds, as it was listed when it was made."""
    found: dict[str, Any] = json.loads((version / "holds.json").read_text(encoding="utf-8"))
    return found


def texts_of(line: bytes) -> dict[str, str]:
    """Return the values of one line item as they stand there."""
    members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return {name: text for name, raw in members.items() if (text := bytes(raw).decode()) != '""'}


def v1_texts_of(page: bytes) -> list[dict[str, str]]:
    """Return the values of each line item of a page."""
    items = msgspec.json.decode(page, type=dict[str, msgspec.Raw])["items"]
    return [texts_of(bytes(item)) for item in msgspec.json.decode(items, type=list[msgspec.Raw])]
