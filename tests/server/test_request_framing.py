"""Where one request ends and the next begins, and the same for answers: however they are cut into packets."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.listening import Endpoint
from counterfoil.server.web_server import running
from tests.server.raw_callers import answers, connected, send_in_pieces

HEAD = b"Host: x\r\n"
BOUNDS = ConnectionBounds(body_bytes=100_000, request_s=5)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the path says."""
    path, body, more = scope["path"], b"", not scope["path"].startswith("/refuse")
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    names = b",".join(name for name, _ in scope["headers"])
    text = path.encode() + b" " + body + (b" " + names if path == "/names" else b"")
    headers = [] if path == "/unmeasured" else [(b"content-length", b"%d" % len(text))]
    if path == "/split":
        headers.append((b"x-bad", b"a\r\nSet-Cookie: b"))
    await send({"type": "http.response.start", "status": 299 if path == "/odd" else 200, "headers": headers})
    for at in range(0, len(text), 4):
        await send({"type": "http.response.body", "body": text[at : at + 4], "more_body": True})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(app, [Endpoint("127.0.0.1", 0)], bounds=BOUNDS) as [url]:
        yield url


def post(path: str, body: bytes, more: bytes = b"") -> bytes:
    return f"POST {path} HTTP/1.1\r\n".encode() + HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(path: str, more: bytes = b"", version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\n".encode() + HEAD + more + b"\r\n"


def told(caller: socket.socket) -> bytes:
    read = b""
    while piece := caller.recv(65_536):
        read += piece
    return read


@pytest.mark.parametrize("cut", range(1, 170, 7))
def test_wherever_a_row_of_requests_is_cut(url: str, cut: int) -> None:
    row = post("/a", b"one\r\n\r\n") + post("/b", b"") + get("/c") + post("/d", b"GET /e HTTP/1.1\r\n\r\n")
    with connected(url) as caller:
        send_in_pieces(caller, [row[:cut], row[cut:]])
        bodies = [body for _, body in answers(caller, 4)]
    assert bodies == [b"/a one\r\n\r\n", b"/b ", b"/c ", b"/d GET /e HTTP/1.1\r\n\r\n"]


def test_a_caller_with_no_more_to_say_gets_all_its_answers(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(get("/a") + post("/b", b"two") + get("/c"))
        caller.shutdown(socket.SHUT_WR)
        assert re.findall(rb"/[abc] (?:two)?", told(caller)) == [b"/a ", b"/b two", b"/c "]


def test_what_follows_the_last_request_is_not_read(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(post("/a", b"one", b"Connection: close\r\n") + get("/b"))
        read = told(caller)
        assert read.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in read


def test_trailers_are_no_headers_and_do_not_go_on_for_ever(url: str) -> None:
    chunked = b"POST /names HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    with connected(url) as caller:
        caller.sendall(chunked + b"Authorization: late\r\n\r\n")
        assert answers(caller, 1) == [(200, b"/names ab host,transfer-encoding")]
    for endless in (b"X: " + b"y" * 300_000, b"X: y\r\n" * 50_000, b"2;" + b"x" * 300_000):
        with connected(url) as caller:
            try:
                caller.sendall(chunked.removesuffix(b"0\r\n") + (b"" if endless[:1] == b"2" else b"0\r\n") + endless)
                assert b"HTTP/1.1 200" not in told(caller)
            except (ConnectionResetError, BrokenPipeError):
                pass


@pytest.mark.parametrize(("size", "early"), [(50_000, 5_000), (95_000, 80_000)])
def test_a_body_that_nobody_wanted_is_passed_over(url: str, size: int, early: int) -> None:
    whole = post("/refuse", b"x" * size)
    with connected(url) as caller:
        caller.sendall(whole[:early])
        assert answers(caller, 1) == [(200, b"/refuse ")]
        caller.sendall(whole[early:] + get("/b"))
        assert answers(caller, 1) == [(200, b"/b ")]
        caller.sendall(post("/refuse", b"x" * size, b"Connection: close\r\n")[:early])
        assert told(caller).endswith(b"/refuse ")  # and not a reset


def test_who_waits_for_leave_to_send_a_body_and_gets_none_is_not_misread(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(post("/refuse", b"x" * 9, b"Expect: 100-continue\r\n")[:-9])
        read = told(caller)
        assert read.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in read


def test_answers_end_where_they_say(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(get("/unmeasured") + get("/odd"))
        caller.shutdown(socket.SHUT_WR)
        chunked, _, odd = told(caller).partition(b"0\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in chunked
        assert chunked.endswith(b"\r\n\r\n4\r\n/unm\r\n4\r\neasu\r\n4\r\nred \r\n")
        assert odd.startswith(b"HTTP/1.1 299 ")
    with connected(url) as caller:
        caller.sendall(get("/unmeasured", version="1.0"))
        assert told(caller).partition(b"\r\n\r\n")[2] == b"/unmeasured "
    with connected(url) as caller:
        caller.sendall(get("/a").replace(b"GET", b"HEAD"))
        caller.shutdown(socket.SHUT_WR)
        head, _, body = told(caller).partition(b"\r\n\r\n")
        assert (b"Content-Length: 3" in head, body) == (True, b"")


def test_a_header_of_an_answer_cannot_begin_another(url: str) -> None:
    with connected(url) as caller:
        caller.sendall(get("/split"))
        read = told(caller)
        assert read.startswith(b"HTTP/1.1 500 ")
        assert b"Set-Cookie" not in read
