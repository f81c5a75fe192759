"""What a fault is told: the request it strikes, what kind of request that is, and what went by before it.

What a newcomer would get wrong: blobs and pages have numbers of their own, counted from 1. A blob's is its part in
the manifest, a page's is its place in the walk, which is learnt from the tokens that were handed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from starlette.types import Scope

from counterfoil.errors import NotFoundError
from counterfoil.server.faults.replies import Reply
from counterfoil.server.lru_cache import LruCache
from counterfoil.server.refusals import Dialect, RequestIds, dialect_of, header
from counterfoil.wire.graph_paths import canonical_path

REMEMBERED: Final = 100_000  # continuation tokens


class Route(StrEnum):
    """The kinds of request that a fault can strike."""

    TOKEN = "token"  # noqa: S105 - a kind of request
    SUBMIT = "submit"
    OPERATION = "operation"
    MANIFEST = "manifest"
    BLOB = "blob"
    PAGE = "page"


NUMBERED: Final = frozenset({Route.BLOB, Route.PAGE})


def route_of(scope: Scope) -> Route | None:
    """Return what kind of request this is; None for all that no fault strikes."""
    path, method = scope["path"], scope["method"]
    dialect = dialect_of("/" + path.lstrip("/"))
    if dialect is Dialect.STORAGE:
        return Route.BLOB
    if dialect is Dialect.PARTNER_CENTER:
        return Route.PAGE if "/lineitems" in path.lower() else None
    if dialect is Dialect.PLAIN:
        return Route.TOKEN if method == "POST" and "/oauth2/" in path else None
    try:
        parts = canonical_path(scope["raw_path"].decode("ascii")).split("/")
    except NotFoundError:
        return None
    if method == "POST":
        return Route.SUBMIT if parts[-1] == "export" else None
    if parts[-1] == "$count":
        return None
    return {"operations": Route.OPERATION, "manifests": Route.MANIFEST}.get(parts[-2])


@dataclass(slots=True)
class Memory:
    """What was seen since the last reset; a fault may add to it."""

    blobs: dict[str, list[str]] = field(default_factory=dict)  # root path -> the names in its manifest
    pages: LruCache[str, tuple[int, str]] = field(
        default_factory=lambda: LruCache(REMEMBERED)
    )  # token -> number, token before
    exchanged: dict[str, str] = field(default_factory=dict)  # token -> that of the page whose items it gets
    remade: dict[str, bytes] = field(default_factory=dict)  # path of a blob -> other bytes for it
    refused_links: bool = False  # links are refused until an operation or manifest was asked for again
    links_renewed: int = 0

    def page_number(self, token: str) -> int:
        """Return the place of a page in its walk, 0 if nothing is known of the token."""
        known = self.pages.get(token)
        return 1 if not token else known[0] if known else 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One request that a rule strikes; `strike` counts from 1, `given` are the rule's own values."""

    route: Route
    scope: Scope
    number: int
    strike: int
    given: Mapping[str, Any]
    seed: str
    memory: Memory
    now: datetime

    @property
    def dialect(self) -> Dialect:
        """The API that the caller speaks."""
        return dialect_of("/" + self.scope["path"].lstrip("/"))

    @property
    def ids(self) -> RequestIds:
        """What the answer is known by."""
        return RequestIds.of(self.scope)

    @property
    def token(self) -> str:
        """The continuation token of the request."""
        return header(self.scope, b"ms-continuationtoken").strip()

    def draw(self, bound: int) -> int:
        """Return a number below `bound`, the same for the same seed, rule and strike."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {self.strike}".encode()).digest()[:8]) % bound


class Ask(Protocol):
    """How a fault gets the right answer, or that to another request."""

    async def __call__(self, *, path: str | None = None, token: str | None = None) -> Reply:
        """Return the answer; for another path, or as the page behind another continuation token."""
