"""Callers who speak over a bare socket: what comes back, whole answers in a row, and callers who do not read."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

PATIENCE_S = 30
PAUSE_S = 0.02  # enough for a piece to arrive by itself


@contextmanager
def connected(url: str, *, receive_bytes: int = 0) -> Iterator[socket.socket]:
    """Connect; with `receive_bytes`, the system takes little more than that before somebody reads."""
    address = urlsplit(url)
    assert address.port is not None
    with socket.socket() as caller:
        caller.settimeout(PATIENCE_S)
        if receive_bytes:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        caller.connect((address.hostname, address.port))
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield caller


def answers(caller: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Read so many answers, each with a Content-Length: their statuses and bodies. Nothing may follow them."""
    read, found = b"", list[tuple[int, bytes]]()
    while len(found) < count:
        head, end, rest = read.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if end and length and len(rest) >= int(length[1]):
            if not head.startswith(b"HTTP/1.1 100 "):
                found.append((int(head[9:12]), rest[: int(length[1])]))
            read = rest[int(length[1]) :]
        elif end and head.startswith(b"HTTP/1.1 100 "):
            read = rest
        else:
            piece = caller.recv(65_536)
            assert piece, f"the connection ended behind {found} and {read!r}"
            read += piece
    assert read == b""
    return found


def send_in_pieces(caller: socket.socket, pieces: Sequence[bytes]) -> None:
    """Send each piece in a packet of its own."""
    for number, piece in enumerate(pieces):
        if number:
            time.sleep(PAUSE_S)
        caller.sendall(piece)


def read_to_the_end(caller: socket.socket) -> int:
    """Read until the connection ends, however it does; return how many bytes came."""
    count = 0
    try:
        while piece := caller.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count
