"""The asynchronous client: the same methods, the same decisions, in an event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pyarrow as pa

from counterfoil.client.async_driving import AsyncDriver
from counterfoil.client.credentials import of_profile
from counterfoil.client.exports import Export
from counterfoil.client.outcomes import Api, Form
from counterfoil.client.plans import PARALLEL_DEFAULT, WAIT_S_DEFAULT, Plan
from counterfoil.client.receipt import Receipt
from counterfoil.client.retries import Patience
from counterfoil.client.sending import open_async_client
from counterfoil.client.signing import Credential, Signer, scope_for
from counterfoil.client.streams import items_of, lake_of, streamed
from counterfoil.client.v1 import PAGE_SIZE_ITEMS_MAX
from counterfoil.client.watching import Watcher
from counterfoil.settings import Profile
from counterfoil.wire.graph import ExportRequest


class AsyncClient:
    """Pulls line items as `Client` does; its methods are awaited, and the credential may be asynchronous too."""

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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        waits = patience or Patience()
        self._plan = Plan.checked(url, version, wait_s_max, page_size_items, waits, parallel)
        signer = Signer(credential, scope or scope_for(self._plan.base.origin.host))
        self._source_http = open_async_client(verify=verify, transport=transport)
        self._blob_http = open_async_client(verify=verify, transport=transport)
        self._driver = AsyncDriver(self._source_http, self._blob_http, signer, waits, parallel)

    @classmethod
    def from_profile(cls, profile: Profile, **more: Any) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        return cls(profile.url, of_profile(profile), **{"scope": profile.scope, **more})

    async def aclose(self) -> None:
        """Let go of all connections."""
        await self._source_http.aclose()
        await self._blob_http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def pull(
        self,
        ask: ExportRequest,
        to: Path,
        *,
        api: Api = Api.GRAPH,
        form: Form = Form.BLOBS,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; see `Client.pull`. A task that is cancelled can go on."""
        return await self._driver.run(self._plan.pull(ask, to, api, form, watcher))

    async def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; returns its manifest, with nothing downloaded."""
        return await self._driver.run(self._plan.export(ask, on_wait))

    async def line_items(self, ask: ExportRequest, *, api: Api = Api.GRAPH) -> AsyncIterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; see `Client.line_items`."""
        async for batch in self._batches(ask, api):
            for item in items_of(batch):
                yield item

    async def batches(self, ask: ExportRequest, *, api: Api = Api.GRAPH) -> AsyncIterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns; see `Client.batches`."""
        async for batch in self._batches(ask, api):
            yield await asyncio.to_thread(lake_of, ask.kind, batch)

    async def _batches(self, ask: ExportRequest, api: Api) -> AsyncIterator[pa.RecordBatch]:
        with streamed(self._plan, ask, api) as parts:
            for flow in parts:
                batches = await self._driver.run(flow)
                while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                    yield batch
