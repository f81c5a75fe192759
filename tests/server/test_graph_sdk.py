"""Microsoft's own SDKs, unmodified, against our server: what they can do there they can do here."""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
import warnings
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient
from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider
from kiota_abstractions.authentication.access_token_provider import AccessTokenProvider
from kiota_abstractions.authentication.allowed_hosts_validator import AllowedHostsValidator
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.partners.billing.attribute_set import AttributeSet
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

from tests.server.serving import BILLED, INVOICE, NOW, PARTNER, Place, serving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK, about itself
BILLING = "msgraph.generated.reports.partners.billing"
EXPORT = f"{BILLING}.reconciliation.billed.microsoft_graph_partners_billing_export.export_post_request_body"
NOISE = random.Random(1)
LINES = b"".join(b'{"Total":%d,"Id":"%x"}\n' % (number, NOISE.getrandbits(256)) for number in range(5000))
SMALL: dict[str, Any] = {"max_single_get_size": 16 * 1024, "max_chunk_get_size": 8 * 1024}
Work = Callable[[Any], Awaitable[Any]]
Ask = Callable[[Work], Any]


@pytest.fixture(autouse=True)
def _what_the_sdks_forget() -> Iterator[None]:
    """Let them leave sockets to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("sdk"), operation_delay_s=5) as place:
        place.publish(BILLED, [LINES, b'{"Total":0}\n'])
        yield place


@pytest.fixture
def place(served: Place) -> Place:
    served.wall = NOW
    return served


class Token(AccessTokenProvider):
    """A token for any host."""

    async def get_authorization_token(self, uri: str, additional_authentication_context: Any = None) -> str:
        return PARTNER

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


@pytest.fixture
def ask(place: Place) -> Ask:
    """Run something with the SDK's client, in a loop of its own."""

    async def main(work: Work) -> Any:
        adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(Token()))
        adapter.base_url = f"{place.url}/v1.0/"  # with the slash that doubles
        return await work(GraphServiceClient(request_adapter=adapter).reports.partners.billing)

    return lambda work: asyncio.run(main(work))


async def submit(billing: Any, invoice: str) -> str:
    """Submit an export as the SDK does; return the Location that it hides in the headers."""
    body = import_module(EXPORT).ExportPostRequestBody(invoice_id=invoice, attribute_set=AttributeSet.Full)
    option = HeadersInspectionHandlerOption(inspect_response_headers=True)
    action = billing.reconciliation.billed.microsoft_graph_partners_billing_export
    await action.post(body, RequestConfiguration(options=[option]))
    [location] = option.response_headers.get_all()["location"]
    return str(location)


def test_an_export_runs_then_succeeds_with_a_typed_manifest(place: Place, ask: Ask) -> None:
    async def work(billing: Any) -> tuple[Any, Any, Any]:
        operations = billing.operations.by_operation_id("x").with_url(await submit(billing, INVOICE))
        running = await operations.get()
        place.travel(seconds=5)
        done = await operations.get()
        return running, done, await billing.manifests.by_manifest_id(done.resource_location.id).get()

    running, done, manifest = ask(work)
    assert type(running).__name__ == "RunningOperation"
    assert running.status.value == "running"
    assert type(done).__name__ == "ExportSuccessOperation"
    assert done.status.value == "succeeded"
    for found in (done.resource_location, manifest):
        assert type(found).__name__ == "Manifest"
        assert (found.schema_version, found.data_format, found.blob_count) == ("1", "compressedJSONLines", 2)
        assert found.partner_tenant_id == PARTNER
        assert [blob.partition_value for blob in found.blobs] == ["default", "default"]
        assert found.additional_data["@counterfoil.lineItemCount"] == 5001


def test_an_export_without_data_fails_with_a_typed_error(place: Place, ask: Ask) -> None:
    async def work(billing: Any) -> Any:
        location = await submit(billing, "G000000000")
        place.travel(seconds=5)
        return await billing.operations.by_operation_id("x").with_url(location).get()

    failed = ask(work)
    assert type(failed).__name__ == "FailedOperation"
    assert (failed.status.value, failed.error.code, failed.error.message) == ("failed", "5000", "No data available")


def test_refusals_arrive_as_odata_errors(place: Place, ask: Ask) -> None:

    async def refused(billing: Any) -> list[ODataError]:
        errors = []
        for call in (submit(billing, "a b"), billing.operations.by_operation_id("a b/c'é").get()):
            with pytest.raises(ODataError) as caught:
                await call
            errors.append(caught.value)
        return errors

    bad, missing = ask(refused)
    assert (bad.response_status_code, bad.error.code) == (400, "BadRequest")
    assert (missing.response_status_code, missing.error.code) == (404, "NotFound")
    assert bad.error.inner_error.request_id
    assert bad.error.inner_error.client_request_id
    assert bad.error.inner_error.date is not None


def test_collections_counts_and_navigation(place: Place, ask: Ask) -> None:

    builder = import_module(f"{BILLING}.operations.operations_request_builder").OperationsRequestBuilder
    query = builder.OperationsRequestBuilderGetQueryParameters(
        count=True, top=1, expand=["resourceLocation"], orderby=["createdDateTime desc"], select=["id", "status"]
    )

    async def work(billing: Any) -> tuple[Any, ...]:
        await submit(billing, INVOICE)
        await submit(billing, INVOICE)
        listed = await billing.operations.get(RequestConfiguration(query_parameters=query))
        return listed, await billing.operations.count.get(), await billing.usage.billed.get(), await billing.get()

    listed, count, billed, billing = ask(work)
    assert len(listed.value) == 1
    assert listed.odata_count == count >= 2
    assert type(listed.value[0]).__name__ == "RunningOperation"
    assert (billed.id, billing.id) == ("billed", "billing")


@pytest.fixture
def manifest(place: Place) -> dict[str, Any]:
    location = place.export().headers["location"]
    place.travel(seconds=5)
    found: dict[str, Any] = place.get(location).json()["resourceLocation"]
    return found


@pytest.mark.parametrize("beside", [False, True], ids=["in the URL", "as AzureSasCredential"])
def test_the_storage_client_downloads_in_small_parallel_ranges(manifest: dict[str, Any], beside: bool) -> None:

    got = b""
    for blob in manifest["blobs"]:
        url = f"{manifest['rootDirectory']}/{blob['name']}"
        if beside:
            client = BlobClient.from_blob_url(url, credential=AzureSasCredential(manifest["sasToken"]), **SMALL)
        else:
            client = BlobClient.from_blob_url(f"{url}?{manifest['sasToken']}", **SMALL)
        with client:
            properties = client.get_blob_properties()
            assert properties.size == blob["@counterfoil.sizeBytes"]
            assert properties.etag == f'"{blob["@counterfoil.sha256"]}"'
            packed = client.download_blob(max_concurrency=4).readall()
            assert client.download_blob(offset=5, length=100).readall() == packed[5:105]
        got += gzip.decompress(packed)
    assert got == LINES + b'{"Total":0}\n'


def test_the_storage_client_is_told_of_bad_links(place: Place, manifest: dict[str, Any]) -> None:

    root, token, name = manifest["rootDirectory"], manifest["sasToken"], manifest["blobs"][0]["name"]
    tampered = token.replace("sp=rl", "sp=rwl")
    for url, error, code in (
        (f"{root}/{name}?{tampered}", ClientAuthenticationError, "AuthenticationFailed"),
        (f"{root}/{name.replace('part-', 'trap-')}?{token}", ResourceNotFoundError, "BlobNotFound"),
    ):
        with BlobClient.from_blob_url(url) as client, pytest.raises(error) as caught:
            client.download_blob().readall()
        assert vars(caught.value)["error_code"] == code
    with BlobClient.from_blob_url(f"{root}/{name}?{token}") as client:
        with pytest.raises(ResourceModifiedError):
            client.download_blob(etag='"other"', match_condition=MatchConditions.IfNotModified)
        place.travel(hours=13)
        with pytest.raises(ClientAuthenticationError):
            client.download_blob()
