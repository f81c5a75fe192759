"""Starting and stopping the web server. It prints nothing: it passes the ports to its caller.

The HTTP parser has no limits of its own, so a caller could fill the memory with one endless header, or hold a
connection for ever with a header that never ends. `_BoundedProtocol` cuts both off; within its bounds, the entry
point refuses with a proper answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from counterfoil.errors import CounterfoilError, UsageError

HEAD_BYTES_MAX: Final = 64 * 1024  # of the request line and headers together
REQUEST_S_MAX: Final = 60  # from a request's first byte to its last; bodies are small
KEEP_ALIVE_S: Final = 75  # longer than the idle time of the usual clients' pools, so that they close first
GRACE_S: Final = 10
FAREWELL_S: Final = 1  # for a caller that keeps an idle https connection to agree to its end
_START_S_MAX: Final = 30
_CUTS_MAX: Final = 100
_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen at. Port 0 picks a free one; with certificate and key it is https."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def url(self, port: int) -> str:
        """Return the base URL for callers on this machine, with the port that was picked."""
        return url_of("https" if self.certificate else "http", self.host, port)


def url_of(scheme: str, host: str, port: int) -> str:
    """Return a base URL; an address of version 6 is in brackets there."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


OnReady = Callable[[Sequence[str]], None]  # is given the base URLs for callers on this machine


class _BoundedProtocol(HttpToolsProtocol):
    """Drops a connection whose request is too long or too slow, or that does not end when the server does."""

    _head_bytes = 0
    _arriving = True  # a request has begun, or was never made, and is not yet here to its end
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most requests come in one piece and need no timer.
        if not self._arriving:
            self._end_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._begin_deadline()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._arriving = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving = False

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def shutdown(self) -> None:
        """End an idle connection. Over TLS that takes a caller who answers, and a pool of connections never does."""
        super().shutdown()
        if self.scheme == "https" and (self.cycle is None or self.cycle.response_complete):
            self.loop.call_later(FAREWELL_S, self.transport.abort)

    def _begin_deadline(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S_MAX, self._too_late)

    def _too_late(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        if answering:  # a long download; the request behind it is not even read before that is done
            self._begin_deadline()
        else:
            self.transport.abort()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            raise ValueError  # the parser stops, and the caller gets a 400


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us: there may be two, and one signal is for both."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say so."""
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does; then cut what is still connected, for a loop must not be closed under a connection."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for _ in range(_CUTS_MAX):
            if not self.server_state.connections:
                break
            await asyncio.sleep(0.01)


class WebServer:
    """Serves one application at one or more endpoints until `stop` or a signal."""

    def __init__(
        self, app: ASGIApp, endpoints: Sequence[Endpoint], on_ready: OnReady, *, grace_s: int = GRACE_S
    ) -> None:
        self._endpoints = endpoints
        self._on_ready = on_ready
        self._servers = [_Server(_config(app, endpoint, grace_s), self._on_started) for endpoint in endpoints]
        self._sockets: list[socket.socket] = []
        self._signalled = False

    def run(self, *, signals: bool = True) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; finishes what is being answered, for a while."""
        factory = self._servers[0].config.get_loop_factory()
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self._serve(signals=signals))

    def stop(self) -> None:
        """Begin to stop; safe from any thread."""
        for server in self._servers:
            server.should_exit = True

    async def _serve(self, *, signals: bool) -> None:
        if signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._on_signal)
        with contextlib.ExitStack() as stack:
            self._sockets = [stack.enter_context(_bind(endpoint)) for endpoint in self._endpoints]
            pairs = zip(self._servers, self._sockets, strict=True)
            await asyncio.gather(*(server.serve(sockets=[bound]) for server, bound in pairs))

    def _on_started(self) -> None:
        if all(server.started for server in self._servers):
            ports = (bound.getsockname()[1] for bound in self._sockets)
            self._on_ready([each.url(port) for each, port in zip(self._endpoints, ports, strict=True)])

    def _on_signal(self) -> None:
        if self._signalled:  # asked twice: do not wait for anybody
            for server in self._servers:
                server.force_exit = True
        self._signalled = True
        self.stop()


def _config(app: ASGIApp, endpoint: Endpoint, grace_s: int) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_BoundedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        backlog=_BACKLOG,
        ssl_certfile=endpoint.certificate,
        ssl_keyfile=endpoint.key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"The certificate or its key cannot be used: {error}.") from None
    # uvicorn logs every start and stop; our caller reports what matters.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return config


def _bind(endpoint: Endpoint) -> socket.socket:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{endpoint.host!r} is not an address to listen on: {error.strerror}.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"Port {endpoint.port} of {endpoint.host} cannot be used: {error.strerror}.",
            remedy="Name another port; 0 picks a free one.",
            parameter="https_port" if endpoint.certificate else "port",
        ) from None
    return bound


def check_free(endpoints: Sequence[Endpoint]) -> None:
    """Raise UsageError for what cannot be listened on now, before there is anything that listens."""
    for endpoint in endpoints:
        _bind(endpoint).close()


@contextlib.contextmanager
def running(app: ASGIApp, endpoints: Sequence[Endpoint], *, grace_s: int = GRACE_S) -> Iterator[Sequence[str]]:
    """Serve from another thread for as long as the context lasts; for tests, and for programs with other work.

    Yields the base URLs.
    """
    ready: Future[Sequence[str]] = Future()
    server = WebServer(app, endpoints, ready.set_result, grace_s=grace_s)

    def serve() -> None:
        try:
            server.run(signals=False)
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can see it
            if not ready.done():
                ready.set_exception(error)

    thread = threading.Thread(target=serve, name="counterfoil-server", daemon=True)
    thread.start()
    try:
        try:
            urls = ready.result(_START_S_MAX)
        except TimeoutError:
            raise CounterfoilError("The server did not start.") from None
        yield urls
    finally:
        server.stop()
        thread.join()
