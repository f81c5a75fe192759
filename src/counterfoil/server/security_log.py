"""Who came in and who was turned away: a line for each sign-in and for each refusal at 401, 403 and 429.

A line says what a caller claims, proven or not, so only what has the form of an id is repeated: a secret that was sent
in the place of an id, a token, or a line break never gets here. Whoever is refused can be refused again and again, so
there is a bound for each address and one for all; what was left out is counted, and the count written.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Scope

from counterfoil.errors import RequestError
from counterfoil.model import is_guid
from counterfoil.server.activity_recorder import ActivityRecorder
from counterfoil.server.error_responses import ApiDialect, dialect_of, header, request_id_of
from counterfoil.server.identity.authority import CLAIMED_CLIENT
from counterfoil.server.identity.claims import TOKEN_LENGTH_MAX, client_in
from counterfoil.server.log_lines import LogLine
from counterfoil.storage.activity import Action

SECURITY_LOG: Final = logging.getLogger("counterfoil.security")
TOLD_STATUSES: Final = frozenset({401, 403, 429})
WINDOW_S: Final = 10.0
LINES_MAX: Final = 200  # in a window
LINES_OF_ONE_ADDRESS_MAX: Final = 20
_REASON_LENGTH_MAX: Final = 200
_LINK: Final = re.compile(r"(?:^|&)si=[A-Za-z0-9_-]{1,16}\.([0-9a-f-]{36})(?:&|$)", re.ASCII)


class SecurityLog:
    """Writes the lines of one server. It belongs to one event loop."""

    def __init__(self, activity: ActivityRecorder) -> None:
        self._activity = activity
        self._sign_ins = _BoundedLines("sign-ins")
        self._refusals = _BoundedLines("refusals")

    def signed_in(self, scope: Scope, *, client_id: str, tenant: str, by: str) -> None:
        """Write that a client got a token, and whether by `secret` or `assertion`."""
        peer = peer_of(scope)
        self._activity.note(Action.SIGN_IN, partner=tenant, actor=_id(client_id), details={"by": by, "peer": peer})
        if self._sign_ins.admits(peer):
            self._write("sign-in", scope, {"client": _id(client_id), "tenant": _id(tenant), "by": by})

    def refused(self, scope: Scope, error: RequestError) -> None:
        """Write that a request was refused, if it was for who asks or how often."""
        if error.status not in TOLD_STATUSES:
            return
        client, tenant = map(_id, _claimed(scope))
        dialect, peer = dialect_of(scope["path"]), peer_of(scope)
        if dialect is ApiDialect.OAUTH or error.status != 429:
            action = Action.SIGN_IN_FAILED if dialect is ApiDialect.OAUTH else Action.REFUSED
            details = {"api": dialect.value, "peer": peer, "status": error.status}
            self._activity.note(action, partner=tenant, actor=client, details=details)
        if not self._refusals.admits(peer):
            return
        facts = {"client": client, "tenant": tenant, "code": error.code or ""}
        self._write(f"refused {error.status}", scope, facts | {"reason": error.message[:_REASON_LENGTH_MAX]})

    def _write(self, what: str, scope: Scope, facts: Mapping[str, str]) -> None:
        dialect = dialect_of(scope["path"])
        told = {"request": request_id_of(dialect, scope), "peer": peer_of(scope), "api": dialect.value, **facts}
        SECURITY_LOG.info(LogLine(what, told))


class MalformedRequests:
    """Counts requests that are no HTTP, and writes how many came in a minute: anybody can send them."""

    def __init__(self, every_s: float = WINDOW_S) -> None:
        self._every_s = every_s
        self._count = 0

    def count(self) -> None:
        """Count one more, which is written within a minute."""
        if not self._count:
            asyncio.get_running_loop().call_later(self._every_s, self._tell)
        self._count += 1

    def _tell(self) -> None:
        SECURITY_LOG.info(LogLine("malformed requests", {"count": self._count}))
        self._count = 0


class _BoundedLines:
    """Admits so many lines in a window, and so many of one address; tells how many it left out."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = 0.0
        self._lines = Counter[str]()
        self._left_out = 0

    def admits(self, peer: str) -> bool:
        """Whether there is room for a line about an address."""
        if time.monotonic() - self._began >= WINDOW_S:
            self._begin()
        if self._lines.total() < LINES_MAX and self._lines[peer] < LINES_OF_ONE_ADDRESS_MAX:
            self._lines[peer] += 1
            return True
        if not self._left_out:  # nobody else may come, so the count is written in time by itself
            asyncio.get_running_loop().call_later(WINDOW_S, self._begin)
        self._left_out += 1
        return False

    def _begin(self) -> None:
        if self._left_out:
            SECURITY_LOG.info(LogLine(f"{self._what} left out", {"count": self._left_out}))
        self._began, self._left_out = time.monotonic(), 0
        self._lines.clear()


def peer_of(scope: Scope) -> str:
    """Return the address that a request came from; behind a proxy it is the proxy's."""
    client = scope.get("client")
    return str(client[0]) if client else "-"


def _claimed(scope: Scope) -> tuple[str, str]:
    """Return the client and the tenant that a refused request claims to be of."""
    match dialect_of(scope["path"]):
        case ApiDialect.OAUTH:
            return str(scope.get(CLAIMED_CLIENT, "")), scope["path"].split("/", 2)[1]
        case ApiDialect.STORAGE:
            named = _LINK.search(scope["query_string"].decode("latin-1"))
            return named[1] if named else "", "".join(scope["path"].split("/")[2:3])
    claims = _claims(header(scope, b"authorization"))
    tenant = claims.get("tid")
    return client_in(claims), tenant if isinstance(tenant, str) else ""


def _claims(authorization: str) -> Mapping[str, Any]:
    """Return the claims of a bearer token, unproven; none if they cannot be read."""
    parts = authorization.rpartition(" ")[2].split(".")
    if len(parts) != 3 or len(authorization) > TOKEN_LENGTH_MAX:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _id(text: str) -> str:
    lowered = text.lower()
    return lowered if is_guid(lowered) else ""
