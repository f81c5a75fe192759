"""The blocking driver: runs flows with httpx.Client, and flows side by side in threads.

What a newcomer would get wrong: downloads and heavy work are counted apart, so that converting one blob goes on
while the next one comes in, even when only one download may run at a time.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet, WeakValueDictionary

import httpx

from counterfoil.client.drivers.bodies import ERROR_BYTES_MAX, Body, beginning
from counterfoil.client.drivers.http import Arriving, lower, outgoing, unanswered
from counterfoil.client.drivers.signing import Signer
from counterfoil.client.flows.calls import Caller, CallLog
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
from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.messages import Answer, Request
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import ProofError

Result = TypeVar("Result")


def processors() -> int:
    """Return how many processors this process may use, where the system tells."""
    ask = getattr(os, "sched_getaffinity", None)
    return len(ask(0)) if ask else os.cpu_count() or 1


def heavy_workers(processors: int) -> ThreadPoolExecutor:
    """Return threads for heavy work, one for each processor; they end with whoever holds them.

    The threads that download do none of it: what a thread freed stays with it, so they would all keep the memory that
    a few of them use at a time.
    """
    return ThreadPoolExecutor(processors, thread_name_prefix="counterfoil-heavy")


class StoppedError(Exception):
    """Another flow failed, so this one is given up."""


class OpenSockets:
    """The connections in use, to be cut when a pull is given up: nobody can wake a thread that waits for bytes."""

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()

    def traced(self, stop: threading.Event | None, event: str, info: Mapping[str, Any]) -> None:
        """Take note of a connection that was made, and end it if `stop` came first; httpcore tells of it."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            made = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(made)
                if stop is not None and stop.is_set():  # else `cut` comes later, and finds it
                    _end(made)

    def cut(self) -> None:
        """End what is under way on all of them. Another pull over them is not lost: it fetches the rest anew."""
        with self._lock:
            for each in self._sockets:
                _end(each)


def _end(made: socket.socket) -> None:
    with suppress(OSError):  # it was closed already
        socket.socket.shutdown(made, socket.SHUT_RDWR)  # not SSL's own, which the reading thread needs


class Driver:
    """Runs flows. `source` is for calls that may bear a token, `storage` for blobs, which never do."""

    def __init__(
        self, source: httpx.Client, storage: httpx.Client, signer: Signer | None, patience: Patience, parallel: int = 1
    ) -> None:
        self._source = source
        self._storage = storage
        self._signer = signer
        self._patience = patience
        self._parallel = parallel
        self._processors = processors()
        self._downloads = threading.Semaphore(parallel)
        self._heavy = heavy_workers(self._processors)
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[object, threading.Lock] = WeakValueDictionary()  # those that somebody holds
        self._open = OpenSockets()

    def close(self) -> None:
        """End the threads that were kept; those who hold the clients close them."""
        self._heavy.shutdown()

    def run(self, flow: Flow[Result], stop: threading.Event | None = None) -> Result:
        """Run a flow to its end; returns its result or raises its error."""
        try:
            step = next(flow)
            while True:
                try:
                    result = self._perform(step, stop)
                except BaseException as error:  # noqa: BLE001 - the flow decides, and most often raises it again
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]

    def _perform(self, step: Step, stop: threading.Event | None) -> Any:
        _check_going_on(stop)
        match step:
            case Send():
                return self._send(step, stop)
            case Fetch():
                with self._downloads:
                    _check_going_on(stop)  # this wait may have been a long one
                    return self._fetch(step, stop)
            case Sign():
                assert self._signer is not None
                return self._signer.token(step.refused)
            case Wait():
                return self._wait(step.seconds, stop)
            case Do(heavy=True) if stop is not None:  # else nothing goes on beside it
                return self._heavy.submit(step.work).result()
            case Do():
                return step.work()
            case Alone():
                with self._guard:
                    lock = self._locks.setdefault(step.key, threading.Lock())
                with lock:
                    return self.run(step.flow, stop)
            case Together():
                return self._together(step.flows)

    def _wait(self, seconds: float, stop: threading.Event | None) -> None:
        if stop is None:
            self._patience.sleep(seconds)
            return
        while seconds > 0 and not stop.is_set():  # in short naps: another flow's failure ends the wait
            self._patience.sleep(min(seconds, 1.0))
            seconds -= 1.0

    def _together(self, flows: Sequence[Flow[Any]]) -> None:
        stop = threading.Event()
        waiting = iter(flows)
        workers = self._parallel + self._processors
        pool = ThreadPoolExecutor(workers, thread_name_prefix="counterfoil-pull")
        running: set[Future[Any]] = set()
        try:
            while True:
                while len(running) < workers and (flow := next(waiting, None)) is not None:
                    running.add(pool.submit(self.run, flow, stop))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            self._open.cut()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _traced(self, stop: threading.Event | None) -> dict[str, Any]:
        return {"trace": partial(self._open.traced, stop)}

    def _send(self, send: Send, stop: threading.Event | None) -> Answer | Unanswered:
        call = outgoing(send)
        try:
            with self._source.stream(
                call.method, call.url, headers=call.headers, content=call.content, extensions=self._traced(stop)
            ) as response:
                body = Body(send.request, response)
                if not body.is_whole:
                    for piece in response.iter_raw():
                        body.add(piece)
                return Answer(send.request, response.status_code, lower(response.headers), body.whole())
        except httpx.RequestError as error:
            return unanswered(error)

    def _fetch(self, fetch: Fetch, stop: threading.Event | None) -> Fetched | Unanswered:
        arriving = Arriving(fetch)
        try:
            with self._storage.stream(
                "GET", fetch.request.url, headers=dict(fetch.request.headers), extensions=self._traced(stop)
            ) as response:
                headers = lower(response.headers)
                if not arriving.begin(response.status_code, headers):
                    if response.is_stream_consumed:
                        return Fetched(response.status_code, headers, response.content[:ERROR_BYTES_MAX])
                    piece = next(response.iter_raw(ERROR_BYTES_MAX), b"")
                    return Fetched(response.status_code, headers, beginning(headers, piece))
                with arriving.opened():
                    for chunk in response.iter_raw():
                        _check_going_on(stop)
                        if not arriving.add(chunk):
                            break
                return arriving.fetched(response.status_code, headers)
        except httpx.InvalidURL:
            raise ProofError("A blob's link is no address that can be asked.") from None
        except httpx.RequestError as error:
            return unanswered(error, arriving.received)


def _check_going_on(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise StoppedError


class Connection:
    """Single calls without a token, as a sign-in makes them. Nothing it sends leaves the origin of `base`."""

    def __init__(self, client: httpx.Client, base: Base, patience: Patience) -> None:
        self._caller = Caller(base, patience, CallLog(), signs=False)
        self._driver = Driver(client, client, None, patience)

    def call(self, request: Request) -> Answer:
        """Return the answer of a call that succeeded; raises NoAnswerError, RefusedError or ProofError.

        What may pass is tried again, within the bounds of `Patience`.
        """
        return self._driver.run(self._caller.call(request))
