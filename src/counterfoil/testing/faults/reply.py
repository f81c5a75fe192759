"""A whole answer as a value, and how it reaches the socket: late, slowly, cut off, or not at all.

ASGI cannot hang up: for an application that merely stops, the server logs an error and may send a proper 500. So the
transport is taken from the server's own `receive`, closed (what was sent still arrives) or aborted (it may not), and
we wait until the caller is gone.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.errors import RequestError
from counterfoil.server.error_responses import ApiDialect, refusal

SLOW_PIECES: Final = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Nothing comes for `late_s`, then the body takes `slow_s`.

    With `cut_at`, a share of the body from 0 to 1, the connection ends there, after a silence of `stall_s`. If
    `unsent`, the connection ends without a byte.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    late_s: float = 0
    slow_s: float = 0
    cut_at: float | None = None
    stall_s: float = 0
    unsent: bool = False

    @property
    def good(self) -> bool:
        """Whether this is what was asked for, and no refusal."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), "")

    def with_headers(self, changes: Mapping[str, str | None]) -> Reply:
        """Return this with headers set; None takes one away."""
        names = {name.lower().encode() for name in changes}
        kept = tuple(pair for pair in self.headers if pair[0] not in names)
        added = tuple((k.lower().encode(), v.encode("latin-1")) for k, v in changes.items() if v is not None)
        return replace(self, headers=kept + added)

    def plain_body(self) -> bytes:
        """The body as it was before HTTP compressed it; empty if another fault has damaged it."""
        if self.header("content-encoding") != "gzip":
            return self.body
        try:
            return zlib.decompress(self.body, wbits=31)
        except zlib.error:
            return b""

    def with_body(self, plain: bytes) -> Reply:
        """Return this with another body, compressed if the last one was."""
        packed = plain
        if self.header("content-encoding") == "gzip":
            packer = zlib.compressobj(1, wbits=31)
            packed = packer.compress(plain) + packer.flush()
        return replace(self, body=packed)

    def json(self) -> Any:
        """Return the body as JSON; None where it is not JSON."""
        try:
            return json.loads(self.plain_body())
        except ValueError:
            return None

    def with_json(self, document: object) -> Reply:
        """Return this with another JSON body."""
        return self.with_body(json.dumps(document, ensure_ascii=False).encode())


def reply_of(status: int, body: bytes | str, headers: Mapping[str, str]) -> Reply:
    """Return an answer that the server did not give."""
    return Reply(status, body=body.encode() if isinstance(body, str) else body).with_headers(headers)


def reply_to(error: RequestError, dialect: ApiDialect, scope: Scope, now: datetime) -> Reply:
    """Return the answer that the server gives to this error."""
    status, headers, body = refusal(dialect, error, scope, now)
    return Reply(status, tuple(headers), body)


async def ask(app: ASGIApp, scope: Scope, receive: Receive) -> Reply:
    """Have an application answer, and return the whole answer."""
    status, headers, body = 500, (), bytearray()
    whole = False

    async def collect(message: Message) -> None:
        nonlocal status, headers, whole
        if message["type"] == "http.response.start":
            status, headers = message["status"], tuple(message["headers"])
        else:
            body.extend(message.get("body", b""))
            whole = not message.get("more_body", False)

    await app(scope, receive, collect)
    return Reply(status, headers, bytes(body), cut_at=None if whole else 1.0)


async def no_body() -> Message:
    """A `receive` for requests without a body, as often as they are made."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def deliver(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a reply in the way that it says."""
    if reply.late_s and await _gone(receive, reply.late_s):
        return
    if reply.unsent:
        await _hang_up(receive, politely=False)
        return
    body, cut = reply.body, reply.cut_at is not None
    if scope["method"] != "HEAD":
        reply = reply.with_headers({"content-length": str(len(body))})
    await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
    if reply.cut_at is not None:
        body = body[: min(int(len(body) * reply.cut_at), max(0, len(body) - 1))]
    size = max(1, -(-len(body) // SLOW_PIECES)) if reply.slow_s else max(1, len(body))
    for start in range(0, len(body), size):
        if start and await _gone(receive, reply.slow_s / SLOW_PIECES):
            return
        await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
    if cut:
        if not (reply.stall_s and await _gone(receive, reply.stall_s)):
            await _hang_up(receive, politely=True)
        return
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive, wait_s: float) -> bool:
    """Wait, and return whether the caller left meanwhile."""
    try:
        async with asyncio.timeout(wait_s):
            await _until_gone(receive)
    except TimeoutError:
        return False
    return True


async def _hang_up(receive: Receive, *, politely: bool) -> None:
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    assert transport is not None, "the web server hides its connections"
    if politely:
        transport.close()  # once all that was written is on its way
    else:
        transport.abort()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    """Wait until the caller has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
