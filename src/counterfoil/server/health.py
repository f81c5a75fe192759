"""Whether the process is up, whether it can serve, and what it serves: /healthz, /readyz, /openapi.json, /docs.

The page /docs is made here, from the document alone: no script, no style sheet and no font from anywhere else.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from counterfoil.errors import CounterfoilError, UnavailableError
from counterfoil.server.refusals import LOG
from counterfoil.server.service import Service

_READY_RETRY_S: Final = 5
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.9em;overflow-wrap:anywhere}h2{margin-top:2rem}li{margin:.4rem 0}"
    "b{display:inline-block;width:4.5rem}"
)
_STATUS_BODY: Final = {"application/json": {"schema": {"type": "object", "properties": {"status": {"type": "string"}}}}}

_ERROR_BODY: Final = {"application/json": {"schema": {"type": "object", "required": ["error"]}}}


def health_router(service: Service, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """Return the routes that need no token. `document` makes the OpenAPI document."""
    router = APIRouter(tags=["Health"])

    async def healthz() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz() -> Response:
        try:
            await run_in_threadpool(service.catalog.has_partner, "")
        except CounterfoilError as error:
            LOG.warning("not ready: %s", error)
            raise UnavailableError("The catalog does not answer.", retry_after_s=_READY_RETRY_S) from None
        return Response(b'{"status":"ready"}', media_type="application/json")

    async def openapi() -> Response:
        return Response(json.dumps(document()).encode(), media_type="application/json")

    async def docs(request: Request) -> Response:
        page = _page(document(), service.base_url(request.scope))
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return Response(page, media_type="text/html", headers={"content-security-policy": policy})

    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": _STATUS_BODY},
        400: {"description": "The Host header names another host", "content": _ERROR_BODY},
        413: {"description": "The address or headers are too long", "content": _ERROR_BODY},
    }
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"description": "The catalog does not answer", "content": _ERROR_BODY}
    }
    router.add_api_route("/healthz", healthz, summary="Whether the process is up", responses={**answers})
    router.add_api_route(
        "/readyz", readyz, summary="Whether requests can be served", responses={**answers, **not_ready}
    )
    router.add_api_route("/openapi.json", openapi, include_in_schema=False)
    router.add_api_route("/docs", docs, include_in_schema=False)
    return router


def _page(document: dict[str, Any], base_url: str) -> str:
    groups: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            line = f"<li><b>{method.upper()}</b> <code>{html.escape(path)}</code><br>"
            line += f"{html.escape(operation.get('summary', ''))}{_taken(operation)}</li>"
            groups.setdefault(operation.get("tags", ["Other"])[0], []).append(line)
    listed = "".join(f"<h2>{html.escape(tag)}</h2><ul>{''.join(lines)}</ul>" for tag, lines in groups.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Counterfoil</title>'
        f"<style>{_STYLE}</style><h1>Counterfoil</h1>"
        f"<p>Serving at <code>{html.escape(base_url)}</code>. "
        'The same as an OpenAPI document: <a href="/openapi.json">openapi.json</a>.</p>' + listed
    )


def _taken(operation: dict[str, Any]) -> str:
    names = [parameter["name"] for parameter in operation.get("parameters", [])]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        names += content.get("schema", {}).get("properties", {})
    return f" Takes <code>{'</code> <code>'.join(map(html.escape, names))}</code>." if names else ""
