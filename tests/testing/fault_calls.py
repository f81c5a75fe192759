"""One plain call of every kind to a server with faults, over real sockets, and the data that is right."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import msgspec

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import Server
from counterfoil.testing.faults.fault import ClientOutcome, Route
from counterfoil.testing.faults.fault_plan import Rule

NOW = "2026-11-21T12:00Z"
BILLING = "/v1.0/reports/partners/billing"
PAGE = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR"
LINE_ITEMS = 90
SEGMENTS = ("2026-11-01", "2026-11-02", "2026-11-03")
PAGE_SIZE = 15


def publish(server: Server, line_items: int = LINE_ITEMS) -> None:
    """Publish usage as one blob a segment: three blobs, and pages within them."""
    scope = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    for number, segment in enumerate(SEGMENTS):
        made = generate(Kind.USAGE, line_items // 3, seed=number, special=True, partner=server.partner, scope=scope)
        server.publish(_one_undated(b"".join(made).splitlines()), period="2026-11", segment=segment)


def _one_undated(lines: list[bytes]) -> bytes:
    """Return JSON lines of which one has no charge date, which is allowed."""
    first = msgspec.json.decode(lines[0], type=dict[str, msgspec.Raw]) | {"ChargeStartDate": msgspec.Raw(b'""')}
    return b"\n".join([msgspec.json.encode(first), *lines[1:]])


@contextmanager
def calling() -> Iterator[Calls]:
    """A server with data, and the calls to it."""
    with Server(now=NOW) as server, closing(httpx.Client(timeout=20)) as client:
        yield Calls(server, client)


class Calls:
    """What a client without any patience gets."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server = server
        self.client = client
        self.graph = server.headers()
        self.v1 = server.headers("partner-center")
        publish(server)
        self.location = self.submit().headers["location"]
        self.root = self.operation().json()["resourceLocation"]

    def submit(self, currency: str = "EUR") -> httpx.Response:
        body = {"currencyCode": currency, "billingPeriod": "current"}
        return self.client.post(f"{self.server.url}{BILLING}/usage/unbilled/export", json=body, headers=self.graph)

    def operation(self) -> httpx.Response:
        return self.client.get(self.location, headers=self.graph)

    def manifest(self) -> httpx.Response:
        return self.client.get(f"{self.server.url}{BILLING}/manifests/{self.root['id']}", headers=self.graph)

    def blob_url(self, number: int = 1, manifest: dict[str, Any] | None = None) -> str:
        root = manifest or self.root
        return f"{root['rootDirectory']}/{root['blobs'][number - 1]['name']}?{root['sasToken']}"

    def blob(self, number: int = 1, **headers: str) -> httpx.Response:
        return self.client.get(self.blob_url(number), headers=headers)

    def page(self, token: str = "", *, encoding: str = "gzip") -> httpx.Response:
        seek = {"MS-ContinuationToken": token} if token else {}
        url = f"{self.server.url}{PAGE}&period=current&size={PAGE_SIZE}" + "&seekOperation=Next" * bool(token)
        return self.client.get(url, headers=self.v1 | seek | {"Accept-Encoding": encoding})

    def token(self) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s"}
        scope = {"scope": "https://graph.microsoft.com/.default"}
        return self.client.post(f"{self.server.url}/{self.server.partner}/oauth2/v2.0/token", data=form | scope)

    def of(self, route: Route) -> httpx.Response:
        """Make a call of this kind."""
        calls = {
            Route.SUBMIT: self.submit,
            Route.OPERATION: self.operation,
            Route.MANIFEST: self.manifest,
            Route.BLOB: self.blob,
            Route.PAGE: self.page,
            Route.TOKEN: self.token,
        }
        return calls[route]()

    def pages(self, limit: int = 20) -> list[dict[str, Any]]:
        """Walk by the root token, until the end or the limit."""
        found = [self.page().json()]
        while (token := found[-1].get("continuationToken")) and len(found) < limit:
            found.append(self.page(token).json())
        return found

    def manifest_now(self) -> dict[str, Any]:
        """The manifest as the operation has it now."""
        inside: dict[str, Any] = self.operation().json()["resourceLocation"]
        return inside

    def lines(self, number: int = 1, manifest: dict[str, Any] | None = None) -> list[dict[str, msgspec.Raw]]:
        """The line items of a blob, each value as it stands."""
        body = self.client.get(self.blob_url(number, manifest)).content
        texts = gzip.decompress(body).removeprefix(b"\xef\xbb\xbf").split(b"\n")
        return [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in texts if line.strip()]


def recoverable(rule: Rule) -> bool:
    """Whether a good client gets everything all the same."""
    too_often = rule.fault.uses_retry and (rule.times is None or rule.times > rule.fault.survived)
    return rule.fault.outcome is ClientOutcome.RECOVERS and not too_often
