"""`Server.fail(...)`: what people who test their own clients against a hostile server rely on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from counterfoil.errors import UsageError
from counterfoil.testing import PARTNER, Server

USAGE = {"PartnerId": PARTNER, "UsageDate": "2026-11-01T00:00:00Z", "BillingPreTaxTotal": 1, "BillingCurrency": "EUR"}
QUERY = "provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current"
V1 = f"/v1/invoices/unbilled/lineitems?{QUERY}"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server(now="2026-11-21T12:00Z", https=True) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.reset()
    running.publish(USAGE, period="2026-11")
    return running


def page(server: Server) -> httpx.Response:
    return httpx.get(server.url + V1, headers=server.headers("partner-center"))


def test_faults_strike_from_now_on_until_healed(server: Server) -> None:
    assert page(server).status_code == 200
    server.fail("throttled", on="page", times=None, wait=7)
    assert [page(server).headers["retry-after"] for _ in range(3)] == ["7"] * 3
    assert server.struck() == {"throttled": 3}
    server.heal()
    assert page(server).json()["totalCount"] == 1, "what was published stays"
    assert server.struck() == {}


def test_reset_clears_faults(server: Server) -> None:
    server.fail("throttled")
    server.reset()
    assert page(server).json()["totalCount"] == 0


def test_faults_outlast_a_change_of_delay_and_new_data(server: Server) -> None:
    server.fail("quoted-numbers")
    server.delay_operations(5)
    server.publish({**USAGE, "BillingPreTaxTotal": 2}, period="2026-11")
    assert page(server).json()["items"][0]["billingPreTaxTotal"] == "2"


def test_faults_reach_https(server: Server) -> None:
    server.fail("dropped", on="page", times=1)
    server.fail("cut", on="page", skip=1, times=1)  # both change what comes, and would strike together
    trusted = ssl.create_default_context(cafile=str(server.ca))
    with httpx.Client(verify=trusted) as client:
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                client.get(server.https_url + V1, headers=server.headers("partner-center"))
        assert client.get(server.https_url + V1, headers=server.headers("partner-center")).status_code == 200


def test_a_misspelt_fault_is_refused_where_it_is_asked_for(server: Server) -> None:
    with pytest.raises(UsageError, match=r"'throtled' is not a fault\. Did you mean throttled"):
        server.fail("throtled")
    with pytest.raises(UsageError, match="Did you mean times"):
        server.fail("throttled", tmies=3)
    assert page(server).status_code == 200


def test_a_server_with_a_stalled_answer_stops_all_the_same() -> None:
    with Server() as server:
        server.fail("late", seconds=3600, on="page")
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(server.url + V1, headers=server.headers("partner-center"), timeout=0.2)
