"""What is known of a request once it is answered: who asked, what was sent, how long it took.

Whoever reads it (the access log, the metrics) is told once for each request, also where the caller left or the answer
broke off. It says nothing of query strings: whoever has the query of a blob's link can read the blob.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from starlette.types import Message, Scope, Send

from counterfoil.server.error_responses import ApiDialect, dialect_of

_RECORD: Final = "counterfoil.record"
_GRAPH_ENTITIES: Final = frozenset({"export", "operations", "manifests"})
_PLAIN_PATHS: Final = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"})


class RequestRecord:
    """Follows one request. `status` is 0 until its answer begins, and `broke_off` says that it did not end."""

    __slots__ = (
        "_began",
        "_is_told",
        "_send",
        "_tell",
        "broke_off",
        "client",
        "partner",
        "scope",
        "sent_bytes",
        "status",
    )

    def __init__(self, scope: Scope, send: Send, tell: Sequence[Callable[[RequestRecord], None]]) -> None:
        self.scope = scope
        self.partner = self.client = ""  # proven, not claimed
        self.status = self.sent_bytes = 0
        self.broke_off = self._is_told = False
        self._send, self._tell = send, tell
        self._began = time.perf_counter()
        scope[_RECORD] = self

    @property
    def seconds(self) -> float:
        """How long it has taken up to now."""
        return time.perf_counter() - self._began

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; the last one is told of before the caller has it, so that lines stay in order."""
        if message["type"] == "http.response.start":
            self.status = self.status or message["status"]  # a refusal may come too late to be sent
        else:
            self.sent_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._told()
        await self._send(message)

    def end(self) -> None:
        """Tell of it, if its answer did not come to an end."""
        if not self._is_told:
            self.broke_off = True
            self._told()

    def _told(self) -> None:
        self._is_told = True
        for tell in self._tell:
            tell(self)


def note_caller(scope: Scope, partner: str, client: str) -> None:
    """Note who was found to make a request."""
    record = scope.get(_RECORD)
    if isinstance(record, RequestRecord):
        record.partner, record.client = partner, client


def route_of(scope: Scope) -> str:
    """Return what a request is for, one of a few words: paths hold ids, and callers make them up."""
    path: str = scope["path"]
    dialect = dialect_of(path)
    match dialect:
        case ApiDialect.GRAPH:
            found = _GRAPH_ENTITIES.intersection(path.split("/"))
            return f"{dialect.value} {min(found, default='entities')}"
        case ApiDialect.PARTNER_CENTER:
            return f"{dialect.value} lineitems"
        case ApiDialect.STORAGE:
            return "blobs"
        case ApiDialect.OAUTH:
            return f"{dialect.value} {'token' if path.endswith('/token') else 'discovery'}"
    return path if path in _PLAIN_PATHS else "other"
