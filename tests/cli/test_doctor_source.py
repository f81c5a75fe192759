"""`counterfoil doctor PROFILE`: what keeps a pull from working is found with one harmless call, and named."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import ClientCredentials
from counterfoil.client.diagnosis.findings import Finding, Health
from counterfoil.client.diagnosis.source_checks import diagnose_source
from counterfoil.errors import UsageError
from counterfoil.periods import utc_now
from counterfoil.testing import PARTNER, Server
from tests.cli.pulling import House, run


def findings() -> tuple[int, dict[str, dict[str, Any]]]:
    done = run("doctor", "contoso", "--output", "json")
    return done.exit_code, {row["about"]: row for row in json.loads(done.stdout)}


def test_a_profile_that_works_is_good_in_everything_and_nothing_was_made_at_the_source(house: House) -> None:
    code, found = findings()
    assert (code, {row["health"] for row in found.values()}) == (0, {"good"}), found
    assert list(found) == [
        "token",
        "token: lifetime",
        "token: audience",
        "token: permission and consent",
        "token: tenant",
        "source",
        "clock",
    ]
    assert len(house.server.service.catalog.operations(PARTNER, 1000)) == 0


@pytest.mark.parametrize(
    ("fault", "api", "health", "told", "remedy"),
    [
        ("graph-token-expired", "graph", "bad", "401", "audience and lifetime"),
        ("graph-denied", "graph", "bad", "403", "PartnerBilling.Read.All with admin consent"),
        ("graph-unknown-segment", "graph", "bad", "404", "not Microsoft Graph"),
        ("throttled", "graph", "warning", "429", "Try again later"),
        ("gateway-html", "graph", "bad", "a page for people", "network's people"),
        ("login-page", "graph", "bad", "200 and a page for people", "network's people"),
        ("redirected", "graph", "bad", "redirects to", "sign-in page"),
        ("dropped", "graph", "bad", "gave no answer", "HTTPS_PROXY"),
        ("v1-no-mfa", "v1", "bad", "900421", "multi-factor authentication"),
        ("v1-denied", "v1", "bad", "2032", "admin consent"),
    ],
)
def test_each_refusal_is_told_with_what_to_do(
    house: House, monkeypatch: pytest.MonkeyPatch, fault: str, api: str, health: str, told: str, remedy: str
) -> None:
    monkeypatch.setenv("CONTOSO_TOKEN", house.server.token("graph" if api == "graph" else "partner-center"))
    house.profile(api=api)
    house.server.fail(fault)
    code, found = findings()
    source = found["source"]
    assert (code, source["health"]) == (1 if health == "bad" else 0, health), source
    assert (told in source["told"], remedy in source["remedy"]) == (True, True), source
    assert house.server.struck() == {fault: 1}


def test_what_is_wrong_with_the_token_is_told_before_the_source_refuses_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTOSO_TOKEN", house.server.token(issued_at=utc_now() - timedelta(hours=2)))
    code, found = findings()
    assert (code, found["token: lifetime"]["health"], found["source"]["health"]) == (1, "bad", "bad")


def test_a_sign_in_that_fails_is_explained_by_its_code(house: House) -> None:
    house.profile(f'tenant = "{PARTNER}"', 'client_id = "c"', 'client_secret = "s"')
    settings = Path("counterfoil.toml")
    settings.write_text(settings.read_text().replace('token_env = "CONTOSO_TOKEN"\n', ""))
    house.server.fail("token-wrong-secret")
    code, found = findings()
    assert (code, list(found)) == (1, ["signing in"])
    assert ("AADSTS" in found["signing in"]["told"], "secret is wrong" in found["signing in"]["remedy"]) == (True, True)
    house.server.heal()
    assert findings()[0] == 0


def look(server: Server, **more: Any) -> dict[str, Finding]:
    token = server.token()
    given = {"now": utc_now(), **more}
    return {each.about: each for each in diagnose_source(server.url, "graph", lambda: token, **given)}


@pytest.mark.parametrize(("hours", "way"), [(1, "ahead"), (-1, "behind")])
def test_a_clock_that_goes_wrong_is_found_by_the_sources(house: House, hours: int, way: str) -> None:
    clock = look(house.server, now=datetime.now(UTC) + timedelta(hours=hours))["clock"]
    assert (clock.health, f"seconds {way} of the source's" in clock.told) == (Health.BAD, True), clock


def test_a_proxy_in_between_is_named_without_its_password() -> None:
    def no_token() -> str:
        raise UsageError("There is none, so that nothing is asked.")

    def about(proxies: dict[str, str], url: str = "https://source.example") -> dict[str, str]:
        return {each.about: each.told for each in diagnose_source(url, "graph", no_token, utc_now(), proxies=proxies)}

    proxies = {"https": "http://name:hush@proxy.example:3128", "no": "example.com"}
    assert about(proxies)["proxy"] == "Calls to https://source.example go through the proxy proxy.example:3128."
    assert "proxy" not in about({**proxies, "no": "example.com, source.example"})
    assert "proxy" not in about({"http": "http://proxy.example:3128"})
    assert "proxy" not in about(proxies, "https://127.0.0.1:8443")
    assert "its address cannot be read" in about({"https": "http://proxy.example:port"})["proxy"]


def test_a_certificate_that_is_not_trusted_here_is_told_apart_from_no_line() -> None:
    with Server(https=True) as server:
        token = server.token()
        found = {e.about: e for e in diagnose_source(server.https_url, "graph", lambda: token, utc_now())}
    assert (found["source"].health, "SSL_CERT_FILE" in found["source"].remedy) == (Health.BAD, True)


def test_a_token_that_cannot_be_sent_is_a_finding(house: House) -> None:
    done = run("doctor", "contoso", "--token", "\u00e9", "--output", "json")
    [row] = json.loads(done.stdout)
    assert (done.exit_code, row["about"], row["health"]) == (1, "signing in", "bad")
    assert "characters that none has" in row["told"]


class Odd(BaseHTTPRequestHandler):
    """A source and its sign-in, with a clock and a lifetime that are beyond all numbers."""

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"access_token":"x","expires_in":%s}' % (b"9" * 400))

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Mon, 1 Jan 2024 00:00:00 +99999999999999999999"

    def log_message(self, *_: Any) -> None: ...


def test_numbers_beyond_all_bounds_are_findings_and_no_errors() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            signing_in = ClientCredentials(url, tenant="t", client_id="c", client_secret="s")
            found = diagnose_source(url, "graph", signing_in, utc_now())
            assert (found[-1].about, "no token that makes sense" in found[-1].told) == ("signing in", True)
            found = diagnose_source(url, "graph", lambda: "opaque", utc_now())
            assert (found[-1].about, found[-1].health) == ("clock", Health.WARNING)
        finally:
            server.shutdown()
            thread.join()
