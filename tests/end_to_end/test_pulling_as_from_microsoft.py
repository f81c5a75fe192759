"""The code that pulls from Microsoft, with nothing swapped but the base URLs and the authority, over https.

azure-identity and msal get the tokens, for Microsoft's own scopes, from the local authority.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential

from counterfoil import Api, AsyncClient, Client, ClientCredentials, Format, Proof, Receipt, ask_billed, ask_unbilled
from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod
from counterfoil.testing import PARTNER, Server

NOW = datetime(2026, 11, 21, tzinfo=UTC)
INVOICE = "G016907411"


@dataclass(frozen=True)
class Addresses:
    """All that differs between Microsoft and here."""

    graph: str = "https://graph.microsoft.com"
    partner_center: str = "https://api.partnercenter.microsoft.com"
    authority: str = "https://login.microsoftonline.com"


GRAPH_SCOPE = f"{Addresses().graph}/.default"
PARTNER_CENTER_SCOPE = f"{Addresses().partner_center}/.default"
Pull = Callable[[Addresses, Path, ssl.SSLContext], Receipt]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    unbilled = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with Server(now=NOW, https=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(running.ca))  # for azure-identity and msal
        running.publish(generate(Kind.USAGE, 300, special=True, partner=PARTNER, scope=unbilled), period="2026-11")
        running.publish(generate(Kind.RECONCILIATION, 200, special=True, partner=PARTNER, scope=Scope.billed(INVOICE)))
        yield running


def credential(at: Addresses, kind: Any = ClientSecretCredential) -> Any:
    local = at.authority != Addresses().authority
    trusted = os.environ["REQUESTS_CA_BUNDLE"]  # which aiohttp does not read
    more = {"disable_instance_discovery": local, "connection_verify": trusted}
    return kind(PARTNER, "some-tool", "secret", authority=at.authority, **more)


def graph_export(at: Addresses, to: Path, trusted: ssl.SSLContext) -> Receipt:
    with Client(at.graph, credential(at), scope=GRAPH_SCOPE, verify=trusted) as client:
        return client.pull(ask_billed(Kind.RECONCILIATION, INVOICE), to, format=Format.PARQUET)


def partner_center_walk(at: Addresses, to: Path, trusted: ssl.SSLContext) -> Receipt:
    more: dict[str, Any] = {"scope": PARTNER_CENTER_SCOPE, "page_size_items": 100, "verify": trusted}
    with Client(at.partner_center, credential(at), **more) as client:
        return client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to, api=Api.V1)


def asynchronous_export(at: Addresses, to: Path, trusted: ssl.SSLContext) -> Receipt:
    async def pull() -> Receipt:
        async with (
            credential(at, AsyncClientSecretCredential) as signs_in,
            AsyncClient(at.graph, signs_in, scope=GRAPH_SCOPE, verify=trusted) as client,
        ):
            return await client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to)

    return asyncio.run(pull())


def export_with_msal(at: Addresses, to: Path, trusted: ssl.SSLContext) -> Receipt:
    application = msal.ConfidentialClientApplication(
        "some-tool", "secret", oidc_authority=f"{at.authority}/{PARTNER}/v2.0"
    )

    def token() -> str:
        return str(application.acquire_token_for_client([GRAPH_SCOPE])["access_token"])

    with Client(at.graph, token, verify=trusted) as client:
        return client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to)


def export_with_a_secret(at: Addresses, to: Path, trusted: ssl.SSLContext) -> Receipt:
    signs_in = ClientCredentials(
        at.graph,
        tenant=PARTNER,
        client_id="some-tool",
        client_secret="secret",
        authority=at.authority,
        scope=GRAPH_SCOPE,
        verify=trusted,
    )
    with Client(at.graph, signs_in, version="beta", verify=trusted) as client:
        return client.pull(ask_unbilled(Kind.USAGE, "current", "EUR", now=NOW), to)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # azure-identity leaves sessions open
@pytest.mark.parametrize(
    ("pull", "line_items"),
    [
        (graph_export, 200),
        (partner_center_walk, 300),
        (asynchronous_export, 300),
        (export_with_msal, 300),
        (export_with_a_secret, 300),
    ],
)
def test_only_addresses_differ(server: Server, tmp_path: Path, pull: Pull, line_items: int) -> None:
    here = Addresses(server.https_url, server.https_url, server.https_url)
    receipt = pull(here, tmp_path / "to", ssl.create_default_context(cafile=server.ca))
    assert (receipt.proof, receipt.line_items) == (Proof.PROVEN, line_items)
    assert receipt.source == server.https_url


def test_a_certificate_that_is_not_trusted_is_told_and_not_tried_again(server: Server, tmp_path: Path) -> None:
    with Client(server.https_url, "a-token") as client, pytest.raises(Exception, match="SSL_CERT_FILE"):
        client.pull(ask_billed(Kind.USAGE, INVOICE), tmp_path / "to")
    assert list(tmp_path.iterdir()) == []
