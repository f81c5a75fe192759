"""Microsoft's own SDKs, unmodified, against the product: generated line items, real tokens, https and http.

What each SDK makes of odd answers is tested beside the server; here it is the whole way, from a client secret to the
last line item.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import msal  # type: ignore[import-untyped]
import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.storage.blob import BlobClient
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.partners.billing.attribute_set import AttributeSet
from msgraph.generated.models.partners.billing.billing_period import BillingPeriod as Period
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.periods import BillingPeriod, utc_now
from counterfoil.testing import PARTNER, Server
from counterfoil.wire.blob_links import sign_directory
from tests.end_to_end.fetching import BILLING

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the Graph SDK warns of its own classes
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # and leaves connections behind
]
LINE_ITEMS = {Kind.RECONCILIATION: 3_000, Kind.USAGE: 3_100}
INVOICE = "G016907411"
SCOPE = "https://graph.microsoft.com/.default"
STRANGER = "11111111-2222-3333-4444-555555555555"
SMALL: dict[str, Any] = {"max_single_get_size": 32 * 1024, "max_chunk_get_size": 16 * 1024}
PATIENCE_S = 60
Work = Callable[[Any], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module")
def published() -> Iterator[Server]:
    unbilled = Scope.unbilled(BillingPeriod(2026, 11), "EUR")
    with Server(now="2026-11-21", https=True) as server, pytest.MonkeyPatch.context() as patch:
        # The two variables that point-your-tool-here.md tells of: requests reads one, httpx the other.
        patch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
        patch.setenv("SSL_CERT_FILE", str(server.ca))
        for kind, count in LINE_ITEMS.items():
            server.publish(generate(kind, count, special=True, partner=PARTNER, scope=unbilled), period="2026-11")
            server.publish(generate(kind, 100, special=True, partner=PARTNER, scope=Scope.billed(INVOICE)))
        yield server
        gc.collect()  # what the SDKs left open is found here, and not in somebody else's test


@pytest.fixture
def server(published: Server) -> Iterator[Server]:
    yield published
    published.delay_operations(0)


class Given:
    """A credential that hands out one token, whatever it is."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(self.token, int(time.time()) + 3600)


def secret(server: Server, tenant: str = PARTNER) -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant, "some-tool", "any", authority=server.https_url, disable_instance_discovery=True
    )


def ask(base_url: str, credential: Any, work: Work) -> Any:
    """Run something with the SDK's client, in a loop of its own."""

    async def main() -> Any:
        allowed = [str(urlsplit(base_url).hostname)]
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[SCOPE], allowed_hosts=allowed)
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = f"{base_url}/v1.0"
        try:
            return await work(GraphServiceClient(request_adapter=adapter).reports.partners.billing)
        finally:
            await adapter._http_client.aclose()

    return asyncio.run(main())


def action(billing: Any, kind: Kind, scope: str) -> tuple[Any, type[Any]]:
    """The builder of an export action, and the class of its body."""
    name = f"msgraph.generated.reports.partners.billing.{kind}.{scope}.microsoft_graph_partners_billing_export"
    body: type[Any] = import_module(f"{name}.export_post_request_body").ExportPostRequestBody
    return getattr(getattr(billing, kind), scope).microsoft_graph_partners_billing_export, body


async def submit(billing: Any, kind: Kind, scope: str = "unbilled", **values: Any) -> str:
    """Submit an export; return the Location, which the SDK hides in the headers."""
    option = HeadersInspectionHandlerOption(inspect_response_headers=True)
    builder, body = action(billing, kind, scope)
    if not values:
        values = {"invoice_id": INVOICE} if scope == "billed" else {"currency_code": "EUR"}
    if scope == "unbilled":
        values.setdefault("billing_period", Period.Current)
    await builder.post(body(attribute_set=AttributeSet.Full, **values), RequestConfiguration(options=[option]))
    [location] = option.response_headers.get_all()["location"]
    return str(location)


async def ended(billing: Any, location: str) -> tuple[list[str], Any]:
    """Poll an operation to its end; return the states seen on the way, and the last answer."""
    states: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            operation = await billing.operations.by_operation_id("x").with_url(location).get()
            states.append(type(operation).__name__)
            if operation.status.value != "running":
                return states, operation
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("scope", ["billed", "unbilled"])
@pytest.mark.parametrize("kind", Kind)
def test_an_export_from_client_secret_to_typed_manifest(server: Server, kind: Kind, scope: str) -> None:
    """All four actions over https, with azure-identity getting the token from the local authority."""

    async def work(billing: Any) -> tuple[str, Any, Any, Any]:
        location = await submit(billing, kind, scope)
        _, done = await ended(billing, location)
        manifest = await billing.manifests.by_manifest_id(done.resource_location.id).get()
        return location, done, manifest, await billing.operations.by_operation_id(done.id).get()

    with secret(server) as credential:
        location, done, manifest, again = ask(server.https_url, credential, work)
    assert location == f"{server.https_url}{BILLING}/operations/{done.id}"
    assert (type(done).__name__, done.status.value, again.id) == ("ExportSuccessOperation", "succeeded", done.id)
    count = 100 if scope == "billed" else LINE_ITEMS[kind]
    for found in (done.resource_location, manifest, again.resource_location):
        assert (type(found).__name__, found.schema_version, found.data_format) == (
            "Manifest",
            "1",
            "compressedJSONLines",
        )
        assert (found.partner_tenant_id, found.blob_count, len(found.blobs)) == (PARTNER, 1, 1)
        assert found.additional_data["@counterfoil.lineItemCount"] == count
        url = f"{found.root_directory}/{found.blobs[0].name}?{found.sas_token}"
        with BlobClient.from_blob_url(url) as client:
            assert gzip.decompress(client.download_blob().readall()).count(b"\n") == count


def test_an_operation_runs_before_it_succeeds(server: Server) -> None:
    async def work(billing: Any) -> tuple[list[str], Any]:
        return await ended(billing, await submit(billing, Kind.USAGE))

    server.delay_operations(1)
    states, done = ask(server.url, Given(server.token()), work)
    assert states[0] == "RunningOperation"
    assert states[-1] == "ExportSuccessOperation"
    assert done.last_action_date_time > done.created_date_time


@pytest.mark.parametrize(
    ("scope", "values"),
    [
        ("billed", {"invoice_id": "G000000000"}),
        ("unbilled", {"currency_code": "JPY"}),
        ("unbilled", {"currency_code": "EUR", "billing_period": Period.Last}),
    ],
)
def test_where_nothing_is_published_the_operation_fails(server: Server, scope: str, values: dict[str, Any]) -> None:
    async def work(billing: Any) -> Any:
        return (await ended(billing, await submit(billing, Kind.RECONCILIATION, scope, **values)))[1]

    failed = ask(server.url, Given(server.token()), work)
    assert (type(failed).__name__, failed.status.value) == ("FailedOperation", "failed")
    assert (failed.error.code, failed.error.message) == ("5000", "No data available")


def test_every_refusal_is_an_odata_error(server: Server) -> None:
    async def refused(billing: Any) -> ODataError:
        with pytest.raises(ODataError) as caught:
            await submit(billing, Kind.USAGE, currency_code="EURO")
        return caught.value

    async def missing(billing: Any) -> ODataError:
        with pytest.raises(ODataError) as caught:
            await billing.operations.by_operation_id(STRANGER).get()
        return caught.value

    expired = server.token(issued_at=utc_now() - timedelta(hours=2))
    for token, work, status, code in (
        (server.token(), refused, 400, "BadRequest"),
        (server.token(), missing, 404, "NotFound"),
        (server.token("partner-center"), missing, 401, "InvalidAuthenticationToken"),
        (expired, refused, 401, "InvalidAuthenticationToken"),
        ("nonsense", missing, 401, "InvalidAuthenticationToken"),
    ):
        error = ask(server.url, Given(token), work)
        assert (error.response_status_code, error.error.code) == (status, code)
        assert error.error.message
        assert error.error.inner_error.request_id
        assert error.error.inner_error.date is not None


@pytest.fixture(scope="module")
def manifest(published: Server) -> Any:
    async def work(billing: Any) -> Any:
        return (await ended(billing, await submit(billing, Kind.USAGE)))[1].resource_location

    return ask(published.url, Given(published.token()), work)


@pytest.mark.parametrize("beside", [False, True], ids=["token in the URL", "AzureSasCredential beside a bare URL"])
def test_the_storage_client_downloads_in_small_parallel_chunks(manifest: Any, beside: bool) -> None:
    [blob] = manifest.blobs
    url = f"{manifest.root_directory}/{blob.name}"
    credential = AzureSasCredential(manifest.sas_token) if beside else None
    with BlobClient.from_blob_url(url if beside else f"{url}?{manifest.sas_token}", credential, **SMALL) as client:
        size = client.get_blob_properties().size
        packed = client.download_blob(max_concurrency=4).readall()
    assert size == len(packed) == blob.additional_data["@counterfoil.sizeBytes"] > 16 * SMALL["max_chunk_get_size"]
    assert hashlib.sha256(packed).hexdigest() == blob.additional_data["@counterfoil.sha256"]
    assert gzip.decompress(packed).count(b"\n") == blob.additional_data["@counterfoil.lineItemCount"] == 3_100


def test_the_storage_client_is_told_of_expired_and_tampered_tokens(server: Server, manifest: Any) -> None:
    root, name, token = manifest.root_directory, manifest.blobs[0].name, manifest.sas_token
    then = utc_now() - timedelta(hours=13)
    directory = urlsplit(root).path
    keyring = server.service.keyring
    expired = sign_directory(keyring, directory, now=then, expires_at=then + timedelta(hours=12))
    elsewhere = sign_directory(keyring, directory.replace("full", "basic"), now=utc_now(), expires_at=utc_now())
    longer = token.replace("se=2026", "se=2027").replace("se=2025", "se=2027")
    assert longer != token
    for bad in (expired, longer, token.replace("sp=rl", "sp=rw"), token[:-1], elsewhere, f"{token}&rsct=a"):
        for client in (
            BlobClient.from_blob_url(f"{root}/{name}?{bad}", **SMALL),
            BlobClient.from_blob_url(f"{root}/{name}", AzureSasCredential(bad), **SMALL),
        ):
            with client, pytest.raises(ClientAuthenticationError) as caught:
                client.download_blob().readall()
            assert vars(caught.value)["error_code"] == "AuthenticationFailed"
    with (
        BlobClient.from_blob_url(f"{root}/{name[:-3]}.zip?{token}") as client,
        pytest.raises(ResourceNotFoundError) as missing,
    ):
        client.download_blob()
    assert vars(missing.value)["error_code"] == "BlobNotFound"


def test_msal_gets_a_token_that_graph_accepts(server: Server) -> None:
    application = msal.ConfidentialClientApplication(
        "some-tool", "any secret", oidc_authority=f"{server.https_url}/{PARTNER}/v2.0"
    )
    answer = application.acquire_token_for_client([SCOPE])
    assert answer is not None
    assert answer["token_source"] == "identity_provider"
    again = application.acquire_token_for_client([SCOPE])
    assert again is not None
    assert (again["access_token"], again["token_source"]) == (answer["access_token"], "cache")

    async def count(billing: Any) -> Any:
        return await billing.operations.count.get()

    assert ask(server.https_url, Given(answer["access_token"]), count) >= 0
    other_scope = application.acquire_token_for_client(["https://vault.azure.net/.default"])
    assert other_scope is not None
    assert other_scope["error"] == "invalid_scope"
    stranger = msal.ConfidentialClientApplication(
        "some-tool", "any secret", oidc_authority=f"{server.https_url}/{STRANGER}/v2.0"
    )
    refused = stranger.acquire_token_for_client([SCOPE])
    assert refused is not None
    assert "AADSTS90002" in refused["error_description"]


def test_azure_identity_tells_why_a_tenant_gets_no_token(server: Server) -> None:
    with secret(server, STRANGER) as credential, pytest.raises(ClientAuthenticationError, match="AADSTS90002"):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("resource", "path", "query"),
    [
        ("https://graph.microsoft.com", f"{BILLING}/operations/$count", ""),
        (
            "https://api.partnercenter.microsoft.com",
            "/v1/invoices/unbilled/lineitems",
            "?provider=all&invoicelineitemtype=usagelineitems&currencycode=eur&period=current",
        ),
    ],
)
def test_a_plain_form_post_gets_a_token_for_either_api(server: Server, resource: str, path: str, query: str) -> None:
    """With nothing but the standard library, as `curl -d` does it; in the newer form and the older one."""
    who = {"grant_type": "client_credentials", "client_id": "curl", "client_secret": "any"}
    for form, more in (
        ("oauth2/v2.0/token", {"scope": f"{resource}/.default"}),
        ("oauth2/token", {"resource": resource}),
    ):
        with urlopen(f"{server.url}/{PARTNER}/{form}", urlencode(who | more).encode()) as answer:
            token = json.load(answer)["access_token"]
        with urlopen(Request(server.url + path + query, headers={"Authorization": f"Bearer {token}"})) as answer:
            assert answer.status == 200
