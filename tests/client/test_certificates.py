"""A certificate that will not do is named for what it is, with what to do; and it is not asked for again and again."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from counterfoil.client import AsyncClient, Client, ask_billed
from counterfoil.client.diagnosis.findings import Health
from counterfoil.client.diagnosis.source_checks import diagnose_source
from counterfoil.client.network.http_client import system_trust
from counterfoil.client.protocol.certificates import certificate_flaw, https_flaw, in_plain_words
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import NoAnswerError, RefusedError, UsageError
from counterfoil.model import Kind
from counterfoil.settings import Profile
from tests.client.hostile_source import HostileSource

NOW = datetime.now(UTC)
ASK = ask_billed(Kind.USAGE, "G016907411")
YEAR = timedelta(days=365)
BAD = {
    "expired": ("its certificate has expired", "clock is ahead"),
    "early": ("its certificate is not valid yet", "clock is behind"),
    "other name": ("its certificate is for other names, and not for 127.0.0.1", "a name from the certificate"),
    "stranger": ("its certificate is not trusted here", "SSL_CERT_FILE"),
}


class Silent(BaseHTTPRequestHandler):
    """Says that there is nothing here, and nothing else."""

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(certificate: trustme.LeafCert) -> Iterator[str]:
    """Serve https on the loopback with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that the system trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, trusted: trustme.CA) -> tuple[str, trustme.LeafCert]:
    issue: dict[str, Callable[[], trustme.LeafCert]] = {
        "expired": lambda: trusted.issue_cert("127.0.0.1", not_before=NOW - 2 * YEAR, not_after=NOW - YEAR),
        "early": lambda: trusted.issue_cert("127.0.0.1", not_before=NOW + YEAR, not_after=NOW + 2 * YEAR),
        "other name": lambda: trusted.issue_cert("elsewhere.example"),
        "stranger": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }
    return request.param, issue[request.param]()


def test_a_pull_names_it_and_does_not_try_again(bad: tuple[str, trustme.LeafCert], tmp_path: Path) -> None:
    told, remedy = BAD[bad[0]]
    waits: list[float] = []
    with (
        serving(bad[1]) as url,
        Client(url, "token", patience=Patience(sleep=waits.append)) as client,
        pytest.raises(NoAnswerError, match=told) as caught,
    ):
        client.pull(ask_billed(Kind.USAGE, "G1"), tmp_path / "to")
    assert remedy in caught.value.remedy
    assert waits == []
    assert not (tmp_path / "to").exists()


def test_the_doctor_names_it(bad: tuple[str, trustme.LeafCert]) -> None:
    with serving(bad[1]) as url:
        found = {each.about: each for each in diagnose_source(url, "graph", lambda: "token", NOW)}
    told, remedy = BAD[bad[0]]
    source = found["source"]
    assert (source.health, told in source.told, remedy in source.remedy) == (Health.BAD, True, True)


def test_whom_the_system_trusts_is_trusted(trusted: trustme.CA) -> None:
    with serving(trusted.issue_cert("127.0.0.1")) as url:
        found = {each.about: each for each in diagnose_source(url, "graph", lambda: "token", NOW)}
    assert "404" in found["source"].told


def test_a_system_that_names_nobody_is_helped_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    assert system_trust().cert_store_stats()["x509_ca"] > 0


@pytest.mark.parametrize(
    "text",
    [
        "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)",
        "[SSL: HTTP_REQUEST] http request (_ssl.c:997)",
        "[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1010)",
        "[SSL: PACKET_LENGTH_TOO_LONG] packet length too long (_ssl.c:1006)",
    ],
)
def test_https_to_what_does_not_speak_it_is_told_and_is_no_certificate(text: str) -> None:
    assert certificate_flaw(text) is None
    flaw = https_flaw(text)
    assert flaw is not None
    assert "Write the address with http://" in flaw[1]
    assert https_flaw("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed") is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("[Errno 111] Connection refused", "Connection refused"),
        ("[SSL] unknown error (_ssl.c:1006)", "unknown error"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert (_ssl.c:1000)", "tlsv1 alert"),
        ("timed out", "timed out"),
    ],
)
def test_errors_are_shown_without_the_codes_of_libraries(text: str, plain: str) -> None:
    assert in_plain_words(text) == plain


def test_https_to_an_http_port_says_what_to_write_and_is_not_tried_again(source: HostileSource, tmp_path: Path) -> None:
    with (
        Client(source.url.replace("http://", "https://"), "token") as client,
        pytest.raises(NoAnswerError, match=r"does not speak https there.*Write the address with http://"),
    ):
        client.pull(ASK, tmp_path / "to")


def test_a_profiles_sign_in_trusts_whom_its_client_trusts() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def export(profile: Profile) -> None:
        async with AsyncClient.from_profile(profile, verify=context, patience=Patience(attempts_max=1)) as client:
            await client.export(ASK)

    with serving(authority.issue_cert("127.0.0.1")) as url:
        profile = Profile("contoso", url=url, tenant="t", client_id="c", client_secret="s")
        with (
            Client.from_profile(profile, verify=context, patience=Patience(attempts_max=1)) as client,
            pytest.raises(RefusedError, match="token was refused with 404"),
        ):
            client.export(ASK)
        with pytest.raises(RefusedError, match="token was refused with 404"):
            asyncio.run(export(profile))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="SSL_CERT_FILE="):
        Client("https://source.example", "token")
