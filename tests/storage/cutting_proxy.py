"""A proxy before a database server that cuts a connection at COMMIT, before the server sees it or behind its answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import StrEnum
from typing import Self

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # a whole message: READ COMMITTED is none


class Cut(StrEnum):
    """Where the next COMMIT is cut."""

    NOWHERE = "nowhere"
    BEFORE = "before the server sees it"
    AFTER = "after the server has answered it"


class CuttingProxy:
    """Listens at `port` until the context ends; `cut` is what happens to the next COMMIT, and is then NOWHERE again."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._deaf: set[socket.socket] = set()  # they get no answer any more
        self.port: int = self._listener.getsockname()[1]
        self.cut = Cut.NOWHERE

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut_all()

    def cut_all(self) -> None:
        """End every connection now."""
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # the server is down
                    _end(client)
                    continue
                self._open |= {client, server}
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if COMMIT in data and self.cut is not Cut.NOWHERE:
                    cut, self.cut = self.cut, Cut.NOWHERE
                    if cut is Cut.BEFORE:
                        break
                    self._deaf.add(client)
                server.sendall(data)
        _end(client)
        _end(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while (data := server.recv(1 << 16)) and client not in self._deaf:
                client.sendall(data)
        _end(client)
        _end(server)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
