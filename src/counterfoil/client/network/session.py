"""One pull, export or stream under way: its calls and downloads, its waits and threads, until it ends or is given up.

A thread that waits for bytes cannot be woken, so giving up shuts its connection down. Downloads and heavy work have
separate limits: one blob is converted while the next one arrives, even when only one download may run at a time.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import httpx

from counterfoil.client.network.bearer_tokens import BearerTokens
from counterfoil.client.network.call_watch import STALL_BYTES_MIN, CallWatch, StoppedError
from counterfoil.client.network.http_calls import BlobRequest, fetch, send
from counterfoil.client.network.http_client import open_client
from counterfoil.client.protocol.addresses import Base, Origin
from counterfoil.client.protocol.messages import Fetched, Request, SourceAnswer, Unanswered
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import OperationTimeoutError

Result = TypeVar("Result")

_NAP_S: Final = 1.0
_LOOK_S: Final = 0.1


class Limits:
    """How much all sessions of one client may do at a time: `parallel` downloads, and heavy work on each processor."""

    def __init__(self, parallel: int = 1) -> None:
        ask = getattr(os, "sched_getaffinity", None)  # the processors of this process, if the system says
        processors = len(ask(0)) if ask else os.cpu_count() or 1
        self.downloads = threading.Semaphore(parallel)
        self.workers = parallel + processors
        # Threads of their own: freed memory stays with its thread, and the downloading threads are more than these.
        self.heavy = ThreadPoolExecutor(processors, thread_name_prefix="counterfoil-heavy")

    def close(self, *, waiting: bool = True) -> None:
        """End the threads that were kept."""
        self.heavy.shutdown(wait=waiting)


class OpenSockets:
    """The connections of one client, to be shut down when a pull is given up, or a call takes too long."""

    def __init__(self) -> None:
        self._sockets: WeakKeyDictionary[socket.socket, object] = WeakKeyDictionary()  # who uses each; None: unknown
        self._lock = threading.Lock()

    def traced(self, user: object, is_stopped: Callable[[], bool], event: str, info: Mapping[str, Any]) -> None:
        """Note a new connection, and shut it down if it comes too late; httpcore calls this at each step."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            made = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets[made] = user
                if is_stopped():  # otherwise `cut` comes later, and finds it
                    _end(made)

    def used(self, user: object, response: httpx.Response) -> None:
        """Note who uses a connection. It is known when an answer begins, and not before, where it was there already."""
        stream = response.extensions.get("network_stream")
        made = None if stream is None else stream.get_extra_info("socket")
        with self._lock:
            if made is not None:
                self._sockets[made] = user

    def free(self, user: object) -> None:
        """Forget what somebody used: it may be used by others from now on."""
        with self._lock:
            for each in [each for each, found in self._sockets.items() if found is user]:
                self._sockets[each] = None

    def cut(self, user: object = None) -> None:
        """Shut all of them down, or those of one user, or where they are not known all that are nobody's.

        Others over these connections lose nothing: each resumes on a new one.
        """
        with self._lock:
            users = self._sockets.values()
            wanted = user if any(found is user for found in users) else None
            for each, found in self._sockets.items():
                if user is None or found is wanted:
                    _end(each)


def _end(made: socket.socket) -> None:
    with suppress(OSError):  # it was closed already
        socket.socket.shutdown(made, socket.SHUT_RDWR)  # not SSL's own, which the reading thread needs


class Session:
    """What one operation of a blocking client runs on. `direct` is for this machine, `proxied` for all others.

    `side_by_side` runs in several threads, which share the session; it is not for several operations at a time.
    """

    _always_on_a_processor = False

    def __init__(
        self,
        direct: httpx.Client,
        proxied: httpx.Client,
        tokens: BearerTokens | None = None,
        patience: Patience | None = None,
        limits: Limits | None = None,
        sockets: OpenSockets | None = None,
    ) -> None:
        self._direct = direct
        self._proxied = proxied
        self._tokens = tokens
        self.patience = patience or Patience()
        self._limits = limits or Limits()
        self._sockets = sockets or OpenSockets()
        self._group: threading.Event | None = None  # set when one of the threads side by side fails
        self._ends_at_s = math.inf

    @property
    def is_stopped(self) -> bool:
        """Whether the work that is under way was given up."""
        return self._group is not None and self._group.is_set()

    def end_in_time(self) -> None:
        """Begin to count `Patience.pull_s_max`: from then on `check` raises OperationTimeoutError."""
        self._ends_at_s = self.patience.monotonic() + self.patience.pull_s_max

    def check(self) -> None:
        """Raise StoppedError if the work was given up, OperationTimeoutError if it took too long."""
        if self.is_stopped:
            raise StoppedError
        if self.patience.monotonic() > self._ends_at_s:
            raise OperationTimeoutError(
                f"The pull did not end within {self.patience.pull_s_max:,.0f} s.",
                remedy="Trying again is safe: the source may be quicker then.",
            )

    def send(self, request: Request, base: Base, token: str = "") -> SourceAnswer | Unanswered:
        """Make one call to `base` and return its whole answer; raises ProofError, and sends nothing, to elsewhere."""
        self.check()
        with self._watched(CallWatch(self.patience.answer_s_max)) as watch:
            return send(self._way_to(request.url), request, base, token, watch)

    def fetch(self, blob: BlobRequest) -> Fetched | SourceAnswer | Unanswered:
        """Bring a blob's bytes into its part file, as soon as another download may run."""
        while not self._limits.downloads.acquire(timeout=_LOOK_S):
            self.check()
        try:
            self.check()
            with self._watched(CallWatch(self.patience.stall_s_max, STALL_BYTES_MIN)) as watch:
                return fetch(self._way_to(blob.request.url), blob, watch, self.check)
        finally:
            self._limits.downloads.release()

    def token(self, refused: str | None = None) -> str:
        """Return a token for a call; see `BearerTokens.token`."""
        self.check()
        return self._tokens.token(refused) if self._tokens else ""

    def wait(self, seconds: float) -> None:
        """Let time pass, in short naps where another thread's failure would end the wait."""
        self.check()
        if self._group is None:
            self.patience.sleep(seconds)
            return
        while seconds > 0 and not self.is_stopped:
            self.patience.sleep(min(seconds, _NAP_S))
            seconds -= _NAP_S

    def work(self, work: Callable[[], Result]) -> Result:
        """Run work that needs a processor; at most as many pieces run at once as there are processors."""
        self.check()
        if self._group is None and not self._always_on_a_processor:  # nothing runs beside it
            return work()
        return self._limits.heavy.submit(work).result()

    def side_by_side(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Run tasks in threads. The first that fails stops the others, and its error is raised."""
        self.check()
        self._group = stop = threading.Event()
        waiting = iter(tasks)
        pool = ThreadPoolExecutor(self._limits.workers, thread_name_prefix="counterfoil-pull")
        running: set[Future[None]] = set()
        try:
            while True:
                while len(running) < self._limits.workers and (task := next(waiting, None)) is not None:
                    running.add(pool.submit(task))
                if not running:
                    return
                done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            self._cut()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._group = None

    def _way_to(self, url: str) -> httpx.Client:
        try:
            return self._direct if Origin.of(str(httpx.URL(url))).is_loopback else self._proxied
        except (ValueError, httpx.InvalidURL):  # which is refused before anything is sent
            return self._proxied

    def _cut(self) -> None:
        self._sockets.cut()

    @contextmanager
    def _watched(self, watch: CallWatch) -> Iterator[CallWatch]:
        """Let a watch know its call's connection."""
        sockets = self._sockets
        watch.extensions = {"trace": partial(sockets.traced, watch, lambda: self.is_stopped or watch.is_over)}
        watch.answering = partial(sockets.used, watch)
        watch.cut = partial(sockets.cut, watch)
        try:
            yield watch
        finally:
            sockets.free(watch)


@contextmanager
def open_session(
    tokens: BearerTokens | None = None,
    patience: Patience | None = None,
    *,
    verify: ssl.SSLContext | bool = True,
    transport: httpx.BaseTransport | None = None,
) -> Iterator[Session]:
    """Give a session for a few calls, with connections of its own."""
    with (
        open_client(verify=verify, transport=transport, proxied=False) as direct,
        open_client(verify=verify, transport=transport) as proxied,
    ):
        yield Session(direct, proxied, tokens, patience)
