"""What ends is told in time, and a renewed certificate is taken by a server that runs."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from counterfoil.server import web_server
from counterfoil.server.endings import endings
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.storage.catalog_rows import ClientCertificate, FederatedIdentity
from counterfoil.storage.engines import open_store
from tests.server.authority_house import House

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AUTHORITY = trustme.CA()


def write(folder: Path, ends: datetime | None = None, *, only: str = "") -> tuple[Path, Path]:
    """Write a new certificate and its key, or one of the two."""
    made = AUTHORITY.issue_cert("localhost", not_after=ends)
    paths = folder / "cert.pem", folder / "key.pem"
    contents = made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes()
    for path, content in zip(paths, contents, strict=True):
        if only in path.name:
            path.write_bytes(content)
    return paths


def shown(port: int) -> bytes:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_bad_one_is_not(
    real: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web_server, "CERTIFICATE_TICKS", 1)
    cert, key = write(tmp_path)
    with (
        caplog.at_level(logging.INFO, "counterfoil.server"),
        running(real.app, [Endpoint("127.0.0.1", 0, cert, key)], grace_s=1) as [url],
    ):
        port = int(url.rpartition(":")[2])
        first = shown(port)
        write(tmp_path)
        eventually(lambda: shown(port) != first)
        second = shown(port)
        write(tmp_path, only="cert")  # the key is not there yet
        eventually(lambda: "is not used" in caplog.text)
        assert shown(port) == second
        for damage in (b"", b"nonsense"):
            caplog.clear()
            cert.write_bytes(damage)
            eventually(lambda: "is not used" in caplog.text)
            assert shown(port) == second
        cert.unlink()
        time.sleep(0.3)
        assert shown(port) == second
        write(tmp_path)
        eventually(lambda: shown(port) != second)
    assert caplog.text.count("is used") >= 1


@pytest.mark.parametrize(
    ("ends", "told"),
    [(29 * DAY, "ends on 2026-12-20"), (-DAY, "ended on 2026-11-20"), (31 * DAY, ""), (None, "")],
)
def test_a_client_is_told_of_when_all_it_can_sign_in_by_ends(tmp_path: Path, ends: timedelta | None, told: str) -> None:
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, NOW)
        end = None if ends is None else NOW + ends
        begin = NOW - 400 * DAY
        alone, _ = catalog.add_client(PARTNER, "alone", begin, expires_at=end)
        catalog.add_secret(PARTNER, catalog.add_client(PARTNER, "renewed", begin, expires_at=end)[0].id, begin, None)
        trusted, _ = catalog.add_client(PARTNER, "trusted", begin, expires_at=end)
        catalog.trust_client(PARTNER, trusted.id, [FederatedIdentity("i", "s", "a")], begin)
        both, _ = catalog.add_client(PARTNER, "certified", begin, expires_at=end)
        catalog.trust_client(PARTNER, both.id, [ClientCertificate("c", "pem", NOW + 300 * DAY)], begin)
        gone, _ = catalog.add_client(PARTNER, "gone", begin, expires_at=end)
        catalog.revoke_client(PARTNER, gone.id, begin)
        found = endings(Settings(), catalog, NOW)
    assert [each.about for each in found] == (["client"] if told else [])
    if told:
        assert found[0].told == f"All that client {alone.id} (alone) of {PARTNER} can sign in by {told}."
        assert "clients rotate" in found[0].remedy


@pytest.mark.parametrize("days", [400, 31, 29, 0, -3])
def test_a_certificate_that_ends_soon_is_told_of(tmp_path: Path, days: int) -> None:
    cert, key = write(tmp_path, NOW + days * DAY)
    with open_store(tmp_path / "data").catalog as catalog:
        found = endings(Settings(tls_cert=cert, tls_key=key), catalog, NOW)
    assert [each.about for each in found] == (["certificate"] if days < 30 else [])
    if found:
        assert ("ended on" if days <= 0 else "ends on") in found[0].told


def test_of_thousands_of_clients_some_are_named_and_the_others_counted(tmp_path: Path) -> None:
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, NOW)
        for number in range(25):
            catalog.add_client(PARTNER, f"c{number}", NOW, expires_at=NOW + DAY)
        found = endings(Settings(), catalog, NOW)
    assert len(found) == 21
    assert "of 5 other clients" in found[-1].told
