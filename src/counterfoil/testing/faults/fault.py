"""What a fault is made of, and what it is given: the request that it strikes, and what went by before it.

Blobs and pages have numbers, counted from 1: a blob's is its part in the manifest, a page's its place in the walk,
which is learnt from the tokens that were handed out.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
from starlette.types import Scope

from counterfoil.errors import NotFoundError
from counterfoil.server.error_responses import ApiDialect, dialect_of, header
from counterfoil.server.lru_cache import LruCache
from counterfoil.testing.faults.reply import Reply
from counterfoil.wire.graph_paths import canonical_path

TOKENS_MAX: Final = 100_000  # continuation tokens that are remembered


class Route(StrEnum):
    """The kinds of request that a fault can strike."""

    TOKEN = "token"  # noqa: S105 - a kind of request
    SUBMIT = "submit"
    OPERATION = "operation"
    MANIFEST = "manifest"
    BLOB = "blob"
    PAGE = "page"


_PART: Final = re.compile(r"part-([0-9]{5})-")
NUMBERED: Final = frozenset({Route.BLOB, Route.PAGE})
EVERYWHERE: Final = tuple(Route)
GRAPH: Final = (Route.SUBMIT, Route.OPERATION, Route.MANIFEST)


def route_of(scope: Scope) -> Route | None:
    """Return what kind of request this is; None for those that no fault strikes."""
    path, method = scope["path"], scope["method"]
    dialect = dialect_of("/" + path.lstrip("/"))
    if dialect is ApiDialect.STORAGE:
        return None if b"comp=list" in scope["query_string"] else Route.BLOB
    if dialect is ApiDialect.PARTNER_CENTER:
        return Route.PAGE if "/lineitems" in path.lower() else None
    if dialect is ApiDialect.OAUTH:
        return Route.TOKEN if method == "POST" and "/oauth2/" in path else None
    if dialect is ApiDialect.PLAIN:
        return None
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
    # token -> its page's number, and the token before
    pages: LruCache[str, tuple[int, str]] = field(default_factory=lambda: LruCache(TOKENS_MAX))
    exchanged: dict[str, str] = field(default_factory=dict)  # token -> that of the page whose items it gets
    remade: dict[str, bytes] = field(default_factory=dict)  # path of a blob -> other bytes for it
    remaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused_links: bool = False  # links are refused until an operation or manifest was asked for again
    links_renewed: int = 0

    def page_number(self, token: str) -> int:
        """Return the place of a page in its walk, 0 if nothing is known of the token."""
        known = self.pages.get(token)
        return 1 if not token else known[0] if known else 0


@dataclass(frozen=True, slots=True)
class Strike:
    """One request that a rule strikes; `count` counts its strikes from 1, `given` are the rule's own values."""

    route: Route
    scope: Scope
    memory: Memory
    now: datetime
    count: int = 1
    given: Mapping[str, Any] = field(default_factory=dict)
    seed: str = ""

    @property
    def number(self) -> int:
        """Which blob or page it asks for; 1 for anything else."""
        if self.route is Route.PAGE:
            return self.memory.page_number(self.token)
        part = _PART.match(self.scope["path"].rpartition("/")[2]) if self.route is Route.BLOB else None
        return int(part[1]) + 1 if part is not None else 1

    @property
    def dialect(self) -> ApiDialect:
        """The API that the caller speaks."""
        return dialect_of("/" + self.scope["path"].lstrip("/"))

    @property
    def token(self) -> str:
        """The continuation token of the request."""
        return header(self.scope, b"ms-continuationtoken").strip()

    def draw(self, bound: int) -> int:
        """Return a number below `bound`, the same for the same seed, rule and strike."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {self.count}".encode()).digest()[:8]) % bound


class AskServer(Protocol):
    """How a fault gets the right answer, or that to another request."""

    async def __call__(self, *, path: str | None = None, token: str | None = None) -> Reply:
        """Return the answer; for another path, or as the page behind another continuation token."""


Json = dict[str, Any]
LineItem = dict[str, msgspec.Raw]
Instead = Callable[[Strike, AskServer], Awaitable[Reply]]
Change = Callable[[Strike, Reply], Reply | None]
Respell = Callable[[LineItem], LineItem]
Repack = Callable[[Sequence[bytes]], bytes]


class ClientOutcome(StrEnum):
    """What a good client makes of a fault."""

    RECOVERS = "gets everything"
    DETECTS = "notices: fails, or starts over"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a rule may say beyond what, where and how often: a text, or seconds if the default is a number."""

    default: str | float
    about: str

    @property
    def in_seconds(self) -> bool:
        """Whether its values are numbers of seconds."""
        return not isinstance(self.default, str)


@dataclass(frozen=True, slots=True)
class ServerFault:
    """One fault. It answers `instead` of the server, makes a `change` to its answer, or respells line items.

    `times` is how often it strikes unless a rule says otherwise (None: every time), `at` at which blobs or pages.
    `uses_retry`: each strike uses up one retry of the call. A good client survives `survived` strikes in a row.
    A `steady` fault is a property of the source: always there, or never.
    """

    name: str
    group: str
    about: str
    routes: tuple[Route, ...]
    outcome: ClientOutcome
    instead: Instead | None = None
    change: Change | None = None
    respell: Respell | None = None
    repack: Repack | None = None
    times: int | None = None
    at: tuple[int, ...] = ()
    uses_retry: bool = False
    survived: int = 4
    steady: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def remakes(self) -> bool:
        """Whether it is another spelling of the same line items: always there, not now and then."""
        return self.respell is not None or self.repack is not None


def on_document(applies: Callable[[Json], bool], edit: Callable[[Strike, Json], None]) -> Change:
    """Return the change that edits a JSON object, where it is one of those meant."""

    def change(strike: Strike, reply: Reply) -> Reply | None:
        document = reply.json() if reply.good else None
        if not isinstance(document, dict) or not applies(document):
            return None
        edit(strike, document)
        return reply.with_json(document)

    return change


def path_of(url: str) -> str:
    """Return a URL without its scheme and host."""
    return "/" + url.split("/", 3)[3]
