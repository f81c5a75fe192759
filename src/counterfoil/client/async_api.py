"""The asynchronous client: the same methods, the same decisions, in an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import httpx
import pyarrow as pa

from counterfoil.client.credentials import of_profile
from counterfoil.client.drivers.asynchronous import AsyncDriver
from counterfoil.client.drivers.http import open_async_client
from counterfoil.client.drivers.signing import Credential
from counterfoil.client.flows.exports import Export
from counterfoil.client.flows.streams import items_of, lake_of, streamed
from counterfoil.client.flows.watching import Watcher
from counterfoil.client.line_items.forms import Form
from counterfoil.client.options import Options, Parts
from counterfoil.client.protocol.asking import Api
from counterfoil.client.receipt import Receipt
from counterfoil.settings import Profile
from counterfoil.wire.graph import ExportRequest


class AsyncClient:
    """Pulls line items as `Client` does; its methods are awaited, and the credential may be asynchronous too."""

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        parts = Parts.of(url, credential, options)
        self._plan = parts.plan
        self._source_http = open_async_client(verify=parts.verify, transport=transport)
        self._blob_http = open_async_client(verify=parts.verify, transport=transport)
        self._driver = AsyncDriver(
            self._source_http, self._blob_http, parts.signer, parts.plan.patience, parts.plan.parallel
        )

    @classmethod
    def from_profile(cls, profile: Profile, **options: Unpack[Options]) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        options.setdefault("scope", profile.scope)
        return cls(profile.url, of_profile(profile, options.get("verify", True)), **options)

    async def aclose(self) -> None:
        """Let go of all connections and threads."""
        await self._source_http.aclose()
        await self._blob_http.aclose()
        self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def pull(
        self,
        ask: ExportRequest,
        to: Path | str,
        *,
        api: Api | str = Api.GRAPH,
        form: Form | str = Form.BLOBS,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; see `Client.pull`. A task that is cancelled can go on."""
        return await self._driver.run(self._plan.pull(ask, to, api, form, watcher))

    async def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; returns its manifest, with nothing downloaded."""
        return await self._driver.run(self._plan.export(ask, on_wait))

    async def line_items(
        self, ask: ExportRequest, *, api: Api | str = Api.GRAPH
    ) -> AsyncIterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; see `Client.line_items`."""
        async with aclosing(self._batches(ask, api)) as batches:
            async for batch in batches:
                for item in items_of(batch):
                    yield item

    async def batches(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> AsyncIterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns; see `Client.batches`."""
        async with aclosing(self._batches(ask, api)) as batches:
            async for batch in batches:
                yield await self._driver.work(partial(lake_of, ask.kind, batch))

    async def _batches(self, ask: ExportRequest, api: Api | str) -> AsyncGenerator[pa.RecordBatch]:
        with streamed(self._plan, ask, api) as parts:
            for flow in parts:
                batches = await self._driver.run(flow)
                try:
                    while (batch := await self._driver.work(partial(next, batches, None))) is not None:
                        yield batch
                finally:
                    if isinstance(batches, Generator):  # it reads a file of the folder that goes
                        batches.close()
