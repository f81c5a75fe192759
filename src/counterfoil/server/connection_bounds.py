"""What connections may use together: how many there are, and what one may hold or wait for.

A connection costs up to two open files: its socket, and the blob that is sent over it. So as many are let in as there
are files for, with a reserve for the catalog and the stored pages.

When there is no room, the connection goes that has kept the server waiting longest: whoever only holds connections,
sends slowly or does not read gives way to whoever has a request. Nobody has to give way while the server works for it;
when it works for all, a newcomer is told to come back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from counterfoil.server.security_log import MalformedRequests

_FILES_WANTED_MAX: Final = 1 << 20  # some systems call their limit infinite and refuse to be taken at their word
_FILES_RESERVED: Final = 512  # the catalog's connections, open pages, listening sockets, newcomers without room
_FILES_PER_CONNECTION: Final = 2
_CONNECTIONS_MIN: Final = 32
_CONNECTIONS_MAX: Final = 8_192
_NEWCOMERS_MAX: Final = 128  # who are told to come back at once; more are cut off


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """The bounds of one connection, in seconds and bytes; `connections` is how many there may be.

    A body is short: the application refuses a longer one than it reads, and `body_bytes` bounds what a caller may send
    all the same, with the framing of its chunks. An answer is given up when fewer than `progress_bytes` of it left
    within `stalled_s`.
    """

    first_byte_s: float = 10
    head_s: float = 10
    request_s: float = 60
    keep_alive_s: float = 75  # longer than the idle time of the usual clients' pools, so that they close first
    stalled_s: float = 60
    progress_bytes: int = 64 << 10
    head_bytes: int = 64 << 10
    body_bytes: int = 1 << 20
    connections: int = _CONNECTIONS_MAX


class CountedConnection(Protocol):
    """A connection, as far as counting it goes."""

    def abort(self) -> None:
        """Cut the connection off now."""


class Connections:
    """All connections of a server, at all its addresses. For one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._all: set[CountedConnection] = set()
        self.malformed = MalformedRequests()
        self._waited_for: dict[CountedConnection, None] = {}  # the longest waited for first

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: CountedConnection) -> bool:
        """Count one more; return whether there is room for it, for which another one may be cut off."""
        if len(self._all) >= self._limit:
            longest = next(iter(self._waited_for), None)
            if longest is not None:
                self.discard(longest)
                longest.abort()
        self._all.add(connection)
        if len(self._all) > self._limit + _NEWCOMERS_MAX:
            connection.abort()
        return len(self._all) <= self._limit

    def discard(self, connection: CountedConnection) -> None:
        """Count one less, unless it is not counted any more."""
        self._all.discard(connection)
        self._waited_for.pop(connection, None)

    def waits_for(self, connection: CountedConnection) -> None:
        """Note that it is the caller's turn to send or to read."""
        if connection in self._all:
            self._waited_for.setdefault(connection)

    def works_for(self, connection: CountedConnection) -> None:
        """Note that it is the server's turn."""
        self._waited_for.pop(connection, None)


def raise_file_limit() -> int:
    """Let this process open as many files as it may; return how many connections that is enough for."""
    try:
        resource: Any = import_module("resource")
    except ModuleNotFoundError:  # Windows has no such limit
        return _CONNECTIONS_MAX
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    files = _FILES_WANTED_MAX if soft == resource.RLIM_INFINITY else soft
    room = (files - _FILES_RESERVED) // _FILES_PER_CONNECTION
    return max(_CONNECTIONS_MIN, min(room, _CONNECTIONS_MAX))
