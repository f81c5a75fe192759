"""A host on a bare socket whose answers never end, each in another way; a seed says in which pace."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from typing import Final

NEXT_REQUEST: Final = b"(read the next request)"  # in place of a piece
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _bytes_of(text: bytes) -> Iterator[bytes]:
    return (text[at : at + 1] for at in range(len(text)))


def _then_for_ever(text: bytes, again: bytes) -> Iterator[bytes]:
    yield text
    yield from repeat(again)


# What is sent, piece after piece, with a pause behind each.
ENDLESS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "nothing": lambda: repeat(b""),
    "early hints": lambda: repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
    "go on": lambda: repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a head byte by byte": lambda: _bytes_of(HEAD + b"X: " + b"x" * 100_000),
    "a header without end": lambda: _then_for_ever(HEAD + b"X: ", b"x"),
    "a body byte by byte": lambda: _then_for_ever(HEAD + b"Content-Length: 1000000\r\n\r\n{", b" "),
    "a body until it closes": lambda: _then_for_ever(HEAD + b"Connection: close\r\n\r\n{", b" "),
    "chunks of one byte": lambda: _then_for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the size of a chunk": lambda: _then_for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=", b"x"),
    "trailers": lambda: _then_for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX: ", b"x"),
    "gzip of nothing": lambda: _then_for_ever(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\3", b"\0"
    ),
}


def _read_request(connection: socket.socket) -> None:
    """Read a request to its end: its body may come in a packet of its own."""
    data = b""
    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    left = int(length[1]) - len(body) if length else 0
    while left > 0 and (piece := connection.recv(left)):
        left -= len(piece)


class EndlessHost:
    """Lets everybody in, reads what they ask, and answers without end until they hang up."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]], seed: int) -> None:
        self.let_in = 0
        self._pieces = pieces
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def run(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._over.is_set():
                connection.close()
                return
            self.let_in += 1
            self._threads.append(threading.Thread(target=self._answer, args=[connection]))
            self._threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            _read_request(connection)
            for piece in self._pieces():
                if piece is NEXT_REQUEST:
                    _read_request(connection)
                    continue
                connection.sendall(piece)
                if self._over.wait(self._dice.uniform(0.001, 0.02)):
                    return

    def close(self) -> None:
        self._over.set()
        socket.create_connection(self._listening.getsockname()).close()
        for each in self._threads:
            each.join()
        self._listening.close()


@contextmanager
def answering(pieces: Callable[[], Iterator[bytes]], seed: int = 0) -> Iterator[EndlessHost]:
    """Run such a host."""
    host = EndlessHost(pieces, seed)
    thread = threading.Thread(target=host.run)
    thread.start()
    try:
        yield host
    finally:
        host.close()
        thread.join()
