"""One connection: requests of HTTP/1.1 in, the answers of an ASGI application out, and a bound on all that it holds.

**The rule.** A connection reads one request, answers it, and only then looks at the next. It always waits for one
thing, and every wait has a bound (`ConnectionBounds`):

| It waits for | at most |
| --- | --- |
| the first byte of a request | `first_byte_s` on a new connection, `keep_alive_s` after an answer |
| the rest of the head | `head_s` from its first byte, and `head_bytes` |
| the rest of the body | `request_s` from the request's first byte, and `body_bytes` |
| the application | its own bounds |
| the caller, who is to take the answer | as long as `progress_bytes` leave in every `stalled_s` |

Whoever is over a bound is cut off with `abort`: `close` would wait for it to read what was written.

What else was read stays unparsed, and the socket is not read meanwhile, so requests sent in a row cost one read at
most. For that the parser is given one head at a time, because it goes on to the end of whatever it is given.

An `Upgrade` is never taken, and then its request is an ordinary one (RFC 9110, 7.8). The parser would leave its body
unread and take it for the next request, so such a head is parsed again without that header.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from typing import Any, Final

import httptools
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from counterfoil.server.connection_bounds import ConnectionBounds, Connections
from counterfoil.server.deadline import Deadline
from counterfoil.server.http_exchange import Exchange, Headers, answer_head, ends_of, request_scope

CROWDED: Final = "counterfoil.crowded"  # in the scope of a request for which there is no room
FAREWELL_S: Final = 1  # for the first request of a new connection when the server stops, and for a caller to agree
_BODY_BYTES_AHEAD: Final = 64 << 10  # of a body that the application has not asked for yet
_HEAD_END: Final = b"\r\n\r\n"
_BAD: Final = b"Invalid HTTP request received."
_FAILED: Final = b"Internal Server Error"
_PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")


class _Stage(IntEnum):
    """What a connection waits for."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    ANSWER = 3
    END = 4


class HttpConnection(asyncio.Protocol):
    """A connection, from the moment that it is accepted (over https: agreed on) to its end."""

    def __init__(self, app: ASGIApp, state: ServerState, connections: Connections, bounds: ConnectionBounds) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self._app, self._state, self._connections, self._bounds = app, state, connections, bounds
        self._listed: set[Any] = state.connections  # to uvicorn's mind its own kinds of connection only
        self._parser = httptools.HttpRequestParser(self)
        self._unread, self._at = b"", 0
        self._stage = _Stage.IDLE
        self._exchanges: deque[Exchange] = deque()  # one, or two where a body and the next head came in one piece
        self._deadline = Deadline(self.loop, self._is_late)
        self._began = 0.0
        self._crowded = self._in_head = self._upgrade = self._broken = False
        self._ended = self._stopping = self._used = False
        self._reading, self._writable, self._url, self._headers = True, asyncio.Event(), b"", Headers()
        self._written = self._left = self._request_bytes = 0

    # --- the transport's calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self.transport = transport
        self._ends = ends_of(transport)
        self._is_https = self._ends["scheme"] == "https"
        self._writable.set()
        self._listed.add(self)
        self._crowded = not self._connections.add(self)
        self._connections.waits_for(self)
        self._deadline.set(self._bounds.first_byte_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits for the caller."""
        self._listed.discard(self)
        self._connections.discard(self)
        self._stage, self._unread = _Stage.END, b""
        self._deadline.end()
        for exchange in self._exchanges:
            exchange.leave()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came, up to the end of the request that is next."""
        self._unread = self._unread[self._at :] + data if self._unread else data
        self._at = 0
        self._parse()

    def eof_received(self) -> bool:
        """Answer what was asked before the caller had no more to say; over https that cannot be."""
        self._ended = True
        return self._stage is _Stage.ANSWER and not self._is_https

    def pause_writing(self) -> None:
        """Begin to wait for the caller to read."""
        self._writable.clear()
        self._connections.waits_for(self)
        self._left = self._bytes_left()
        self._deadline.set(self._bounds.stalled_s)

    def resume_writing(self) -> None:
        """Go on: the caller has read."""
        self._writable.set()
        if self._stage is _Stage.ANSWER:
            self._connections.works_for(self)
            self._deadline.lift()

    # --- the server's calls ---------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """End after the request that is at hand; a new connection has a moment to make its first."""
        self._stopping = True
        for exchange in self._exchanges:
            exchange.keep_alive = False
        if self._stage is _Stage.IDLE and self._used:
            self.close()
        elif self._stage < _Stage.ANSWER:
            self._deadline.set(FAREWELL_S)

    def abort(self) -> None:
        """Cut the connection off now."""
        self._stage = _Stage.END
        self.transport.abort()

    def close(self) -> None:
        """End the connection once all that was written is on its way, if the caller takes it."""
        self._stage, self._unread, self._left = _Stage.END, b"", self._bytes_left()
        self._deadline.set(FAREWELL_S if self._stopping and self._is_https else self._bounds.stalled_s)
        self.transport.close()

    # --- waiting --------------------------------------------------------------------------------------------------

    def _is_late(self) -> None:
        """Cut the caller off, unless he takes the answer quickly enough."""
        left = self._bytes_left()
        if self._stage >= _Stage.ANSWER and left - self._left >= self._bounds.progress_bytes:
            self._left = left
            self._deadline.set(self._bounds.stalled_s)
        else:
            self.abort()

    def _bytes_left(self) -> int:
        return self._written - self.transport.get_write_buffer_size()

    def _read_on(self, *, wanted: bool) -> None:
        if wanted is not self._reading and not self.transport.is_closing():
            self._reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    # --- reading requests -----------------------------------------------------------------------------------------

    def _parse(self) -> None:
        """Parse until a request is there to its end, then leave the rest alone until it is answered."""
        stage = self._stage
        while self._at < len(self._unread) and self._stage < _Stage.ANSWER:
            end = self._unread.find(_HEAD_END, self._at) + len(_HEAD_END)
            if end < len(_HEAD_END):
                end = len(self._unread)
            piece = self._unread[self._at : end]
            self._at = end
            self._feed(piece)
            self._advance()
        self._unread = self._unread if self._at < len(self._unread) else b""
        if self._stage is _Stage.ANSWER:
            self._connections.works_for(self)
            if self._writable.is_set():
                self._deadline.lift()
            self._read_on(wanted=not self._unread)
        elif self._stage is not stage and self._stage in {_Stage.HEAD, _Stage.BODY}:
            most_s = self._bounds.head_s if self._stage is _Stage.HEAD else self._bounds.request_s
            self._deadline.set(self._began + most_s - self.loop.time())
        if self._ended and self._stage < _Stage.ANSWER:
            self.close()  # it will never send the rest

    def _feed(self, piece: bytes) -> None:
        within_head = self._stage < _Stage.BODY
        self._request_bytes += len(piece)
        if self._request_bytes > (self._bounds.head_bytes if within_head else self._bounds.body_bytes):
            self._refuse()
            return
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as found:
            self._at -= len(piece) - found.args[0]
            self._decline_upgrade()
        except httptools.HttpParserError:
            self._refuse()

    def _decline_upgrade(self) -> None:
        """Parse the head again without the header that asks for another protocol."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        lines = [b"%s: %s\r\n" % pair for pair in self._headers if pair[0] != b"upgrade"]
        head = b"".join([b"%s %s HTTP/%s\r\n" % (method, self._url, version), *lines, b"\r\n"])
        self._upgrade = False
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()

    def _refuse(self) -> None:
        """Read no further: what comes is no HTTP. What was asked before it is answered first."""
        self._broken, self._unread = True, b""
        if self._exchanges and not self._exchanges[-1].whole:
            cut = self._exchanges.pop()
            cut.leave()
            if cut.started:
                self.close()
                return
        self._say_broken()

    def _say_broken(self) -> None:
        if self._broken and not self._exchanges and self._stage is not _Stage.END:
            self._connections.malformed.count()
            self._say(400, _BAD)
            self.close()

    def _advance(self) -> None:
        """Go on to the next request if the first one is here to its end and answered."""
        if not self._exchanges or not (self._exchanges[0].whole and self._exchanges[0].answered):
            return
        keep_alive = self._exchanges.popleft().keep_alive
        if self._stage is _Stage.END:
            return
        if not keep_alive:
            self.close()
        elif self._exchanges:
            self._begin(self._exchanges[0])
        elif self._broken:
            self._say_broken()
        else:
            self._used = True
            self._connections.waits_for(self)
            if self._in_head:
                self._stage, self._began = _Stage.HEAD, self.loop.time()
                self._deadline.set(self._bounds.head_s)
            else:
                self._stage = _Stage.IDLE
                self._deadline.set(self._bounds.keep_alive_s)

    # --- the parser's calls ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._headers, self._in_head = b"", Headers(), True
        if self._stage is _Stage.IDLE:
            self._stage, self._began = _Stage.HEAD, self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that comes behind a body of chunks is dropped."""
        if self._stage is not _Stage.BODY:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand the request over; its body may still be on its way. Raises ValueError for what we do not speak."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._upgrade = self._parser.should_upgrade() and method != b"CONNECT"
        if self._upgrade:
            return
        if method == b"CONNECT" or version not in {"1.0", "1.1"}:
            raise ValueError
        scope = request_scope(self._ends, method, self._url, version, self._headers)
        if self._crowded:
            scope[CROWDED] = True
        keep_alive = version == "1.1" and self._parser.should_keep_alive() and not (self._stopping or self._crowded)
        self._in_head = False
        self._exchanges.append(Exchange(self, scope, keep_alive=keep_alive))
        self._stage, self._request_bytes = _Stage.BODY, 0
        if len(self._exchanges) == 1:
            self._begin(self._exchanges[0])

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._read_on(wanted=self._exchanges[-1].take(body) <= _BODY_BYTES_AHEAD)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._upgrade:
            self._exchanges[-1].end()
            self._stage, self._request_bytes = _Stage.ANSWER, 0

    # --- answers --------------------------------------------------------------------------------------------------

    def head_of(self, status: int, headers: Headers) -> bytes:
        """Return the head of an answer, with what every answer has."""
        return answer_head(status, [*self._state.default_headers, *headers])

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, or keep them to be sent: `writable` says when the caller has taken them."""
        self._written += len(data)
        self.transport.write(data)

    async def writable(self) -> None:
        """Wait until nearly all that was written has left."""
        await self._writable.wait()

    def read_on(self) -> None:
        """Let the rest of a body come."""
        self._read_on(wanted=self._stage is not _Stage.ANSWER or not self._unread)

    def answered(self, exchange: Exchange) -> None:
        """Go on after an answer. One that broke off ends the connection, which is how the caller notices."""
        if self._stage is _Stage.END:
            return
        if not exchange.answered:
            if not exchange.started:
                self._say(500, _FAILED)
            self.close()
            return
        if not exchange.whole and not exchange.keep_alive:
            self._read_on(wanted=True)  # to close while the caller sends would reset the connection
            self._deadline.set(FAREWELL_S)
            if not self._is_https:
                self.transport.write_eof()
            return
        self._advance()
        if self._stage < _Stage.ANSWER:
            self._read_on(wanted=True)
        self._parse()

    def _say(self, status: int, text: bytes) -> None:
        length = (b"content-length", b"%d" % len(text))
        self.write(self.head_of(status, [_PLAIN, length, (b"connection", b"close")]) + text)

    def _begin(self, exchange: Exchange) -> None:
        task = self.loop.create_task(exchange.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
