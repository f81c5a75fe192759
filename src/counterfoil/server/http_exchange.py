"""A request and its answer, as an ASGI application sees them, and how the head of an answer is written."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Message, Scope

from counterfoil.wire.header_names import spelled

_LOG: Final = logging.getLogger("counterfoil.server")
_PHRASES: Final = {each.value: each.phrase for each in HTTPStatus}
_STATUS_LINES: Final = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}\r\n".encode() for code in range(100, 600)}

JOINED_BYTES_MAX: Final = 256 << 10  # copying more takes longer than one more system call

Bytes = bytes | bytearray | memoryview
Headers = list[tuple[bytes, bytes]]


class CallerLeftError(ConnectionError):
    """The connection has ended, so there is nobody to send to."""


class Wire(Protocol):
    """The connection, as far as one exchange needs it."""

    transport: asyncio.Transport

    def head_of(self, status: int, headers: Headers) -> bytes:
        """Return the head of an answer, with what every answer has."""

    def write(self, data: Bytes) -> None:
        """Send bytes."""

    async def writable(self) -> None:
        """Wait until nearly all that was written has left."""

    def read_on(self) -> None:
        """Let the rest of a body come."""

    def answered(self, exchange: Exchange) -> None:
        """Go on after an answer."""


def ends_of(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """Return what a connection gives to the scope of each of its requests: both addresses, and the scheme."""
    here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
    # An address of version 6 has two more numbers.
    return {"server": here and tuple(here[:2]), "client": there and tuple(there[:2]), "scheme": scheme}


def request_scope(ends: dict[str, Any], method: bytes, url: bytes, version: str, headers: Headers) -> dict[str, Any]:
    """Return what a request's head says; raises ValueError for a target that is none."""
    target = httptools.parse_url(url)
    raw_path = target.path or b"/"
    path = raw_path.decode("ascii")
    return {
        **ends,
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": version,
        "method": method.decode("ascii"),
        "root_path": "",
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": target.query or b"",
        "headers": headers,
    }


def answer_head(status: int, headers: Headers) -> bytes:
    """Write the head of an answer; raises RuntimeError for a header that would end before its end."""
    lines = [b"%s: %s\r\n" % (spelled(name), value) for name, value in headers]
    head = b"".join([_STATUS_LINES[status], *lines, b"\r\n"])
    ends = len(lines) + 2
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise RuntimeError("a header of an answer has the end of a line in it")
    return head


class Exchange:
    """A request and its answer, as an ASGI application sees them: `receive` and `send`.

    `whole`: the request is here to its end. `started` and `answered`: its answer has begun, and has ended. A piece of
    an answer is let go when the caller has taken it, so an answer in pieces never costs more than one of them.

    The head waits for the first piece of the body: in one write they cost one system call and wake the caller once.
    """

    def __init__(self, connection: Wire, scope: Scope, *, keep_alive: bool) -> None:
        self.transport = connection.transport
        self.keep_alive = keep_alive
        self.whole = self.started = self.answered = False
        self.is_body_held_back = any(name == b"expect" for name, _ in scope["headers"])  # until it is told to continue
        self._connection = connection
        self._scope = scope
        self._body = bytearray()
        self._told = self._left = False
        self._changed = asyncio.Event()
        self._head = b""
        self._to_send: int | None = None  # None: in chunks, or until the connection ends
        self._in_chunks = False

    async def run(self, app: ASGIApp) -> None:
        """Have the application answer."""
        try:
            await app(self._scope, self.receive, self.send)
        except CallerLeftError:
            pass
        except Exception:  # noqa: BLE001 - it must not end the loop; the entry point answers what it can
            _LOG.exception("the application failed to answer")
        finally:
            self._connection.answered(self)

    # --- the connection's calls -----------------------------------------------------------------------------------

    def take(self, body: bytes) -> int:
        """Keep a piece of the body; return how much waits for the application."""
        if self.answered:
            return 0  # nobody wants it
        self._body += body
        self._changed.set()
        return len(self._body)

    def end(self) -> None:
        """Note that the request is here to its end."""
        self.whole = True
        self._changed.set()

    def leave(self) -> None:
        """Note that the caller is gone."""
        self._left = True
        self._changed.set()

    # --- the application's calls ----------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next piece of the body, or, when there is none to come, wait until the caller has left."""
        if self.is_body_held_back and not (self.whole or self._left):
            self.is_body_held_back = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._left or self.answered):
            if self._body or (self.whole and not self._told):
                body, self._body = bytes(self._body), bytearray()
                self._told = self.whole
                self._connection.read_on()
                return {"type": "http.request", "body": body, "more_body": not self.whole}
            self._changed.clear()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send the head of the answer, or a piece of its body, and wait until the caller has taken nearly all of it.

        Raises CallerLeftError, and RuntimeError for what is no answer.
        """
        if self._left or self.transport.is_closing():
            raise CallerLeftError
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        elif self.started and not self.answered:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError("a body without a head, or behind the end of one")
        await self._connection.writable()

    def _start(self, status: int, headers: Headers) -> None:
        if self.started:
            raise RuntimeError("the answer had begun")
        given = dict(headers)
        if b"content-length" in given:
            self._to_send = int(given[b"content-length"])
        if self._scope["method"] == "HEAD" or status in {204, 304}:
            self._to_send = 0
        elif self._to_send is None and self._scope["http_version"] == "1.1":
            self._in_chunks = True
            headers.append((b"transfer-encoding", b"chunked"))
        elif self._to_send is None:
            self.keep_alive = False
        if b"close" in given.get(b"connection", b"").lower() or (self.is_body_held_back and not self.whole):
            self.keep_alive = False
        if not self.keep_alive and b"connection" not in given:
            headers.append((b"connection", b"close"))
        self._head = self._connection.head_of(status, headers)
        self.started = True

    def _send_body(self, body: Bytes, *, more: bool) -> None:
        if self._scope["method"] == "HEAD":
            body = b""
        if self._to_send is not None:
            self._to_send -= len(body)
            if self._to_send < 0 or (self._to_send and not more):
                raise RuntimeError("the body is longer or shorter than its Content-Length")
        elif self._in_chunks and body:
            body = b"".join([b"%x\r\n" % len(body), body, b"\r\n"])
        if self._in_chunks and not more:
            body = b"".join([body, b"0\r\n\r\n"])
        if self._head and len(body) > JOINED_BYTES_MAX:
            self._connection.write(self._head)
        elif self._head:
            body = b"".join([self._head, body])
        self._head = b""
        if body:
            self._connection.write(body)
        self.answered = not more
