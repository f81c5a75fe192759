"""What ages does so by the wall clock: links, operations, continuation tokens. The business clock moves none of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from counterfoil.datasets.sweep import sweep
from counterfoil.lifetimes_and_sizes import OPERATIONS_REMEMBERED
from counterfoil.periods import Clocks, utc_now
from counterfoil.server.app import create_app
from counterfoil.server.identity.signing_keys import mint_development_token
from counterfoil.server.listening import Endpoint
from counterfoil.server.server_parts import Service
from counterfoil.server.startup import open_service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from tests.crash.plans import PARTNER, Plans, now

EXPORT = "/v1.0/reports/partners/billing/usage/unbilled/export"
PAGE = (
    "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems"
    "&period=current&currencycode=EUR&size=300"
)


@dataclass
class Place:
    """A server whose clocks a test may turn."""

    service: Service
    url: str
    client: httpx.Client
    wall: datetime
    business: datetime

    def ask(self, method: str, url: str, audience: str = "graph", **more: Any) -> httpx.Response:
        """Ask with a token that is good at this time."""
        token = mint_development_token(self.service.settings.data, PARTNER, audience, self.wall)
        headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
        return self.client.request(method, url if url.startswith("http") else self.url + url, headers=headers, **more)

    def export(self) -> str:
        """Begin an export; return where its operation is."""
        answer = self.ask("POST", EXPORT, json={"currencyCode": "EUR", "billingPeriod": "current"})
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def link(self, operation: str) -> str:
        """Ask the operation for a link of its first blob."""
        answer = self.ask("GET", operation)
        assert answer.status_code == 200, answer.text
        manifest = answer.json()["resourceLocation"]
        return f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"

    def page(self, token: str = "") -> httpx.Response:
        """Ask for the first page of a walk, or the one a token leads to."""
        onwards = {"headers": {"MS-ContinuationToken": token}} if token else {}
        return self.ask("GET", PAGE + ("&seekOperation=Next" if token else ""), "partner-center", **onwards)


@pytest.fixture
def place(plans: Plans, tmp_path: Path) -> Iterator[Place]:
    """A server of published data, at the real time."""
    plans.whole.prepare(tmp_path / "data")
    with served(tmp_path / "data") as made:
        yield made


@contextmanager
def served(data: Path) -> Iterator[Place]:
    """Serve a data folder by clocks of our own."""
    clocks = Clocks(business=lambda: made.business, wall=lambda: made.wall)
    with open_service(Settings(data=data), clocks, development=True) as service, httpx.Client(timeout=60) as client:
        made = Place(service, "", client, utc_now(), now())
        with running(create_app(service), [Endpoint("127.0.0.1", 0)], grace_s=1) as [url]:
            made.url = url
            yield made


def test_a_link_ends_after_12_hours_and_the_operation_gives_another(place: Place) -> None:
    """To the same bytes, for as long as the operation lives."""
    operation = place.export()
    link = place.link(operation)
    before = place.client.get(link)
    assert before.status_code == 200
    place.wall += timedelta(hours=11, minutes=59)
    assert place.client.get(link).content == before.content
    place.wall += timedelta(minutes=2)
    refused = place.client.get(link)
    assert (refused.status_code, refused.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")
    assert place.client.get(place.link(operation)).content == before.content


def test_an_operation_is_gone_after_24_hours_and_unknown_once_it_is_forgotten(place: Place) -> None:
    """Its last link lives on for its own 12 hours, also when it is swept meanwhile."""
    operation = place.export()
    place.wall += timedelta(hours=23, minutes=59)
    link = place.link(operation)
    place.wall += timedelta(minutes=2)
    assert place.ask("GET", operation).status_code == 410
    sweep(place.service.store, place.wall, trust_clock=True)
    assert place.client.get(link).status_code == 200
    place.wall += timedelta(hours=12)
    assert place.client.get(link).status_code == 403
    assert place.ask("GET", operation).status_code == 410
    place.wall += OPERATIONS_REMEMBERED
    assert sweep(place.service.store, place.wall, trust_clock=True).operations == 1
    forgotten = place.ask("GET", operation)
    assert (forgotten.status_code, forgotten.json()["error"]["code"]) == (404, "NotFound")


def test_a_walk_ends_24_hours_after_its_first_page_and_then_starts_over(place: Place) -> None:
    """The end is fixed at the first page: pages on the way do not put it off."""
    first = place.page()
    assert first.status_code == 200
    place.wall += timedelta(hours=23, minutes=58)
    second = place.page(first.json()["continuationToken"])
    assert second.status_code == 200
    place.wall += timedelta(minutes=4)
    for token in (first.json()["continuationToken"], second.json()["continuationToken"]):
        refused = place.page(token)
        assert refused.status_code == 400
        assert "first page" in refused.text
    assert place.page().json()["items"] == first.json()["items"]


def test_the_business_clock_ages_nothing_and_moves_no_walk(place: Place) -> None:
    """In a new month `current` is another, but what has begun goes on with the month it began with."""
    operation, first = place.export(), place.page()
    link = place.link(operation)
    place.business += timedelta(days=60)
    assert place.client.get(link).status_code == 200
    assert place.ask("GET", operation).json()["status"] == "succeeded"
    assert place.page(first.json()["continuationToken"]).json()["totalCount"] > 0
    assert place.page().json()["totalCount"] == 0
    assert place.ask("GET", place.export()).json()["status"] == "failed"
