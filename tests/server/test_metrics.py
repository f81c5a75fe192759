"""Figures for Prometheus: for whoever has the token, of everything that is done, and of nobody by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from counterfoil.errors import UsageError
from counterfoil.periods import Clocks
from counterfoil.server.app import create_app
from counterfoil.server.listening import Endpoint
from counterfoil.server.startup import open_service
from counterfoil.server.web_server import WebServer, running
from counterfoil.settings import Settings
from counterfoil.storage.engines import open_store
from tests.server.authority_house import OWN
from tests.storage.preparing import INVOICES, NOW, PARTNER, published

TOKEN = "a token of an operator"[2:].replace(" ", "-")
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}")
BILLING = "/v1.0/reports/partners/billing"
Figures = dict[tuple[str, str], float]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with two published invoices and a client."""
    with open_store(tmp_path) as store:
        for number in range(2):
            published(store, number + 1, NOW, INVOICES[number])
        store.catalog.add_client(PARTNER, "billing", NOW)
    settings = Settings(data=tmp_path, metrics_token=TOKEN)
    with (
        open_service(settings, Clocks(), development=False) as service,
        running(create_app(service), [Endpoint("127.0.0.1", 0)], grace_s=1) as [found],
    ):
        yield found


def asked(url: str, token: str = TOKEN) -> httpx.Response:
    return httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})


def figures(url: str) -> Figures:
    """Return the figures by name and labels."""
    answer = asked(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert not GUID.search(answer.text)
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_is_asked_answered_and_refused_is_counted_by_route_and_status(url: str) -> None:
    before = figures(url)
    token_url = f"{url}/{PARTNER}/oauth2/v2.0/token"
    with httpx.Client() as http:
        for _ in range(3):
            http.post(token_url, data={"client_id": PARTNER, "client_secret": "x", "scope": f"{OWN}/.default"})
        http.get(f"{url}{BILLING}/operations/{PARTNER}")
        http.get(f"{url}/v1/invoices/unbilled/lineitems")
        http.get(f"{url}/blobs/{PARTNER}/{'a' * 32}/full/x.json.gz?sig=1")
        for path in ("/healthz", f"/{PARTNER}", "/made-up/by/a-caller", "/docs"):
            http.get(f"{url}{path}")
    found = figures(url)
    gained = {key: value - before.get(key, 0) for key, value in found.items()}
    counted = {labels: value for (name, labels), value in gained.items() if name == "counterfoil_requests_total"}
    expected = {
        "oauth token,400": 3.0,
        "graph operations,401": 1.0,
        "partner-center lineitems,401": 1.0,
        "/healthz,200": 1.0,
        "other,404": 2.0,
        "/docs,200": 1.0,
    }
    assert {labels: counted.get(labels) for labels in expected} == expected
    assert gained["counterfoil_request_seconds_count", "/healthz"] == 1
    assert gained["counterfoil_sent_bytes_total", "/docs"] > 1_000
    assert found["counterfoil_actions_total", "refused"] >= 2
    assert found["counterfoil_connections", ""] == 0  # nobody told it of connections
    assert found["counterfoil_datasets_in_force", ""] == 2
    assert found["counterfoil_publications_total", ""] == 2
    assert found["counterfoil_last_publication_timestamp_seconds", ""] == NOW.timestamp()


def test_whoever_has_not_the_token_sees_nothing(url: str) -> None:
    for wrong in ("", "x", TOKEN[:-1], f"{TOKEN}x", "ü"):
        answer = httpx.get(f"{url}/metrics", headers={b"Authorization": f"Bearer {wrong}".encode()} if wrong else {})
        assert answer.status_code == 401
        assert "counterfoil_" not in answer.text
    assert httpx.post(f"{url}/metrics").status_code == 405


def test_without_a_token_there_are_no_metrics(tmp_path: Path) -> None:
    with (
        open_service(Settings(data=tmp_path), Clocks(), development=True) as service,
        running(create_app(service), [Endpoint("127.0.0.1", 0)], grace_s=1) as [found],
    ):
        assert asked(found, "").status_code == asked(found).status_code == 404


def test_open_connections_are_counted(tmp_path: Path) -> None:
    with open_service(Settings(data=tmp_path, metrics_token=TOKEN), Clocks(), development=True) as service:
        server = WebServer(create_app(service), [Endpoint("127.0.0.1", 0)], lambda _: None)
        assert service.metrics is not None
        service.metrics.state.connections = server.connections
        assert b"counterfoil_connections 0.0" in service.metrics.text()


@pytest.mark.parametrize("token", ["short", "has a space in it, yes", "zwölf Zeichen mehr", "x" * 20 + "\n" + "y"])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(UsageError, match="at least 16 ASCII characters") as refused:
        Settings.load(environ={"COUNTERFOIL_METRICS_TOKEN": token}, directory=tmp_path)
    assert token not in str(refused.value)
