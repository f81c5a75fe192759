"""The entry point: every request enters here, and every error response is written here.

Plain ASGI and cheap on purpose, because /v1 serves thousands of requests a second: it checks who is addressed and how
long the request is, tidies the path, and hands over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Final
from urllib.parse import unquote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.errors import BadRequestError, TooLargeError, UnavailableError
from counterfoil.server.access_log import write_access_line
from counterfoil.server.error_responses import (
    LOG,
    ApiDialect,
    RequestIds,
    as_refusal,
    dialect_of,
    header,
    refusal,
    request_id_of,
)
from counterfoil.server.http_connection import CROWDED
from counterfoil.server.http_exchange import CallerLeftError
from counterfoil.server.request_record import RequestRecord
from counterfoil.server.server_parts import Service
from counterfoil.wire.graph import BODY_BYTES_MAX
from counterfoil.wire.graph_paths import canonical_path

URL_BYTES_MAX: Final = 8 * 1024
HEADER_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
CROWDED_RETRY_S: Final = 5
_SLASHES: Final = re.compile(b"/{2,}")


class EntryPoint:
    """Hands requests to three applications: `v1`, `blobs`, and `rest` for everything else."""

    def __init__(self, service: Service, *, v1: ASGIApp, blobs: ASGIApp, rest: ASGIApp) -> None:
        self._v1 = v1
        self._blobs = blobs
        self._rest = rest
        self._wall = service.clocks.wall
        self._security_log = service.security_log
        self._tell = [write_access_line, *([service.metrics.count] if service.metrics is not None else [])]
        self._is_local = _hosts(service.open_to).fullmatch if service.development else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request over HTTP: the web server passes on nothing else."""
        record = RequestRecord(scope, send, self._tell)
        send = record.send
        try:
            raw_path = scope["raw_path"]
            self._admit(scope, raw_path)
            if b"//" in raw_path:
                scope["raw_path"] = _SLASHES.sub(b"/", raw_path)
                scope["path"] = unquote(scope["raw_path"].decode("ascii"))
            # The usual spelling of the busiest API must not wait for a closer look.
            if scope["path"].startswith("/v1/"):
                await self._v1(scope, receive, send)
            else:
                await self._elsewhere(scope, receive, send)
        except (ClientDisconnect, CallerLeftError):
            LOG.debug("request %s: the caller left", RequestIds.of(scope).request_id)
        except Exception as error:  # noqa: BLE001 - this is the one place where it must end
            await self._refuse(error, scope, send)
        finally:
            record.end()

    def _admit(self, scope: Scope, raw_path: bytes) -> None:
        if CROWDED in scope:
            raise UnavailableError("The service has too many callers now; try again.", retry_after_s=CROWDED_RETRY_S)
        if len(raw_path) + len(scope["query_string"]) > URL_BYTES_MAX:
            raise TooLargeError(f"The address may have {URL_BYTES_MAX} bytes.")
        headers = scope["headers"]
        if len(headers) > HEADERS_MAX or sum(map(len, chain.from_iterable(headers))) > HEADER_BYTES_MAX:
            raise TooLargeError(f"A request may have {HEADERS_MAX} headers with {HEADER_BYTES_MAX} bytes.")
        if self._is_local is not None:
            hosts = [value for name, value in headers if name == b"host"]
            if len(hosts) != 1 or self._is_local(hosts[0]) is None:
                # A web page can make a browser send requests here under a name of its own (DNS rebinding).
                raise BadRequestError(
                    "This development server answers to localhost only; the Host header names another host. "
                    "Its operator can let it answer to that name: the option dev-open of `counterfoil serve`."
                )

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        dialect = dialect_of(scope["path"])
        if dialect is ApiDialect.PARTNER_CENTER:
            await self._v1(scope, receive, send)
        elif dialect is ApiDialect.STORAGE:
            await self._blobs(scope, receive, send)
        else:
            if dialect is ApiDialect.GRAPH:
                # Not decoded: a slash that was written as %2F belongs to an id and must not part it.
                scope["path"] = canonical_path(scope["raw_path"].decode("ascii"))
            await self._rest(scope, _bounded(scope, receive), send)

    async def _refuse(self, error: Exception, scope: Scope, send: Send) -> None:
        refused = as_refusal(error)
        dialect = dialect_of(scope["path"])
        if refused.status == 500:
            request_id = request_id_of(dialect, scope)
            LOG.error("request %s: %s %s failed", request_id, scope["method"], ascii(scope["path"]), exc_info=error)
        self._security_log.refused(scope, refused)
        status, headers, body = refusal(dialect, refused, scope, self._wall())
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except CallerLeftError:
            LOG.debug("request %s: the caller left", RequestIds.of(scope).request_id)
        except RuntimeError:
            # The answer had begun. The server now cuts the connection, which is how the caller notices.
            LOG.debug("request %s: the answer had begun", RequestIds.of(scope).request_id)


def _hosts(names: Iterable[str]) -> re.Pattern[bytes]:
    loopback = [rb"localhost", rb"127\.\d{1,3}\.\d{1,3}\.\d{1,3}", rb"\[::1\]"]
    allowed = b"|".join([*loopback, *(re.escape(name.encode("idna")) for name in names)])
    return re.compile(rb"(?:" + allowed + rb")(?::\d{1,5})?", re.IGNORECASE)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that refuses a body longer than any of ours."""
    refused = TooLargeError(f"A request body may have {BODY_BYTES_MAX} bytes.")
    length = header(scope, b"content-length")
    if length.isdecimal() and int(length[:10]) > BODY_BYTES_MAX:
        raise refused
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES_MAX:
            raise refused
        return message

    return bounded
