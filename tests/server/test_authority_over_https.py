"""msal and azure-identity get tokens from the built-in authority over https, as they do from Microsoft's."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import msal  # type: ignore[import-untyped]
import pytest
import uvicorn
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from counterfoil.periods import Clocks
from counterfoil.server.identity.tls import DevelopmentCertificate, development_certificate
from tests.server.authority_house import GRAPH, PARTNER, PARTNER_CENTER, STRANGER, House, house


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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served")
    certificate = development_certificate(data, datetime.now(UTC))
    for made in house(data, development=True, clocks=Clocks()):
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
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"https://127.0.0.1:{listening.getsockname()[1]}"
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            assert server.ready.wait(30)
            yield Served(made, url, certificate)
            server.should_exit = True
            thread.join()


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


def test_a_plain_form_post_over_https_gets_a_token(served: Served) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b", "resource": PARTNER_CENTER}
    trust = ssl.create_default_context(cafile=served.certificate.ca)
    body = httpx.post(f"{served.url}/{PARTNER}/oauth2/token", data=form, verify=trust).json()
    assert served.house.partner_of(body["access_token"], "partner-center") == PARTNER
