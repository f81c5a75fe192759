"""The client: one source, asked for line items, which end up on disk with a receipt, or in memory as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx
import pyarrow as pa

from counterfoil.client.credentials import of_profile
from counterfoil.client.drivers.blocking import Driver
from counterfoil.client.drivers.http import open_client
from counterfoil.client.drivers.signing import Credential
from counterfoil.client.flows.exports import Export
from counterfoil.client.flows.steps import Flow
from counterfoil.client.flows.streams import items_of, lake_of, streamed
from counterfoil.client.flows.watching import Watcher
from counterfoil.client.line_items.forms import Form
from counterfoil.client.options import Options, Parts
from counterfoil.client.protocol.asking import Api
from counterfoil.client.receipt import Receipt
from counterfoil.settings import Profile
from counterfoil.wire.graph import ExportRequest


class Client:
    """Pulls line items from Microsoft or any Counterfoil, and proves what can be proven.

    `credential` is a bearer token, a function that returns one, `ClientCredentials`, or a credential of
    azure-identity. The token goes to the base URL's own scheme, host and port only. Further keyword arguments are
    those of `Options`, and `transport` of httpx. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        transport: httpx.BaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        parts = Parts.of(url, credential, options)
        parts.signer.check_blocking()
        self._plan = parts.plan
        self._source_http = open_client(verify=parts.verify, transport=transport)
        self._blob_http = open_client(verify=parts.verify, transport=transport)
        self._driver = Driver(
            self._source_http, self._blob_http, parts.signer, parts.plan.patience, parts.plan.parallel
        )

    @classmethod
    def from_profile(cls, profile: Profile, **options: Unpack[Options]) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        options.setdefault("scope", profile.scope)
        return cls(profile.url, of_profile(profile, options.get("verify", True)), **options)

    def close(self) -> None:
        """Let go of all connections and threads."""
        self._source_http.close()
        self._blob_http.close()
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def pull(
        self,
        ask: ExportRequest,
        to: Path | str,
        *,
        api: Api | str = Api.GRAPH,
        form: Form | str = Form.BLOBS,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; returns the receipt, which also lies beside them.

        Raises a SourceError if anything that could be checked does not agree. Then nothing of a former pull in the
        folder is touched, and what was fetched and proven waits in `.counterfoil-pull`: the same call goes on from
        there, after a crash too. If the folder holds this eTag already, nothing is fetched, and the receipt's
        `already_held` is true.
        """
        return self._driver.run(self._plan.pull(ask, to, api, form, watcher))

    def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; returns its manifest, with nothing downloaded."""
        return self._driver.run(self._plan.export(ask, on_wait))

    def line_items(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> Iterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; memory stays flat.

        What was promised is held against what came at the end: raises ProofError in place of ending.
        """
        for batch in self._batches(ask, api):
            yield from items_of(batch)

    def batches(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> Iterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns: numbers as DECIMAL and as exact text.

        Raises ProofError in place of ending, as `line_items` does.
        """
        for batch in self._batches(ask, api):
            yield lake_of(ask.kind, batch)

    def _batches(self, ask: ExportRequest, api: Api | str) -> Iterator[pa.RecordBatch]:
        with streamed(self._plan, ask, api) as parts:
            flow: Flow[Iterator[pa.RecordBatch]]
            for flow in parts:
                yield from self._driver.run(flow)
