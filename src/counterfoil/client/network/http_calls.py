"""Calls and downloads over httpx, and the gate through which a token leaves.

A blob's bytes go to its part file as they arrive. Whatever comes in place of a blob is read no further than an error
message needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from counterfoil.client.network.answer_bodies import beginning, whole_body
from counterfoil.client.network.call_watch import CallWatch, StoppedError
from counterfoil.client.protocol.addresses import Base, Origin, host_of, shown
from counterfoil.client.protocol.certificates import certificate_flaw, https_flaw, in_plain_words
from counterfoil.client.protocol.messages import PROXY_SIGN_IN, Fetched, Request, SourceAnswer, Unanswered, whole_number
from counterfoil.disk.durability import private
from counterfoil.errors import ProofError

Got = TypeVar("Got")


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A request for a blob's bytes, from `offset` on, to be written to `part`. No token goes along.

    A download that has more than `size_max` bytes is ended. `on_bytes` is given the number of bytes of each piece,
    `on_begin` the headers of an answer that begins with the blob's first byte.
    """

    request: Request
    part: Path
    offset: int = 0
    size_max: int | None = None
    on_bytes: Callable[[int], None] = field(default=lambda _: None)
    on_begin: Callable[[Mapping[str, str]], None] = field(default=lambda _: None)

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


def send(http: httpx.Client, request: Request, base: Base, token: str, watch: CallWatch) -> SourceAnswer | Unanswered:
    """Make one call and take the whole answer, if it comes before the watch is over.

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

    def ask() -> SourceAnswer:
        with http.stream(
            request.method, url, headers=headers, content=content, extensions=watch.extensions
        ) as response:
            watch.answering(response)
            body = whole_body(request, response)
            return SourceAnswer(request, response.status_code, _lower(response.headers), body)

    return _before_it_is_over(watch, ask)


def fetch(
    http: httpx.Client, blob: BlobRequest, watch: CallWatch, check: Callable[[], None]
) -> Fetched | SourceAnswer | Unanswered:
    """Bring a blob's bytes into its part file. `check` is called before each piece, and may raise to end it."""
    request, part = blob.request, blob.part

    def ask() -> Fetched | SourceAnswer:
        with http.stream("GET", request.url, headers=dict(request.headers), extensions=watch.extensions) as response:
            watch.answering(response)
            status, headers = response.status_code, _lower(response.headers)
            size = blob.offset_of(status, headers)
            if size is None:
                return SourceAnswer(request, status, headers, beginning(response))
            if not size:
                blob.on_begin(headers)
            with open(part, "r+b" if part.exists() else "xb", opener=private) as file:
                file.truncate(size)
                file.seek(size)
                for piece in response.iter_raw():
                    check()
                    watch.received(len(piece))
                    size += file.write(piece)
                    blob.on_bytes(len(piece))
                    if blob.size_max is not None and size > blob.size_max:
                        break
            return Fetched(status, headers, size)

    try:
        return _before_it_is_over(watch, ask)
    except httpx.InvalidURL:
        raise ProofError("A blob's link is not an address that can be asked.") from None


def _before_it_is_over(watch: CallWatch, ask: Callable[[], Got]) -> Got | Unanswered:
    """Return what a call gives, or why it gave nothing; a call that was cut off may look like one that ended well."""
    got: Got | Unanswered
    try:
        with watch:
            got = ask()
    except httpx.RequestError as error:
        got = _unanswered(error)
    except StoppedError:
        if not watch.is_over:
            raise
    return Unanswered(watch.reason) if watch.is_over else got


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _unanswered(error: httpx.RequestError) -> Unanswered:
    if (flaw := certificate_flaw(str(error)) or https_flaw(str(error))) is not None:
        reason, remedy = flaw
        return Unanswered(reason, hopeless=True, remedy=remedy)
    reason = shown(in_plain_words(str(error))) or type(error).__name__
    if isinstance(error, httpx.ProxyError) and reason.startswith("407"):
        return Unanswered(reason, remedy=PROXY_SIGN_IN)
    return Unanswered(reason, hopeless=isinstance(error, httpx.UnsupportedProtocol))
