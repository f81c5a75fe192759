"""Starting and stopping the web server. It prints nothing: it passes the ports to its caller.

uvicorn starts and stops it, and keeps its clock. Its connections are our own (`http_connection`), because neither
uvicorn's nor those of other servers bound what a caller may leave unread.
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
from functools import partial
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from counterfoil.errors import CounterfoilError, UsageError
from counterfoil.server import spare_memory
from counterfoil.server.connection_bounds import ConnectionBounds, Connections, raise_file_limit
from counterfoil.server.http_connection import HttpConnection
from counterfoil.server.listening import BACKLOG, Endpoint, Listener, listeners
from counterfoil.server.renewed_certificate import RenewedCertificate

GRACE_S: Final = 10
CERTIFICATE_TICKS: Final = 20  # of a tenth of a second
_START_S_MAX: Final = 30
_CUTS_MAX: Final = 100


OnReady = Callable[[Sequence[str]], None]  # is given the base URLs for callers on this machine


class _Server(uvicorn.Server):
    """A uvicorn server with our connections. It leaves signals to us: there may be two, and one signal is for both."""

    def __init__(
        self,
        config: uvicorn.Config,
        endpoint: Endpoint,
        connections: Connections,
        bounds: ConnectionBounds,
        on_started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._connections, self._bounds, self._on_started = connections, bounds, on_started
        self._certificate = RenewedCertificate(endpoint, config.ssl) if config.ssl is not None else None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen at the sockets, and say so."""
        assert sockets is not None
        await self.on_tick(0)  # which sets the Date of the first answers
        loop, config = asyncio.get_running_loop(), self.config
        make = partial(HttpConnection, config.loaded_app, self.server_state, self._connections, self._bounds)
        agreed_s = self._bounds.first_byte_s if config.ssl else None
        self.servers = [
            await loop.create_server(
                make, sock=each, ssl=config.ssl, ssl_handshake_timeout=agreed_s, backlog=config.backlog
            )
            for each in sockets
        ]
        self.started = True
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second, and look for a renewed certificate now and then."""
        if self._certificate is not None and counter % CERTIFICATE_TICKS == 0:
            self._certificate.look()
        return await super().on_tick(counter)

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
    """Serves one application at one or more endpoints until `stop` or a signal.

    With `passed`, sockets that listen already, it listens at these: one for each endpoint, in the same order.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Sequence[Endpoint],
        on_ready: OnReady,
        *,
        grace_s: int = GRACE_S,
        bounds: ConnectionBounds | None = None,
        passed: Sequence[socket.socket] = (),
    ) -> None:
        self._endpoints, self._passed = endpoints, passed
        self._on_ready = on_ready
        bounds = bounds or ConnectionBounds()
        self.connections = Connections(min(bounds.connections, raise_file_limit()))
        self._servers = [
            _Server(_config(app, endpoint, grace_s), endpoint, self.connections, bounds, self._on_started)
            for endpoint in endpoints
        ]
        self._listeners: list[Listener] = []
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
        with contextlib.ExitStack() as stack:
            if signals:  # the process is ours
                loop = asyncio.get_running_loop()
                for number in (signal.SIGTERM, signal.SIGINT):
                    try:
                        loop.add_signal_handler(number, self._on_signal)
                    except NotImplementedError:  # on Windows
                        signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._on_signal))
                stack.enter_context(spare_memory.given_back())
            self._listeners = listeners(self._endpoints, self._passed)
            for each in self._listeners:
                stack.enter_context(each.socket)
            pairs = zip(self._servers, self._listeners, strict=True)
            await asyncio.gather(*(server.serve(sockets=[each.socket]) for server, each in pairs))

    def _on_started(self) -> None:
        if all(server.started for server in self._servers):
            self._on_ready([each.url for each in self._listeners])

    def _on_signal(self) -> None:
        if self._signalled:  # asked twice: do not wait for anybody
            for server in self._servers:
                server.force_exit = True
        self._signalled = True
        self.stop()


def _config(app: ASGIApp, endpoint: Endpoint, grace_s: int) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace_s,
        backlog=BACKLOG,
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


@contextlib.contextmanager
def running(
    app: ASGIApp, endpoints: Sequence[Endpoint], *, grace_s: int = GRACE_S, bounds: ConnectionBounds | None = None
) -> Iterator[Sequence[str]]:
    """Serve from another thread for as long as the context lasts; for tests, and for programs with other work.

    Yields the base URLs.
    """
    ready: Future[Sequence[str]] = Future()
    server = WebServer(app, endpoints, ready.set_result, grace_s=grace_s, bounds=bounds)

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
