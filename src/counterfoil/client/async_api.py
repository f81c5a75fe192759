"""The asynchronous client: the methods of `Client`, which run in threads, so that the event loop is never blocked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

import httpx
import pyarrow as pa

from counterfoil.client.client_options import Options, checked_options
from counterfoil.client.credentials import of_profile
from counterfoil.client.network.bearer_tokens import Credential
from counterfoil.client.network.caller_loop import LoopSession
from counterfoil.client.network.http_client import open_async_client
from counterfoil.client.network.session import Limits
from counterfoil.client.output_files.output_formats import Format, FormatChoice
from counterfoil.client.protocol.asking import Api
from counterfoil.client.receipt import Receipt
from counterfoil.client.transfer.graph_exports import Export, Exporter
from counterfoil.client.transfer.line_item_streams import rows_of, streamed
from counterfoil.client.transfer.progress import Watcher
from counterfoil.client.transfer.pull_to_folder import pull_to_folder
from counterfoil.client.transfer.source_calls import CallLog, SourceCalls
from counterfoil.line_items.lake import batch_to_lake
from counterfoil.profiles import STATES_KEPT, Profile
from counterfoil.wire.graph import ExportRequest

_OPERATIONS_MAX: Final = 1000  # threads; a thread is started only when no other is idle


class AsyncClient:
    """Pulls line items as `Client` does; its methods are awaited, and `credential` and `transport` may be asynchronous.

    Tasks of one event loop may share a client; `parallel` and the processors then bound all of its pulls together. The
    loop is never blocked: work on this machine is done in threads, and calls, credentials and waits are awaited in the
    loop. A task that is cancelled stops soon, and its folder is free when it ends. Raises what `Client` raises.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings, self._tokens, verify = checked_options(url, credential, options)
        self._direct = open_async_client(verify=verify, transport=transport, proxied=False)
        self._proxied = open_async_client(verify=verify, transport=transport)
        self._limits = Limits(self._settings.parallel)
        self._threads = ThreadPoolExecutor(_OPERATIONS_MAX, thread_name_prefix="counterfoil-async")

    @classmethod
    def from_profile(cls, profile: Profile, **options: Unpack[Options]) -> Self:
        """Return a client for a profile of counterfoil.toml; raises UsageError if it has no credential."""
        options.setdefault("scope", profile.scope)
        return cls(profile.url, of_profile(profile, options.get("verify", True)), **options)

    async def aclose(self) -> None:
        """Close all connections and end all threads."""
        await self._direct.aclose()
        await self._proxied.aclose()
        self._limits.close(waiting=False)
        self._threads.shutdown(wait=False)

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
        format: FormatChoice = Format.BLOBS,  # noqa: A002 - the word for it everywhere
        keep: int = STATES_KEPT,
        former: Path | None = None,
        watcher: Watcher | None = None,
    ) -> Receipt:
        """Fetch, prove and write the line items asked for; see `Client.pull`.

        A pull that is cancelled keeps what it fetched, and the same call resumes from there.
        """
        session = self._session()
        return await session.run(
            partial(pull_to_folder, session, self._settings, ask, to, api, format, keep, former, watcher)
        )

    async def export(self, ask: ExportRequest, on_wait: Callable[[float], None] = lambda _: None) -> Export:
        """Submit a Graph export and wait for it; see `Client.export`. `on_wait` is called in the event loop."""
        session = self._session()

        async def in_the_loop(so_far_s: float) -> None:
            on_wait(so_far_s)

        exporter = Exporter(SourceCalls(session, self._settings.base, CallLog()), self._settings)
        return await session.run(
            partial(exporter.export, ask, lambda so_far_s: session.awaited(partial(in_the_loop, so_far_s)))
        )

    async def line_items(
        self, ask: ExportRequest, *, api: Api | str = Api.GRAPH
    ) -> AsyncIterator[dict[str, str | None]]:
        """Yield the line items by Graph's names, every value the exact text it came as; see `Client.line_items`."""
        session = self._session()
        async with aclosing(self._batches(session, ask, api)) as batches:
            async for batch in batches:
                for row in await session.run(partial(rows_of, batch)):
                    yield row

    async def batches(self, ask: ExportRequest, *, api: Api | str = Api.GRAPH) -> AsyncIterator[pa.RecordBatch]:
        """Yield the line items as record batches with the lake's columns; see `Client.batches`."""
        session = self._session()
        async with aclosing(self._batches(session, ask, api)) as batches:
            async for batch in batches:
                lake, _ = await session.run(partial(batch_to_lake, ask.kind, batch))
                yield lake

    async def _batches(
        self, session: LoopSession, ask: ExportRequest, api: Api | str
    ) -> AsyncGenerator[pa.RecordBatch]:
        # Each batch is made in a thread when it is asked for, so nothing runs ahead and no thread waits in between.
        batches = streamed(session, self._settings, ask, api)
        try:
            while (batch := await session.run(partial(next, batches, None))) is not None:
                yield batch
        finally:
            batches.close()  # here, as the client may be closed by now; it deletes one file at most

    def _session(self) -> LoopSession:
        return LoopSession(
            self._direct, self._proxied, self._tokens, self._settings.patience, self._limits, self._threads
        )
