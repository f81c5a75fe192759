"""The client: one source, asked for line items, which end up on disk with a receipt, or in memory as a stream."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pyarrow as pa

from counterfoil.client.credentials import of_profile
from counterfoil.client.driving import Driver
from counterfoil.client.exports import Export
from counterfoil.client.outcomes import Api, Form
from counterfoil.client.plans import PARALLEL_DEFAULT, WAIT_S_DEFAULT, Plan
from counterfoil.client.receipt import Receipt
from counterfoil.client.retries import Patience
from counterfoil.client.sending import open_client
from counterfoil.client.signing import Credential, Signer, scope_for
from counterfoil.client.steps import Flow
from counterfoil.client.streams import items_of, lake_of, streamed
from counterfoil.client.v1 import PAGE_SIZE_ITEMS_MAX
from counterfoil.client.watching import Watcher
from counterfoil.settings import Profile
from counterfoil.wire.graph import ExportRequest


class Client:
    """Pulls line items from Microsoft or any Counterfoil, and proves what can be proven.

    `credential` is a bearer token, a function that returns one, `ClientCredentials`, or a credential of
    azure-identity (then `scope` says for what, where it is not the source's own). The token goes to the base URL's
    own scheme, host and port only. `wait_s_max` bounds how long an export may take, `parallel` how many blobs are
    fetched side by side. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        version: str = "v1.0",
        wait_s_max: float = WAIT_S_DEFAULT,
        parallel: int = PARALLEL_DEFAULT,
        page_size_items: int = PAGE_SIZE_ITEMS_MAX,
        patience: Patience | None = None,
        scope: str = "",
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        waits = patience or Patience()
        self._plan = Plan.checked(url, version, wait_s_max, page_size_items, waits, parallel)
        signer = Signer(credential, scope or scope_for(self._plan.base.origin.host))
        signer.check_blocking()
        self._source_http = open_client(verify=verify, transport=transport)
        self._blob_http = open_client(verify=verify, transport=transport)
        self._driver = Driver(self._source_http, self._blob_http, signer, waits, parallel)

    @classmethod
    def from_profile(cls, profile: Profile, **more: Any) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        return cls(profile.url, of_profile(profile), **{"scope": profile.scope, **more})

    def close(self) -> None:
        """Let go of all connections."""
        self._source_http.close()
        self._blob_http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def pull(
        self,
        ask: ExportRequest,
        to: Path,
        *,
        api: Api = Api.GRAPH,
        form: Form = Form.BLOBS,
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

    def line_items(self, ask: ExportRequest, *, api: Api = Api.GRAPH) -> Iterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; memory stays flat.

        What was promised is held against what came at the end: raises ProofError in place of ending.
        """
        for batch in self._batches(ask, api):
            yield from items_of(batch)

    def batches(self, ask: ExportRequest, *, api: Api = Api.GRAPH) -> Iterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns: numbers as DECIMAL and as exact text.

        Raises ProofError in place of ending, as `line_items` does.
        """
        for batch in self._batches(ask, api):
            yield lake_of(ask.kind, batch)

    def _batches(self, ask: ExportRequest, api: Api) -> Iterator[pa.RecordBatch]:
        with streamed(self._plan, ask, api) as parts:
            flow: Flow[Iterator[pa.RecordBatch]]
            for flow in parts:
                yield from self._driver.run(flow)
