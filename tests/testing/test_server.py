"""`counterfoil.testing.Server`: what people who test their own billing software rely on."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.errors import InputError, UsageError
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.server.web_server import GRACE_S
from counterfoil.testing import PARTNER, Server

OTHER = "11111111-2222-3333-4444-555555555555"
OPERATIONS = "/v1.0/reports/partners/billing/operations"
V1 = "/v1/invoices/unbilled/lineitems?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period="
CLIENT = httpx.Client(timeout=60)
USAGE = {
    "PartnerId": PARTNER,
    "CustomerId": "c1",
    "UsageDate": "2026-11-01T00:00:00Z",
    "BillingPreTaxTotal": Decimal("0.1999968000511991808131"),
    "BillingCurrency": "EUR",
}


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    with CLIENT:
        yield


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server(now="2026-11-21T12:00Z", https=True) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.reset()
    return running


def page(server: Server, period: str = "current", partner: str = "") -> Any:
    answer = CLIENT.get(server.url + V1 + period, headers=server.headers("partner-center", partner=partner))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=str)["items"]


def export(server: Server, invoice: str = "G1") -> Any:
    path = "/v1.0/reports/partners/billing/reconciliation/billed/export"
    answer = CLIENT.post(server.url + path, json={"invoiceId": invoice}, headers=server.headers())
    assert answer.status_code == 202, answer.text
    return CLIENT.get(answer.headers["location"], headers=server.headers()).json()


def test_one_mapping_is_one_line_item_and_decimals_keep_their_digits(server: Server) -> None:
    line = USAGE | {"Quantity": Decimal("24.0"), "UnitPrice": 0.1, "ChargeStartDate": date(2026, 11, 1)}
    [receipt] = server.publish(line, period="2026-11")
    assert receipt.contents.plain_totals() == {"BillingPreTaxTotal": "0.1999968000511991808131"}
    [item] = page(server)
    shown = [item[name] for name in ("billingPreTaxTotal", "quantity", "unitPrice", "chargeStartDate")]
    assert shown == ["0.1999968000511991808131", "24.0", "0.1", "2026-11-01"]


def test_files_their_contents_and_line_items_are_published_together(server: Server, tmp_path: Path) -> None:
    lines = [USAGE | {"CustomerId": f"c{number}"} for number in range(4)]
    texts = [json.dumps(line, default=str).encode() + b"\n" for line in lines]
    path = tmp_path / "usage.jsonl"
    path.write_bytes(texts[0])
    zipped = tmp_path / "usage.jsonl.gz"
    zipped.write_bytes(gzip.compress(texts[1]))
    [receipt] = server.publish(path, str(zipped), texts[2], [lines[3]], gzip.compress(texts[2]), period="2026-11")
    assert receipt.contents.line_items == 5
    assert sorted(item["customerId"] for item in page(server)) == ["c0", "c1", "c2", "c2", "c3"]


def test_what_the_generator_yields_can_be_published_as_it_is(server: Server) -> None:
    scope = Scope.billed("G016907411")
    server.publish(generate(Kind.RECONCILIATION, 600, partner=server.partner, scope=scope))
    assert export(server, "G016907411")["resourceLocation"]["@counterfoil.lineItemCount"] == 600


def test_a_line_item_that_cannot_be_right_is_told_and_nothing_is_published(server: Server) -> None:
    for wrong, said in (
        ({"BillingPreTaxTotal": float("nan")}, "NaN"),
        ({"BillingPreTaxTotal": Decimal("Infinity")}, "BillingPreTaxTotal"),
        ({"UsageDate": datetime(2026, 11, 1, tzinfo=UTC), "BillingPreTaxTotal": "1_000"}, "BillingPreTaxTotal"),
    ):
        with pytest.raises(InputError, match=rf"argument-2, line 2.*{said}"):
            server.publish(USAGE, [USAGE, USAGE | wrong], period="2026-11")
    with pytest.raises(TypeError, match="set is nothing that a line item can hold"):
        server.publish(USAGE | {"Tags": {1}}, period="2026-11")
    assert page(server) == []


def test_tokens_are_for_one_partner_and_one_api(server: Server) -> None:
    graph, center = server.headers(), server.headers("partner-center", partner=OTHER)
    server.publish(USAGE | {"PartnerId": OTHER}, period="2026-11")
    assert CLIENT.get(server.url + OPERATIONS, headers=graph).status_code == 200
    assert CLIENT.get(server.url + OPERATIONS, headers=center).status_code == 401
    assert len(page(server, partner=OTHER)) == 1
    assert page(server) == []
    with pytest.raises(UsageError):
        server.token(partner="contoso")


def test_a_token_that_was_issued_long_ago_has_expired(server: Server) -> None:
    token = server.token(issued_at=datetime.now(UTC) - timedelta(hours=2))
    answer = CLIENT.get(server.url + OPERATIONS, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert "expired" in answer.json()["error"]["message"]


def test_travelling_changes_which_month_is_current(server: Server) -> None:
    server.publish(USAGE, period="2026-11")
    assert [len(page(server, "current")), len(page(server, "previous"))] == [1, 0]
    for moment in ("2026-12-01T00:00:00Z", "2026-12-01", datetime(2026, 12, 31, 23, tzinfo=UTC)):
        server.travel(moment)
        assert [len(page(server, "current")), len(page(server, "previous"))] == [0, 1]
    server.travel("2026-11-30T23:59:59")  # without a zone: UTC
    server.travel("2026-12-01T00:30:00+02:00")
    assert [len(page(server, "current")), len(page(server, "previous"))] == [1, 0]


def test_operations_can_be_delayed_from_now_on(server: Server) -> None:
    server.publish({**RECONCILIATION}, invoice="G1")
    assert export(server)["status"] == "succeeded"
    server.delay_operations(3_600)
    assert export(server)["status"] == "running"
    server.delay_operations(0)
    assert export(server)["status"] == "succeeded"
    server.delay_operations(3_600)
    server.reset()
    assert export(server)["status"] == "failed"


RECONCILIATION = {
    "PartnerId": PARTNER,
    "ChargeStartDate": "2026-11-01T00:00:00Z",
    "Subtotal": "10.10",
    "TaxTotal": 0,
    "Total": "10.10",
    "Currency": "EUR",
}


def test_reset_forgets_all_but_the_tokens(server: Server) -> None:
    own, others, url = server.headers(), server.headers("partner-center", partner=OTHER), server.url
    server.publish(USAGE, period="2026-11")
    server.publish(RECONCILIATION, invoice="G1")
    operation = export(server)
    server.travel("2027-01-01")
    folder = server.data
    server.reset()
    assert (server.url, folder.exists()) == (url, False)
    assert page(server) == []
    assert CLIENT.get(f"{url}{OPERATIONS}/{operation['id']}", headers=own).status_code == 404
    assert CLIENT.get(f"{url}{OPERATIONS}/$count", headers=own).text == "0"
    manifest = operation["resourceLocation"]
    blob = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
    assert CLIENT.get(blob).status_code == 404  # the link's signature still is good; the blob is gone
    assert CLIENT.get(url + V1 + "current", headers=others).status_code == 200
    server.publish(USAGE, period="2026-11")
    assert len(page(server)) == 1  # back in November


def test_https_is_trusted_by_the_file_ca_and_nothing_else(server: Server) -> None:
    assert server.ca is not None
    assert server.https_url.startswith("https://")
    for _ in range(2):
        trusted = ssl.create_default_context(cafile=str(server.ca))
        assert httpx.get(server.https_url + "/healthz", verify=trusted, timeout=60).json() == {"status": "ok"}
        server.reset()
    with pytest.raises(httpx.ConnectError):
        CLIENT.get(server.https_url + "/healthz")


def test_a_caller_that_keeps_its_connections_holds_nothing_up() -> None:
    """Pools of connections outlive servers; over TLS a polite end would wait for their answer."""
    with ExitStack() as callers:
        with Server(https=True) as server:
            trusted = ssl.create_default_context(cafile=str(server.ca))
            for url, context in ((server.url, None), (server.https_url, trusted)):
                address = urlsplit(url)
                assert address.port is not None
                caller = callers.enter_context(socket.create_connection(("127.0.0.1", address.port), timeout=60))
                if context is not None:
                    caller = callers.enter_context(context.wrap_socket(caller, server_hostname="127.0.0.1"))
                caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert caller.recv(1_000).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
        assert time.monotonic() - began < GRACE_S - 1


def test_two_servers_have_nothing_in_common(server: Server) -> None:
    with Server(partner=OTHER, operation_delay_s=3_600) as second:
        assert second.https_url == ""
        assert second.ca is None
        assert export(second)["status"] == "running"
        foreign = CLIENT.get(server.url + OPERATIONS, headers=second.headers())
        assert (foreign.status_code, second.url == server.url) == (401, False)
        folder = second.data
    assert not folder.exists()
    with pytest.raises(httpx.ConnectError):
        CLIENT.get(second.url)


def test_a_folder_of_ones_own_is_served_and_kept(tmp_path: Path) -> None:
    with Server(data=tmp_path / "data", now="2026-11-21") as server:
        server.publish(USAGE, period="2026-11")
        with pytest.raises(UsageError, match="not reset"):
            server.reset()
    with Server(data=tmp_path / "data", now="2026-11-21") as again:
        assert len(page(again)) == 1


def test_outside_its_context_it_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match="not running"):
        Server().publish(USAGE)
    server = Server()
    with server:
        pass
    with pytest.raises(UsageError, match="not running"):
        server.token()


def test_nothing_is_compiled_before_it_is_ready() -> None:
    """Numba alone takes longer to load than all the rest, and only publishing needs it."""
    program = (
        "import sys; from counterfoil.testing import Server\n"
        "with Server() as server: print(server.url, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    url, loaded = done.stdout.split()
    assert url.startswith("http://127.0.0.1:")
    assert loaded == "False"
