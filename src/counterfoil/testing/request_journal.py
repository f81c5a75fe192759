"""The journal of requests: what a client sent to a server for tests, in the order it came, and what it was answered.

It keeps the last ENTRIES_MAX requests. Secrets stay out of it, because a journal is printed when a test fails: of an
Authorization header the scheme is kept, and a client secret, an assertion or the signature of a link becomes `***`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, overload
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.errors import UsageError
from counterfoil.periods import utc_now
from counterfoil.testing.faults.fault import Route, route_of

ENTRIES_MAX: Final = 10_000
BODY_BYTES_MAX: Final = 4 * 1024
STRUCK: Final = "counterfoil.struck"  # in the scope: the names of the faults that struck the request
HIDDEN: Final = "***"
_KEPT: Final = ("method", "path", "raw_path", "query_string", "headers")  # of the scope, which others may change
KINDS: Final = (*Route, "other")
_SECRET_PARAMETERS: Final = frozenset({"sig", "client_secret", "client_assertion", "access_token", "password"})
_SECRET_PAIR: Final = re.compile(
    rf'(?i)((?:{"|".join(sorted(_SECRET_PARAMETERS))})(?:=|"\s*:\s*"))[^&"]*',
)
_SECRET_HEADERS: Final = frozenset({"cookie", "proxy-authorization"})


@dataclass
class JournalEntry:
    """One request and its answer.

    `status` is None as long as there is no answer; `size_bytes` and `duration_s` are the answer's. `faults` names the
    faults that struck it. What is rarely looked at is worked out when it is: a server answers thousands a second.
    """

    number: int
    received_at: datetime
    method: str
    path: str
    status: int | None = None
    size_bytes: int = 0
    duration_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    _scope: Scope = field(default_factory=dict, repr=False)
    _body: bytes = field(default=b"", repr=False)

    @cached_property
    def kind(self) -> str:
        """One of token, submit, operation, manifest, blob, page and other."""
        return str(route_of(self._scope) or "other")

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the query, without secrets."""
        pairs = parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return {name: HIDDEN if name.lower() in _SECRET_PARAMETERS else value for name, value in pairs}

    @cached_property
    def headers(self) -> dict[str, str]:
        """The headers by their names in lower case, without secrets."""
        return _headers(self._scope["headers"])

    @property
    def body(self) -> str:
        """The first 4 KiB of the body that the server read, without secrets."""
        return _without_secrets(self._body.decode("utf-8", "replace"))

    @property
    def sent_token(self) -> bool:
        """Whether the request had an Authorization header."""
        return "authorization" in self.headers

    def note_body(self, piece: bytes) -> None:
        """Keep a piece of the body, as long as there is room."""
        if piece and len(self._body) < BODY_BYTES_MAX:
            self._body += piece[: BODY_BYTES_MAX - len(self._body)]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the control API shows it."""
        return {
            "number": self.number,
            "receivedAt": self.received_at.isoformat(timespec="milliseconds"),
            "kind": self.kind,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body,
            "status": self.status,
            "sizeBytes": self.size_bytes,
            "milliseconds": round(self.duration_s * 1000, 1),
            "faults": self.faults,
        }

    def line(self) -> str:
        """Return the entry as one line for people; the query stays out of it."""
        struck = f"  [{', '.join(self.faults)}]" if self.faults else ""
        status = self.status if self.status is not None else "cut"
        ms = f"{self.duration_s * 1000:.0f} ms"
        return f"{self.received_at:%H:%M:%S} {self.method} {self.path} {status} {self.size_bytes:,} bytes {ms}{struck}"


class RequestJournal(Sequence[JournalEntry]):
    """The last requests, oldest first. It may be read from any thread while the server answers.

    `server.requests[-1]` is the last request, `len(server.requests)` how many are kept.
    """

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries = deque[JournalEntry](maxlen=entries_max)
        self._seen = 0
        self._lock = threading.Lock()

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[JournalEntry]: ...

    def __getitem__(self, index: int | slice) -> JournalEntry | Sequence[JournalEntry]:
        return self._kept()[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(self._kept())

    @property
    def seen(self) -> int:
        """How many requests came since the journal was cleared, those that are no longer kept included."""
        return self._seen

    def of(self, *kinds: str, after: int = 0) -> list[JournalEntry]:
        """Return the requests of these kinds (of all, if none is named) with a number above `after`.

        Raises UsageError for a kind that does not exist.
        """
        for kind in kinds:
            if kind not in KINDS:
                raise UsageError(f"{kind!r} is not a kind of request.", remedy=f"Choose from {', '.join(KINDS)}.")
        return [entry for entry in self._kept() if entry.number > after and (not kinds or entry.kind in kinds)]

    def clear(self) -> None:
        """Forget all requests; the next one is number 1."""
        with self._lock:
            self._entries.clear()
            self._seen = 0

    def opened(self, scope: Scope) -> JournalEntry:
        """Add a request that has just come."""
        kept = {name: scope[name] for name in _KEPT}
        with self._lock:
            self._seen += 1
            entry = JournalEntry(self._seen, utc_now(), scope["method"], scope["path"], _scope=kept)
            self._entries.append(entry)
        return entry

    def _kept(self) -> tuple[JournalEntry, ...]:
        with self._lock:
            return tuple(self._entries)


class JournalingApp:
    """An application that writes each request into a journal. `on_answered` is called when an answer is out."""

    def __init__(
        self, app: ASGIApp, journal: RequestJournal, on_answered: Callable[[JournalEntry], None] = lambda _: None
    ) -> None:
        self._app, self._journal, self._on_answered = app, journal, on_answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        entry = self._journal.opened(scope)
        began = time.perf_counter()
        scope[STRUCK] = entry.faults

        async def writing(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            else:
                entry.size_bytes += len(message.get("body", b""))
            entry.duration_s = time.perf_counter() - began  # before the caller has it all: a test may look at once
            await send(message)

        try:
            await self._app(scope, _NotedRequest(receive, entry).receive, writing)
        finally:
            self._on_answered(entry)


class _NotedRequest:
    """A request's `receive`, which notes the body. Like the web server's, it belongs to what knows the connection."""

    def __init__(self, receive: Receive, entry: JournalEntry) -> None:
        self._receive, self._entry = receive, entry

    @property
    def transport(self) -> object:
        """The connection, for faults that cut it."""
        return getattr(getattr(self._receive, "__self__", None), "transport", None)

    async def receive(self) -> Message:
        """Return the next message."""
        message = await self._receive()
        self._entry.note_body(message.get("body", b""))
        return message


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "authorization":
            scheme, space, _ = value.partition(" ")
            value = f"{scheme} {HIDDEN}" if space else HIDDEN
        elif name in _SECRET_HEADERS:
            value = HIDDEN
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _without_secrets(body: str) -> str:
    return _SECRET_PAIR.sub(rf"\1{HIDDEN}", body)
