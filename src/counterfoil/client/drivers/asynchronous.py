"""The asynchronous driver: runs flows with httpx.AsyncClient, and flows side by side as tasks.

It decides nothing that the blocking one does not. Work on this machine goes to threads, so that the loop stays free.
What a newcomer would get wrong: a blob's bytes are written in the loop all the same, piece by piece as they come. A
piece goes to the system's cache, which is several times quicker than to hand it to a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import httpx

from counterfoil.client.drivers.blocking import heavy_workers, processors
from counterfoil.client.drivers.bodies import ERROR_BYTES_MAX, Body, beginning
from counterfoil.client.drivers.http import Arriving, lower, outgoing, unanswered
from counterfoil.client.drivers.signing import Signer
from counterfoil.client.flows.steps import (
    Alone,
    Do,
    Fetch,
    Fetched,
    Flow,
    Send,
    Sign,
    Step,
    Together,
    Unanswered,
    Wait,
)
from counterfoil.client.protocol.messages import Answer
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import ProofError

Result = TypeVar("Result")


class AsyncDriver:
    """Runs flows in an event loop; see `Driver`."""

    def __init__(
        self, source: httpx.AsyncClient, storage: httpx.AsyncClient, signer: Signer, patience: Patience, parallel: int
    ) -> None:
        self._source = source
        self._storage = storage
        self._signer = signer
        self._patience = patience
        self._parallel = parallel
        self._processors = processors()
        self._downloads = asyncio.Semaphore(parallel)
        self._heavy = heavy_workers(self._processors)
        self._locks: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()  # those that somebody holds

    def close(self) -> None:
        """End the threads that were kept, without waiting; those who hold the clients close them."""
        self._heavy.shutdown(wait=False)

    async def run(self, flow: Flow[Result]) -> Result:
        """Run a flow to its end; returns its result or raises its error."""
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._perform(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides, and most often raises it again
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]

    async def work(self, work: Callable[[], Result]) -> Result:
        """Work in a thread; where this is cancelled, it ends when the work does."""
        return await _done(work)

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._send(step)
            case Fetch():
                async with self._downloads:
                    return await self._fetch(step)
            case Sign():
                return await self._signer.token_async(step.refused)
            case Wait():
                return await self._patience.async_sleep(step.seconds)
            case Do(heavy=True):
                return await _done(step.work, self._heavy)
            case Do():
                return await self.work(step.work)
            case Alone():
                lock = self._locks.setdefault(step.key, asyncio.Lock())
                async with lock:
                    return await self.run(step.flow)
            case Together():
                return await self._together(step.flows)

    async def _together(self, flows: Sequence[Flow[Any]]) -> None:
        waiting = iter(flows)
        running: set[asyncio.Task[Any]] = set()
        done: set[asyncio.Task[Any]] = set()
        try:
            while True:
                while len(running) < self._parallel + self._processors and (flow := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self.run(flow)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            # Also what is done: where several fail at once one is raised, and asyncio complains of errors nobody saw.
            await asyncio.gather(*running, *done, return_exceptions=True)

    async def _send(self, send: Send) -> Answer | Unanswered:
        call = outgoing(send)
        try:
            async with self._source.stream(
                call.method, call.url, headers=call.headers, content=call.content
            ) as response:
                body = Body(send.request, response)
                if not body.is_whole:
                    async for piece in response.aiter_raw():
                        body.add(piece)
                return Answer(send.request, response.status_code, lower(response.headers), body.whole())
        except httpx.RequestError as error:
            return unanswered(error)

    async def _fetch(self, fetch: Fetch) -> Fetched | Unanswered:
        arriving = Arriving(fetch)
        try:
            async with self._storage.stream("GET", fetch.request.url, headers=dict(fetch.request.headers)) as response:
                headers = lower(response.headers)
                if not arriving.begin(response.status_code, headers):
                    if response.is_stream_consumed:
                        return Fetched(response.status_code, headers, response.content[:ERROR_BYTES_MAX])
                    piece = await anext(response.aiter_raw(ERROR_BYTES_MAX), b"")
                    return Fetched(response.status_code, headers, beginning(headers, piece))
                with arriving.opened():
                    async for chunk in response.aiter_raw():
                        if not arriving.add(chunk):
                            break
                return arriving.fetched(response.status_code, headers)
        except httpx.InvalidURL:
            raise ProofError("A blob's link is no address that can be asked.") from None
        except httpx.RequestError as error:
            return unanswered(error, arriving.received)


async def _done(work: Callable[[], Result], workers: Executor | None = None) -> Result:
    """Work in a thread, and be done when this returns: what was cancelled, however often, still has its files open."""
    future = asyncio.get_running_loop().run_in_executor(workers, work)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return future.result()
    future.exception()  # asyncio complains of errors nobody saw
    raise cancelled
