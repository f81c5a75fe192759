"""What is no proper HTTP: each gets a refusal or a closed connection, and the server goes on as if nothing was.

Nothing of it may reach the log as a failure of ours.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.server.app import create_app
from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running
from counterfoil.testing import PARTNER, Server

HOST = b"Host: localhost\r\n"
END = b"\r\n"
POST = f"POST /{PARTNER}/oauth2/v2.0/token HTTP/1.1\r\n".encode() + HOST
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = POST + FORM + b"Transfer-Encoding: chunked\r\n" + END
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + END
PATIENCE_S = 60


@pytest.fixture(scope="module")
def at_work() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server(at_work: Server, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    """The server; afterwards it still answers, and has logged no failure."""
    yield at_work
    assert httpx.get(f"{at_work.url}/healthz", timeout=PATIENCE_S).json() == {"status": "ok"}
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def connected(to: Server | int) -> socket.socket:
    port = to if isinstance(to, int) else urlsplit(to.url).port
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def told(to: Server | int, sent: bytes, *, shut: bool = True) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with closing(connected(to)) as caller:
        answer = b""
        try:
            caller.sendall(sent)
            if shut:
                caller.shutdown(socket.SHUT_WR)
            while piece := caller.recv(65_536):
                answer += piece
        except OSError:
            pass  # it was cut off while we were still talking
        return answer


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in a row."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


REFUSED_400 = {
    "words": b"hello, is this the bank?\r\n\r\n",
    "zeros": b"\0" * 4_096,
    "the beginning of TLS": bytes.fromhex("1603010200010001fc0303") + b"\x11" * 500,
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\n" + HOST + END,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method of no kind": b"G\xc3\x84T /healthz HTTP/1.1\r\n" + HOST + END,
    "a space in the address": b"GET /heal thz HTTP/1.1\r\n" + HOST + END,
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a zero in a header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "a length below nothing": POST + b"Content-Length: -1\r\n\r\n",
    "a length that is no number": POST + b"Content-Length: ten\r\n\r\n",
    "a length beyond counting": POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "a length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an endless request line": b"GET /" + b"x" * 300_000,
    "an endless header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 300_000,
    "headers without end": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 60_000,
}


@pytest.mark.parametrize("what", REFUSED_400)
def test_what_is_no_request_is_refused_or_cut_off(server: Server, what: str) -> None:
    """Cut off while it was still talking, a caller may not see the refusal."""
    assert set(statuses(told(server, REFUSED_400[what]))) <= {400}


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n" + END, 400),  # no Host
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + END, 413),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: y\r\n" * 101 + END, 413),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: " + b"y" * 33_000 + b"\r\n\r\n", 413),
        (POST + b"Connection: close\r\n" + FORM + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000, 413),
        (POST + b"Connection: close\r\n" + FORM + b"Content-Length: 999999999999\r\n\r\n", 413),
    ],
)
def test_what_is_a_request_is_refused_in_words(server: Server, what: bytes, status: int) -> None:
    answer = told(server, what, shut=False) if b"close" in what else told(server, what)
    assert statuses(answer) == [status]
    oauth = what.startswith(POST)
    assert (b'{"error": "invalid_request", "error_description": "' if oauth else b'{"error": {"message": "') in answer


BAD_CHUNKS = {
    "a size that is no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "a size below nothing": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size beyond counting": b"fffffffffffffffff\r\nabc\r\n",
    "a chunk longer than its size": b"3\r\nabcdef\r\n0\r\n\r\n",
    "no end of a chunk": b"3\r\nabc0\r\n\r\n",
    "an endless size": b"0" * 300_000,
    "an endless extension": b"3;" + b"x" * 300_000,
}


@pytest.mark.parametrize("what", BAD_CHUNKS)
def test_chunks_that_are_none(server: Server, what: str) -> None:
    assert set(statuses(told(server, CHUNKED + BAD_CHUNKS[what]))) <= {400, 413}


def test_chunks_without_end_are_cut_off_at_the_limit_of_a_body(server: Server) -> None:
    answer = told(server, CHUNKED + (b"400\r\n" + b"x" * 1_024 + b"\r\n") * 1_000)
    assert set(statuses(answer)) <= {400, 413}


@pytest.mark.parametrize("cut", [1, 20, len(POST), len(CHUNKED), len(CHUNKED) + 5])
def test_a_caller_that_goes_away_is_no_failure_of_ours(server: Server, cut: int) -> None:
    """In its request line, its headers, or its body: nobody is told, nothing is logged as an error."""
    assert set(statuses(told(server, (CHUNKED + b"10\r\nabc")[:cut]))) <= {400}


def test_requests_in_a_row_are_answered_in_their_order(server: Server) -> None:
    row = HEALTH * 3 + b"GET /nothing HTTP/1.1\r\n" + HOST + END + HEALTH
    assert statuses(told(server, row + b"GET /none HTTP/1.1\r\nConnection: close\r\n" + HOST + END, shut=False)) == [
        *([200] * 3),
        404,
        200,
        404,
    ]


def test_what_follows_nonsense_is_not_read(server: Server) -> None:
    """Otherwise a proxy in front and the server behind it could disagree on where a request begins."""
    smuggled = POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH
    for nonsense in (b"nonsense\r\n\r\n" + HEALTH, smuggled, HEALTH + b"\0\0\0\0" + HEALTH):
        answered = statuses(told(server, nonsense))
        assert answered[-1:] in ([400], [])
        assert answered.count(200) <= nonsense.startswith(HEALTH)


def test_a_request_in_single_bytes_is_a_request(server: Server) -> None:
    with closing(connected(server)) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HEALTH:
            caller.sendall(bytes([byte]))
        assert caller.recv(1_000).startswith(b"HTTP/1.1 200")


@contextmanager
def hurried(server: Server) -> Iterator[int]:
    """The port of the same application, whose callers have half a second for anything."""
    bounds = ConnectionBounds(first_byte_s=0.5, head_s=0.5, request_s=0.5, keep_alive_s=0.5)
    with running(create_app(server.service), [Endpoint("127.0.0.1", 0)], bounds=bounds) as [url]:
        port = urlsplit(url).port
        assert port is not None
        yield port


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: local", CHUNKED + b"10\r\nabc", HEALTH + b"GET /he"],
)
def test_a_caller_that_never_comes_to_the_end_is_cut_off(server: Server, begun: bytes) -> None:
    """Slow headers and slow bodies would otherwise hold connections for ever, and be cheap to send."""
    with hurried(server) as port:
        began = time.monotonic()
        answer = told(port, begun, shut=False)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert statuses(answer) == ([200] if begun.startswith(HEALTH) else [])


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nX: ", CHUNKED, HEALTH])
@pytest.mark.parametrize("more", [b"\r\n", b"1\r\nx\r\n"])
def test_a_caller_that_dawdles_is_cut_off_for_all_its_bytes(server: Server, begun: bytes, more: bytes) -> None:
    """A byte now and then does not begin the time anew."""
    with hurried(server) as port, closing(connected(port)) as caller:
        caller.settimeout(0.05)
        caller.sendall(begun)
        began, ended = time.monotonic(), False
        while not ended and time.monotonic() - began < PATIENCE_S / 2:
            try:
                caller.sendall(more)
                ended = caller.recv(1_000) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended


def test_plain_http_at_the_https_port_and_nonsense_there() -> None:
    with Server(https=True) as server:
        port = urlsplit(server.https_url).port
        for nonsense in (HEALTH, b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\0" * 100):
            with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as caller:
                try:
                    caller.sendall(nonsense)
                    caller.shutdown(socket.SHUT_WR)
                    assert b"HTTP/1.1 200" not in caller.recv(1_000)
                except ConnectionResetError:
                    pass
        trusted = ssl.create_default_context(cafile=str(server.ca))
        assert httpx.get(f"{server.https_url}/healthz", verify=trusted).status_code == 200
