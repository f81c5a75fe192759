"""Who may control a development server over HTTP, and how such a request is read.

Whoever reaches the control can empty the server, so it answers to programs on this machine, or to those that call the
server by a name it was opened to, and never to a browser: a page of the web has it send an Origin or Sec-Fetch-Site.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Scope

from counterfoil.errors import BadRequestError, ForbiddenError, TooLargeError
from counterfoil.server.error_responses import header

JSON_BYTES_MAX: Final = 1 << 20
PUBLISHED_BYTES_MAX: Final = 4 << 30
_LOOPBACK_NAMES: Final = ("localhost", "[::1]")


def refuse_strangers(scope: Scope, open_to: frozenset[str]) -> None:
    """Raise ForbiddenError unless a program on this machine asks, or one that calls us by a name we are opened to."""
    if any(name == b"origin" for name, _ in scope["headers"]) or header(scope, b"sec-fetch-site") not in ("", "none"):
        raise ForbiddenError("Control is for programs, not for web pages: the request has an Origin. Send none.")
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    name = _without_port(hosts[0]) if len(hosts) == 1 else ""
    if name in {each.lower() for each in open_to}:
        return
    if not (_is_loopback_name(name) and _is_loopback((scope.get("client") or ("",))[0])):
        raise ForbiddenError(
            "Control is for this machine: call the server as localhost, or open it to the name that you use "
            "(dev-open of `counterfoil serve`)."
        )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.endswith("]")) else host


def _is_loopback_name(name: str) -> bool:
    return name in _LOOPBACK_NAMES or (name.startswith("127.") and _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def parameters_of(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """Return the query's parameters; raises BadRequestError for one that is unknown or given twice."""
    pairs = request.query_params.multi_items()
    for name, _ in pairs:
        if name not in known:
            there = f"There is {', '.join(known)}." if known else "It takes none."
            raise BadRequestError(f"There is no parameter {name!r} here. {there}")
    if len(dict(pairs)) < len(pairs):
        raise BadRequestError("A parameter is given twice.")
    return dict(pairs)


def whole_number(given: Mapping[str, str], name: str, default: int) -> int:
    """Return a parameter that is a whole number; raises BadRequestError."""
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise BadRequestError(f"`{name}` is {text!r}, and must be a whole number.")
    return int(text)


async def json_body(
    request: Request, known: tuple[str, ...] | None, *, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the body, a JSON object (an empty body is an empty one); raises BadRequestError for anything else."""
    parameters_of(request, ())
    text = bytearray()
    async for piece in request.stream():
        text += piece
        if len(text) > JSON_BYTES_MAX:
            raise TooLargeError(f"The body may have {JSON_BYTES_MAX:,} bytes.")
    try:
        body = json.loads(text or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise BadRequestError("The body is no JSON object. Write it as {...}.")
    for name in body:
        if known is not None and name not in known:
            there = f"There is {', '.join(known)}." if known else "It takes none."
            raise BadRequestError(f"The body has a member {name!r} that is unknown here. {there}")
    for name in required:
        if name not in body:
            raise BadRequestError(f"The body has no member {name!r}.")
    return body


async def spool(request: Request, path: Path) -> None:
    """Write the body to a file; raises TooLargeError, and BadRequestError if there is none."""
    size = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size += len(piece)
            if size > PUBLISHED_BYTES_MAX:
                raise TooLargeError(f"The body may have {PUBLISHED_BYTES_MAX:,} bytes.")
            file.write(piece)
    if not size:
        raise BadRequestError("The body is empty. Send the line items, or a file of them, as the body.")
