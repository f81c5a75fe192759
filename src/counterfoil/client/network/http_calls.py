"""Calls and downloads over httpx, and the gate through which a token leaves.

A blob's bytes go to its part file as they arrive. Whatever comes in place of a blob is read no further than an error
message needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from counterfoil.client.network.answer_bodies import ERROR_BYTES_MAX, Body, beginning
from counterfoil.client.protocol.addresses import Base, Origin, host_of, shown
from counterfoil.client.protocol.certificates import certificate_flaw
from counterfoil.client.protocol.messages import Fetched, Request, SourceAnswer, Unanswered, whole_number
from counterfoil.errors import ProofError


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A request for a blob's bytes, from `offset` on, to be written to `part`. No token goes along.

    A download that has more than `size_max` bytes is ended. `on_bytes` is given the number of bytes of each piece,
    `on_begin` the offset at which the answer begins and its headers.
    """

    request: Request
    part: Path
    offset: int = 0
    size_max: int | None = None
    on_bytes: Callable[[int], None] = field(default=lambda _: None)
    on_begin: Callable[[int, Mapping[str, str]], None] = field(default=lambda _, __: None)

    def offset_of(self, status: int, headers: Mapping[str, str]) -> int | None:
        """Return where in the part file an answer's bytes belong; None if they are not what was asked for.

        A source that does not know ranges answers 200 with everything, and that is written from the start.
        """
        if status == 200:
            return 0
        if status != 206:
            return None
        unit, _, span = headers.get("content-range", "").partition(" ")
        right = unit == "bytes" and whole_number(span.partition("-")[0]) == self.offset
        return self.offset if right else None


def send(
    http: httpx.Client, request: Request, base: Base, token: str, extensions: dict[str, Any]
) -> SourceAnswer | Unanswered:
    """Make one call and take the whole answer.

    Raises ProofError, before anything is sent, for an address that is not at `base`, and for an answer that is too
    large. Both readings of the URL must agree: the standard library's, and that of the library that sends.
    """
    try:
        url = httpx.URL(request.url)
        sent_to = Origin.of(f"{url.scheme}://{url.netloc.decode('ascii')}")
    except (httpx.InvalidURL, ValueError):
        raise ProofError(f"{shown(request.url)!r} is not an address that can be asked.") from None
    if not base.is_at(request.url) or sent_to != base.origin:
        raise ProofError(f"{host_of(request.url)} is not {base.origin}; nothing was sent there.")
    headers = dict(request.headers)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    content = request.body or None
    try:
        with http.stream(request.method, url, headers=headers, content=content, extensions=extensions) as response:
            body = Body(request, response)
            if not body.is_whole:
                for piece in response.iter_raw():
                    body.add(piece)
            return SourceAnswer(request, response.status_code, _lower(response.headers), body.whole())
    except httpx.RequestError as error:
        return _unanswered(error)


def fetch(
    http: httpx.Client, blob: BlobRequest, extensions: dict[str, Any], check: Callable[[], None]
) -> Fetched | Unanswered:
    """Bring a blob's bytes into its part file. `check` is called before each piece, and may raise to end it."""
    arriving = _Arriving(blob)
    request = blob.request
    try:
        with http.stream("GET", request.url, headers=dict(request.headers), extensions=extensions) as response:
            status, headers = response.status_code, _lower(response.headers)
            if not arriving.begin(status, headers):
                if response.is_stream_consumed:
                    return Fetched(status, headers, response.content[:ERROR_BYTES_MAX])
                piece = next(response.iter_raw(ERROR_BYTES_MAX), b"")
                return Fetched(status, headers, beginning(headers, piece))
            with arriving.opened():
                for chunk in response.iter_raw():
                    check()
                    if not arriving.add(chunk):
                        break
            return Fetched(status, headers, b"", arriving.size, arriving.received, is_blob=True)
    except httpx.InvalidURL:
        raise ProofError("A blob's link is not an address that can be asked.") from None
    except httpx.RequestError as error:
        return _unanswered(error, arriving.received)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _unanswered(error: httpx.RequestError, received: int = 0) -> Unanswered:
    if (flaw := certificate_flaw(str(error))) is not None:
        return Unanswered(flaw.told, hopeless=True, received=received, remedy=flaw.remedy)
    hopeless = isinstance(error, httpx.UnsupportedProtocol)
    wants_proxy_sign_in = isinstance(error, httpx.ProxyError) and str(error).startswith("407")
    reason = shown(str(error)) or type(error).__name__
    return Unanswered(reason, hopeless, received, wants_proxy_sign_in=wants_proxy_sign_in)


class _Arriving:
    """A blob as it arrives, behind the bytes that are there already."""

    def __init__(self, blob: BlobRequest) -> None:
        self._blob = blob
        self.size = 0  # of the part file
        self.received = 0

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take the head of an answer; returns whether the blob follows, and not what the source says instead."""
        at = self._blob.offset_of(status, headers)
        if at is None:
            return False
        self._blob.on_begin(at, headers)
        self.size = at
        return True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the part file for `add`, cut off where the answer begins."""
        part = self._blob.part
        with part.open("r+b" if part.exists() else "xb") as self._file:
            self._file.truncate(self.size)
            self._file.seek(self.size)
            yield

    def add(self, chunk: bytes) -> bool:
        """Write some more; returns whether any more is wanted."""
        self._file.write(chunk)
        self.size += len(chunk)
        self.received += len(chunk)
        self._blob.on_bytes(len(chunk))
        return self._blob.size_max is None or self.size <= self._blob.size_max
