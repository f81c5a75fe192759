"""A request that asks for another protocol, and has a body: it gets one answer, to its whole body (RFC 9110, 7.8)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from starlette.types import Receive, Scope, Send

from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running
from counterfoil.testing import Server
from tests.server.raw_callers import answers, connected, send_in_pieces

BODY = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"  # were it read as a request, it would be one
UPGRADES = {
    "h2c, as Java and curl write it": (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ),
    "a web socket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "TLS": b"Upgrade: TLS/1.2, HTTP/1.1\r\nconnection: upgrade\r\n",
    "no known protocol": b"UPGRADE: frobnicate/9, \xc3\xa4\r\nCONNECTION: close-not, UPGRADE\r\n",
    "two of them": b"Upgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "without a Connection": b"Upgrade: h2c\r\n",
}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    text = scope["path"].encode() + b" " + body
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(echo, [Endpoint("127.0.0.1", 0)]) as [url]:
        yield url


def request(path: str, upgrade: bytes, *, chunked: bool, method: str = "POST") -> tuple[bytes, bytes]:
    """The head and the framed body of a request."""
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(BODY)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + upgrade + length + b"\r\n"
    half = len(BODY) // 2
    chunks = [b"%x\r\n%s\r\n" % (len(each), each) for each in (BODY[:half], BODY[half:], b"")]
    return head, b"".join(chunks) if chunked else BODY


def ways_to_send(head: bytes, body: bytes) -> Iterator[Sequence[bytes]]:
    """In one piece, the body by itself, cut in the head's last line end and in the middle of the body."""
    yield [head + body]
    yield [head, body]
    yield [head[:-1], head[-1:] + body[:7], body[7:]]
    yield [head[:-3], head[-3:] + body]


@pytest.mark.parametrize(("what", "chunked"), list(product(UPGRADES, [False, True])))
def test_the_body_is_read_as_the_body(url: str, what: str, chunked: bool) -> None:
    for pieces in ways_to_send(*request("/one", UPGRADES[what], chunked=chunked)):
        with connected(url) as caller:
            send_in_pieces(caller, pieces)
            assert answers(caller, 1) == [(200, b"/one " + BODY)]
            caller.sendall(b"".join(request("/two", b"", chunked=False)))  # the connection goes on as it was
            assert answers(caller, 1) == [(200, b"/two " + BODY)]


@pytest.mark.parametrize("what", UPGRADES)
def test_requests_in_a_row_around_it_are_answered_in_order(url: str, what: str) -> None:
    row = [request("/one", b"", chunked=False), request("/two", UPGRADES[what], chunked=True)]
    row += [request("/three", UPGRADES[what], chunked=False), request("/four", b"", chunked=True)]
    with connected(url) as caller:
        caller.sendall(b"".join(part for pair in row for part in pair))
        names = (b"/one ", b"/two ", b"/three ", b"/four ")
        assert answers(caller, 4) == [(200, name + BODY) for name in names]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_whatever_the_method(url: str, method: str) -> None:
    upgrade = UPGRADES["a web socket"]
    with connected(url) as caller:
        send_in_pieces(caller, request("/one", upgrade, chunked=False, method=method))
        assert answers(caller, 1) == [(200, b"/one " + BODY)]
        caller.sendall(f"{method} /bare HTTP/1.1\r\nHost: x\r\n".encode() + upgrade + b"\r\n")
        assert answers(caller, 1) == [(200, b"/bare ")]


def test_a_body_that_waits_for_leave_gets_it(url: str) -> None:
    head, body = request("/one", UPGRADES["TLS"] + b"Expect: 100-continue\r\n", chunked=False)
    with connected(url) as caller:
        caller.sendall(head)
        assert caller.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(body)
        assert answers(caller, 1) == [(200, b"/one " + BODY)]


def test_a_tunnel_is_refused_and_nothing_behind_it_is_read(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + BODY)
        time.sleep(0.05)
        told = caller.recv(65_536)
        assert re.findall(rb"HTTP/1.1 (\d+)", told) == [b"400"]


@pytest.mark.parametrize("together", [True, False])
def test_an_export_asked_for_by_such_a_client_is_accepted(together: bool) -> None:
    body = b'{"invoiceId":"G099000123"}'
    with Server() as server:
        head = (
            b"POST /v1.0/reports/partners/billing/usage/billed/export HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + f"Authorization: Bearer {server.token()}\r\n".encode()
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
            + UPGRADES["h2c, as Java and curl write it"]
            + b"\r\n"
        )
        with connected(server.url) as caller:
            send_in_pieces(caller, [head + body] if together else [head, body])
            [(status, _)] = answers(caller, 1)
            assert status == 202
