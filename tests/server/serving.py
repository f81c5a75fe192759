"""A real server on a socket over a real catalog, with hand-written blobs and tokens that anybody can write."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx

from counterfoil.errors import ForbiddenError, UnauthenticatedError
from counterfoil.model import Contents, Dataset, Kind, Rendering, Scope
from counterfoil.periods import BillingPeriod, Clocks
from counterfoil.server.activity_recorder import recording
from counterfoil.server.app import create_app
from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.export_operations import Exports
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.authenticator import Authenticator, TokenBearer
from counterfoil.server.identity.authority import Authority
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.server.listening import Endpoint
from counterfoil.server.partner_limits import PartnerLimits
from counterfoil.server.server_parts import Service
from counterfoil.server.web_server import running
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.engines import open_store
from counterfoil.storage.files import Files
from counterfoil.storage.store import Store
from counterfoil.wire.tokens import Keyring
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "11111111-2222-3333-4444-555555555555"
INVOICE = "G016907411"
BILLING = "/v1.0/reports/partners/billing"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BILLED = Dataset(Kind.RECONCILIATION, PARTNER, Scope.billed(INVOICE))
UNBILLED = Dataset(Kind.USAGE, PARTNER, Scope.unbilled(BillingPeriod(2026, 11), "USD"))


def zipped(lines: bytes) -> bytes:
    """Return a gzip file."""
    return gzip.compress(lines, 1, mtime=0)


class StubAuthenticator(Authenticator):
    """Believes every token: a tenant id, with a registered client's id behind a colon; or `no-permission`."""

    def __init__(self) -> None:
        pass

    async def authenticate(self, authorization: str | None, *, api: str) -> TokenBearer:
        """Return the caller that the token names."""
        assert api in {"graph", "partner-center"}
        if not authorization:
            raise UnauthenticatedError("Access token is empty.")
        token = authorization.removeprefix("Bearer ")
        if token == "no-permission":
            raise ForbiddenError("Insufficient privileges to complete the operation.")
        partner, _, client_id = token.partition(":")
        return TokenBearer(partner, client_id, client_id)


@dataclass
class Place:
    """A data folder that is served, and the clocks of the server, which a test may turn."""

    data: Path
    store: Store
    keyring: Keyring
    url: str = ""
    wall: datetime = NOW
    business: datetime = NOW
    client: httpx.Client = field(default_factory=httpx.Client)

    @property
    def catalog(self) -> Catalog:
        """The catalog."""
        return self.store.catalog

    @property
    def files(self) -> Files:
        """The stored files."""
        return self.store.files

    def path(self, stored: str) -> Path:
        """Return where a stored file is on the disk."""
        return self.data / "files" / stored

    def headers(self, partner: str = PARTNER) -> dict[str, str]:
        """Return the headers of a partner's request."""
        return {"Authorization": f"Bearer {partner}"}

    def get(self, path: str, partner: str = PARTNER, **headers: str) -> httpx.Response:
        """Ask for a path or a whole URL."""
        url = path if path.startswith("http") else self.url + path
        return self.client.get(url, headers=self.headers(partner) | headers)

    def post(self, path: str, body: object, partner: str = PARTNER, **headers: str) -> httpx.Response:
        """Send JSON to a path."""
        return self.client.post(self.url + path, json=body, headers=self.headers(partner) | headers)

    def export(self, invoice: str = INVOICE, partner: str = PARTNER, **more: str) -> httpx.Response:
        """Submit the export of an invoice."""
        return self.post(f"{BILLING}/reconciliation/billed/export", {"invoiceId": invoice, **more}, partner)

    def publish(
        self, dataset: Dataset, blobs: Sequence[bytes], *, now: datetime = NOW, seal: Callable[[bytes], bytes] = zipped
    ) -> Revision:
        """Commit a revision whose `full` blobs hold these JSON lines; the `basic` ones hold no line but `{}`."""
        with self.store.begin(now) as publication:
            files = []
            for part, lines in enumerate(blobs):
                texts = {
                    Rendering.LAKE: b"lake",
                    Rendering.GRAPH_FULL: seal(lines),
                    Rendering.GRAPH_BASIC: zipped(b"{}\n" * lines.count(b"\n")),
                }
                if not dataset.scope.is_billed:
                    texts[Rendering.V1] = b"v1"
                for rendering, text in texts.items():
                    with publication.create(dataset, "whole", rendering, part=part) as file:
                        file.write(text)
                    count = lines.count(b"\n")
                    files.append(NewFile(rendering, part, file.path, len(text), file.sha256, count))
            everything = b"".join(blobs)
            contents = Contents(
                everything.count(b"\n"),
                hashlib.sha256(everything).hexdigest(),
                dataset.scope.currency or "EUR",
                {"Total": Decimal("12.340"), "TaxTotal": Decimal("0E-20")},
            )
            segment = NewSegment(dataset, "whole", dataset.partner, contents, tuple(files), {})
            current = self.catalog.in_force(dataset)
            bases = {dataset: None if current is None else current.id}
            publication.seal([segment])
            [revision] = commit(self.catalog, publication.id, [segment], bases, now)
        return revision

    def travel(self, **by: float) -> None:
        """Turn the wall clock on."""
        self.wall += timedelta(**by)


@contextmanager
def serving(
    data: Path,
    *,
    operation_delay_s: float = 0,
    development: bool = True,
    open_to: frozenset[str] = frozenset(),
    public_url: str = "",
    host: str = "127.0.0.1",
    bounds: ConnectionBounds | None = None,
    limits: PartnerLimits | None = None,
) -> Iterator[Place]:
    """Serve a data folder for as long as the context lasts."""
    with ExitStack() as opened:
        store = opened.enter_context(open_store(data))
        client = opened.enter_context(httpx.Client(timeout=30))
        catalog = store.catalog
        place = Place(data, store, Keyring.from_text(Keyring.fresh_text()), client=client)
        clocks = Clocks(business=lambda: place.business, wall=lambda: place.wall)
        activity = opened.enter_context(recording(store.catalog, clocks))
        audiences = Audiences.from_setting("", development=development)
        service = Service(
            settings=Settings(data=data, public_url=public_url),
            store=store,
            keyring=place.keyring,
            clocks=clocks,
            exports=Exports(catalog, place.keyring, clocks, operation_delay_s),
            authenticator=StubAuthenticator(),
            authority=Authority(catalog, clocks, AuthorityKeys(data, development=development), audiences),
            activity=activity,
            limits=limits or PartnerLimits(),
            development=development,
            open_to=open_to,
        )
        for partner in (PARTNER, OTHER):
            catalog.add_partner(partner, NOW)
        with running(create_app(service), [Endpoint(host, 0)], grace_s=1, bounds=bounds) as [url]:
            place.url = url
            yield place
