"""Whether the process is up, whether it can serve, and what it serves: /healthz, /readyz, /openapi.json, /docs.

The page /docs is made here, from the document alone: no script, no style sheet and no font from anywhere else.
"""

from __future__ import annotations

import gzip
import html
import json
from functools import cache
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from counterfoil.errors import CounterfoilError, UnavailableError
from counterfoil.server.error_responses import LOG
from counterfoil.server.openapi import Json, document, resolved
from counterfoil.server.server_parts import Service
from counterfoil.wire.v1 import accepts_gzip

_READY_RETRY_S: Final = 5
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.9em;overflow-wrap:anywhere}h2{margin-top:2rem}li{margin:.4rem 0}"
    "b{display:inline-block;width:4.5rem}"
)


def health_routes(service: Service) -> list[Route]:
    """Return the routes that need no token."""

    async def healthz(_: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(_: Request) -> Response:
        try:
            await run_in_threadpool(service.catalog.has_partner, "")
        except CounterfoilError as error:
            LOG.warning("not ready: %s", error)
            raise UnavailableError("The catalog does not answer.", retry_after_s=_READY_RETRY_S) from None
        return Response(b'{"status":"ready"}', media_type="application/json")

    # Anybody may ask for these two, as often as they like: each is made once.
    @cache
    def plain_document() -> bytes:
        return json.dumps(document()).encode()

    @cache
    def packed_document() -> bytes:
        return gzip.compress(plain_document(), mtime=0)

    @cache
    def listed() -> str:
        return _listed(document())

    async def openapi(request: Request) -> Response:
        body, headers = plain_document(), {"vary": "accept-encoding"}
        if accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
            body, headers["content-encoding"] = packed_document(), "gzip"
        return Response(body, media_type="application/json", headers=headers)

    async def docs(request: Request) -> Response:
        page = _page(listed(), service.base_url(request.scope))
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return Response(page, media_type="text/html", headers={"content-security-policy": policy})

    answers = {"/healthz": healthz, "/readyz": readyz, "/openapi.json": openapi, "/docs": docs}
    return [Route(path, answer, methods=["GET"]) for path, answer in answers.items()]


def _page(listed: str, base_url: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Counterfoil</title>'
        f"<style>{_STYLE}</style><h1>Counterfoil</h1>"
        f"<p>Serving at <code>{html.escape(base_url)}</code>. "
        'The same as an OpenAPI document: <a href="/openapi.json">openapi.json</a>.</p>' + listed
    )


def _listed(described: Json) -> str:
    groups: dict[str, list[str]] = {}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            line = f"<li><b>{method.upper()}</b> <code>{html.escape(path)}</code><br>"
            line += f"{html.escape(operation['summary'])}{_taken(described, operation)}</li>"
            groups.setdefault(operation["tags"][0], []).append(line)
    return "".join(f"<h2>{html.escape(tag)}</h2><ul>{''.join(lines)}</ul>" for tag, lines in groups.items())


def _taken(described: Json, operation: Json) -> str:
    names = [resolved(described, parameter)["name"] for parameter in operation.get("parameters", [])]
    for content in resolved(described, operation.get("requestBody", {})).get("content", {}).values():
        names += content["schema"]["properties"]
    return f" Takes <code>{'</code> <code>'.join(map(html.escape, names))}</code>." if names else ""
