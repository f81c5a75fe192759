"""Where a server listens: at addresses of its own, or at sockets that the service manager opened and passes on.

A socket that was passed stays open when the server ends, and holds newcomers until the next one takes over. So a
restart refuses nobody, which a server that binds its own port cannot do. It is systemd's way (sd_listen_fds(3)): the
variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and descriptors from 3 on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from counterfoil.errors import UsageError

BACKLOG: Final = 2048
_FIRST_PASSED: Final = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen at. Port 0 picks a free one; with certificate and key it is https."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def url(self, port: int) -> str:
        """Return the base URL for callers on this machine, with the port that was picked."""
        return url_of("https" if self.certificate else "http", self.host, port)


def url_of(scheme: str, host: str, port: int) -> str:
    """Return a base URL; an address of version 6 is in brackets there."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint, and the socket that listens there."""

    endpoint: Endpoint
    socket: socket.socket

    @property
    def url(self) -> str:
        """The base URL for callers on this machine."""
        return self.endpoint.url(self.socket.getsockname()[1])


def listeners(endpoints: Sequence[Endpoint], passed: Sequence[socket.socket] = ()) -> list[Listener]:
    """Return a listener for each endpoint: what was passed, or else bound now. Raises UsageError."""
    if not passed:
        with ExitStack() as stack:
            bound = [Listener(each, stack.enter_context(bind(each))) for each in endpoints]
            stack.pop_all()
        return bound
    if len(passed) != len(endpoints):
        raise UsageError(
            f"{len(passed)} sockets were passed to this server (LISTEN_FDS), and it listens at {len(endpoints)}.",
            remedy="Pass one for http, and a second one for https if there is a port for it.",
            parameter="https_port",
        )
    pairs = zip(endpoints, passed, strict=True)
    return [Listener(replace(endpoint, host=each.getsockname()[0]), each) for endpoint, each in pairs]


def passed_sockets(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that the service manager passed to this process, http before https; none if there are none.

    Those named `http` and `https` are in that order, whatever theirs was. Raises UsageError for what does not listen.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    numbers = list(range(_FIRST_PASSED, _FIRST_PASSED + int(count[:4])))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if sorted(names) == ["http", "https"] and len(numbers) == 2:
        numbers = [_FIRST_PASSED + names.index(name) for name in ("http", "https")]
    return [_passed(number) for number in numbers]


def _passed(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)  # noqa: FBT003 - it takes no names
        found = socket.socket(fileno=number)
        is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        why = f"Descriptor {number}, which was passed to this server (LISTEN_FDS), is no socket: {error.strerror}."
        raise UsageError(why, remedy="Pass sockets that listen for TCP.") from None
    if found.family not in {socket.AF_INET, socket.AF_INET6} or not is_listening:
        found.detach()
        why = f"Descriptor {number}, which was passed to this server (LISTEN_FDS), does not listen for TCP."
        raise UsageError(why, remedy="Pass sockets that listen for TCP.")
    return found


def bind(endpoint: Endpoint) -> socket.socket:
    """Listen at an address; raises UsageError where that cannot be."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{endpoint.host!r} is not an address to listen on: {error.strerror}.") from None
    try:
        # On Windows the usual option would let two servers have one port.
        alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if alone is None else alone, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"Port {endpoint.port} of {endpoint.host} cannot be used: {error.strerror}.",
            remedy="Name another port; 0 picks a free one.",
            parameter="https_port" if endpoint.certificate else "port",
        ) from None
    return bound


def check_free(endpoints: Sequence[Endpoint], passed: Sequence[socket.socket] = ()) -> None:
    """Raise UsageError for what cannot be listened at now, before there is anything that listens."""
    for listener in listeners(endpoints, passed):
        if not passed:
            listener.socket.close()
