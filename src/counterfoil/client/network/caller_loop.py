"""Sessions for an event loop: the work runs in threads, and whatever must be awaited is awaited in the caller's loop.

That is the network (an httpx transport belongs to one loop), asynchronous credentials, and waits. The threads read,
check and write, so the loop is never blocked. A thread that waits for a loop which no longer runs would keep the
process from ending; it gives up instead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent import futures
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import httpx

from counterfoil.client.network.bearer_tokens import BearerTokens
from counterfoil.client.network.call_watch import CallWatch, StoppedError
from counterfoil.client.network.http_client import open_client
from counterfoil.client.network.session import Limits, Session
from counterfoil.client.protocol.retries import Patience

Result = TypeVar("Result")

_LOOK_S: Final = 1.0
_LOOKS_MAX: Final = 3  # a loop may rest between two calls of `run_until_complete`


class LoopSession(Session):
    """What one operation of an asynchronous client runs on. Make it in the caller's loop; `run` is awaited there."""

    _always_on_a_processor = True  # many operations of one client run side by side

    def __init__(
        self,
        direct: httpx.AsyncClient,
        proxied: httpx.AsyncClient,
        tokens: BearerTokens,
        patience: Patience,
        limits: Limits,
        threads: Executor,
    ) -> None:
        super().__init__(_over(direct, self), _over(proxied, self), tokens, patience, limits)
        self._bearer_tokens = tokens
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._given_up = False
        self._guard = threading.Lock()
        self._awaited: dict[Future[Any], int] = {}  # by the thread that waits

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run blocking work in a thread. Where the task is cancelled, this gives up, and ends when the thread does."""
        future = self._loop.run_in_executor(self._threads, work)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:  # however often: files are open until the thread ends
                cancelled = error
                self._given_up = True
                self._cut()
        if cancelled is not None:
            future.exception()  # asyncio reports errors that nobody looked at
            raise cancelled
        try:
            return future.result()
        except StoppedError:  # what was awaited was cancelled in the loop
            raise asyncio.CancelledError from None

    def awaited(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """Await something in the caller's loop, from one of the threads; raises StoppedError once it is given up."""
        with self._guard:
            self.check()  # under the guard: a later `_cut` finds the future
            future = self._begun(make)
            self._awaited[future] = threading.get_ident()
        try:
            return self._result(future)
        finally:
            with self._guard:
                del self._awaited[future]

    def clean_up(self, make: Callable[[], Awaitable[object]]) -> None:
        """Await in the caller's loop what cleans up, although the work was given up."""
        self._result(self._begun(make))

    def _begun(self, make: Callable[[], Awaitable[Result]]) -> Future[Result]:
        async def made() -> Result:
            return await make()

        coroutine = made()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            raise StoppedError from None

    def _result(self, future: Future[Result]) -> Result:
        looks_in_vain = 0
        while not futures.wait([future], _LOOK_S).done:
            looks_in_vain = 0 if self._loop.is_running() else looks_in_vain + 1
            if looks_in_vain == _LOOKS_MAX:
                future.cancel()
                raise StoppedError
        try:
            return future.result()
        except futures.CancelledError:
            raise StoppedError from None

    @property
    def is_stopped(self) -> bool:
        """Whether the work was given up, by its own failure or by the caller."""
        return self._given_up or super().is_stopped

    def token(self, refused: str | None = None) -> str:
        """Return a token from a credential of either kind; see `BearerTokens.token_async`."""
        return self.awaited(lambda: self._bearer_tokens.token_async(refused))

    def wait(self, seconds: float) -> None:
        """Let time pass in the caller's loop."""
        self.awaited(lambda: self.patience.async_sleep(seconds))

    def _cut(self, thread_id: int | None = None) -> None:
        with self._guard:
            for each, waiting in self._awaited.items():
                if thread_id in (None, waiting):
                    each.cancel()

    @contextmanager
    def _watched(self, watch: CallWatch) -> Iterator[CallWatch]:
        watch.cut = partial(self._cut, watch.thread_id)
        yield watch


def _over(http: httpx.AsyncClient, session: LoopSession) -> httpx.Client:
    """Return a blocking client that makes its calls through an asynchronous one; it need not be closed."""
    return open_client(transport=_LoopTransport(http, session))


class _LoopTransport(httpx.BaseTransport):
    """Hands each request to an asynchronous client in the caller's loop, and takes the body back piece by piece."""

    def __init__(self, http: httpx.AsyncClient, session: LoopSession) -> None:
        self._http = http
        self._session = session

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._session.awaited(lambda: self._http.send(request, stream=True))
        pieces = _LoopStream(response, self._session)
        return httpx.Response(response.status_code, headers=response.headers, stream=pieces)


class _LoopStream(httpx.SyncByteStream):
    """The body of a response that arrives in the caller's loop, as it came over the wire."""

    def __init__(self, response: httpx.Response, session: LoopSession) -> None:
        self._response = response
        self._session = session

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        pieces = aiter(self._response.stream)
        while (piece := self._session.awaited(lambda: anext(pieces, None))) is not None:
            yield piece

    def close(self) -> None:
        self._session.clean_up(self._response.aclose)
