"""msal and azure-identity get tokens from the built-in authority over https, as they do from Microsoft's."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msal  # type: ignore[import-untyped]
import pytest
import uvicorn
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, WorkloadIdentityCredential
from cryptography.hazmat.primitives import hashes

from counterfoil.periods import Clocks
from counterfoil.server.identity.tls import DevelopmentCertificate, development_certificate
from tests.server.asserting import Certified, asserted
from tests.server.authority_house import GRAPH, OWN, PARTNER, PARTNER_CENTER, STRANGER, House, house


class Announcing(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@dataclass
class Served:
    """The authority on a real socket over https, with a certificate of the local authority."""

    house: House
    url: str
    certificate: DevelopmentCertificate


@contextmanager
def serving_over_https(data: Path, *, development: bool) -> Iterator[Served]:
    certificate = development_certificate(data, datetime.now(UTC))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        for made in house(data, development=development, clocks=Clocks(), public_url="" if development else url):
            config = uvicorn.Config(
                made.app,
                log_level="warning",
                ssl_certfile=certificate.cert,
                ssl_keyfile=certificate.key,
                lifespan="off",
                # msal keeps its connections, and asyncio would wait 30 s for each to say goodbye.
                headers=[("Connection", "close")],
            )
            server = Announcing(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            assert server.ready.wait(30)
            yield Served(made, url, certificate)
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_over_https(tmp_path_factory.mktemp("served"), development=True) as served:
        yield served


@pytest.fixture
def real_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The same outside development: only registered clients."""
    with serving_over_https(tmp_path / "real", development=False) as served:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.certificate.ca))
        yield served


@pytest.fixture
def trusting(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """With REQUESTS_CA_BUNDLE in the environment msal's own `verify` is ignored, so that is what users set."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.certificate.ca))
    return served


def test_msal_gets_a_token_by_oidc_authority_without_any_flag(trusting: Served) -> None:
    app = msal.ConfidentialClientApplication("tool", "secret", oidc_authority=f"{trusting.url}/{PARTNER}/v2.0")
    answer = app.acquire_token_for_client([f"{GRAPH}/.default"])
    assert trusting.house.partner_of(answer["access_token"]) == PARTNER


def test_msal_gets_a_token_by_authority_with_instance_discovery_off(trusting: Served) -> None:
    app = msal.ConfidentialClientApplication(
        "tool", "secret", authority=f"{trusting.url}/{PARTNER}", instance_discovery=False
    )
    answer = app.acquire_token_for_client([f"{PARTNER_CENTER}/.default"])
    assert trusting.house.partner_of(answer["access_token"], "partner-center") == PARTNER


def test_msal_sees_a_refusal_as_such(trusting: Served) -> None:
    app = msal.ConfidentialClientApplication("tool", "secret", oidc_authority=f"{trusting.url}/{STRANGER}/v2.0")
    answer = app.acquire_token_for_client([f"{GRAPH}/.default"])
    assert answer["error"] == "invalid_request"
    assert "AADSTS90002" in answer["error_description"]


def test_azure_identity_gets_a_token(trusting: Served) -> None:
    with ClientSecretCredential(
        PARTNER, "tool", "secret", authority=trusting.url, disable_instance_discovery=True
    ) as credential:
        token = credential.get_token(f"{GRAPH}/.default").token
    assert trusting.house.partner_of(token) == PARTNER


def test_azure_identity_sees_a_refusal_as_such(trusting: Served) -> None:
    with (
        ClientSecretCredential(
            STRANGER, "tool", "secret", authority=trusting.url, disable_instance_discovery=True
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS90002"),
    ):
        credential.get_token(f"{GRAPH}/.default")


def test_certificates_sign_in_outside_development_too(real_over_https: Served, tmp_path: Path) -> None:
    """azure-identity sends RS256 and `x5t`, msal PS256 and `x5t#S256`."""
    house, url = real_over_https.house, real_over_https.url
    certified = Certified.made("robot", begins=datetime.now(UTC) - timedelta(days=1))
    file = tmp_path / "robot.pem"
    file.write_bytes(certified.with_key)
    client, _ = house.catalog.add_client(PARTNER, "robot", datetime.now(UTC), with_secret=False)
    house.catalog.trust_client(PARTNER, client.id, [certified.stored], datetime.now(UTC))
    with CertificateCredential(
        PARTNER, client.id, str(file), authority=url, disable_instance_discovery=True
    ) as credential:
        assert house.partner_of(credential.get_token(f"{OWN}/.default").token) == PARTNER
        with pytest.raises(ClientAuthenticationError, match="AADSTS70011"):
            credential.get_token("api://another/.default")
    pem = certified.with_key.decode()
    for named in ({"thumbprint": certified.certificate.fingerprint(hashes.SHA1()).hex()}, {"public_certificate": pem}):
        app = msal.ConfidentialClientApplication(
            client.id,
            {"private_key": pem, **named},
            authority=f"{url}/{PARTNER}",
            instance_discovery=False,
        )
        for _ in range(2):
            app.remove_tokens_for_client()
            answer = app.acquire_token_for_client([f"{OWN}/.default"])
            assert house.partner_of(answer["access_token"]) == PARTNER
    house.catalog.revoke_client(PARTNER, client.id, datetime.now(UTC))
    with (
        CertificateCredential(
            PARTNER, client.id, str(file), authority=url, disable_instance_discovery=True
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token(f"{OWN}/.default")


def test_a_workload_identity_signs_in_by_its_file(trusting: Served, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(asserted(Certified.made("robot"), "tool"))
    with WorkloadIdentityCredential(
        tenant_id=PARTNER,
        client_id="tool",
        token_file_path=str(file),
        authority=trusting.url,
        disable_instance_discovery=True,
    ) as credential:
        assert trusting.house.partner_of(credential.get_token(f"{GRAPH}/.default").token) == PARTNER


def test_a_plain_form_post_over_https_gets_a_token(served: Served) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b", "resource": PARTNER_CENTER}
    trust = ssl.create_default_context(cafile=served.certificate.ca)
    body = httpx.post(f"{served.url}/{PARTNER}/oauth2/token", data=form, verify=trust).json()
    assert served.house.partner_of(body["access_token"], "partner-center") == PARTNER
