"""Whether the process is up, whether it can serve, and what it serves: /healthz, /readyz, /openapi.json, /docs, /."""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from counterfoil.errors import CounterfoilError, UnavailableError
from counterfoil.model import Dataset
from counterfoil.server.error_responses import LOG
from counterfoil.server.openapi import document
from counterfoil.server.pages import POLICY, docs_page, first_page
from counterfoil.server.server_parts import Service
from counterfoil.storage.catalog_rows import Revision
from counterfoil.wire.v1 import accepts_gzip

_READY_RETRY_S: Final = 5
_SHOWN_MAX: Final = 100  # datasets on the first page


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

    answers = {"/healthz": healthz, "/readyz": readyz}
    return [*(Route(path, answer, methods=["GET"]) for path, answer in answers.items()), *_pages(service)]


def _pages(service: Service) -> list[Route]:
    # Anybody may ask for these, as often as they like: each is made once.
    @cache
    def plain_document() -> bytes:
        return json.dumps(document()).encode()

    @cache
    def packed_document() -> bytes:
        return gzip.compress(plain_document(), mtime=0)

    @cache
    def page_of_docs() -> str:
        return docs_page(document())

    @cache
    def script() -> bytes:
        return files("counterfoil.server").joinpath("docs.js").read_bytes()

    async def openapi(request: Request) -> Response:
        body, headers = plain_document(), {"vary": "accept-encoding"}
        if accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
            body, headers["content-encoding"] = packed_document(), "gzip"
        return Response(body, media_type="application/json", headers=headers)

    async def docs(_: Request) -> Response:
        return _html(page_of_docs())

    async def docs_script(_: Request) -> Response:
        return Response(script(), media_type="text/javascript")

    async def first(request: Request) -> Response:
        shown = await run_in_threadpool(_in_force, service) if service.development else []
        return _html(first_page(service.base_url(request.scope), shown, development=service.development))

    answers = {"/": first, "/docs": docs, "/docs.js": docs_script, "/openapi.json": openapi}
    return [Route(path, answer, methods=["GET"]) for path, answer in answers.items()]


def _html(page: str) -> Response:
    return Response(page, media_type="text/html", headers={"content-security-policy": POLICY})


def _in_force(service: Service) -> list[tuple[Dataset, Revision]]:
    found = service.catalog.datasets()
    return [(dataset, revision) for dataset, revision in found if revision is not None][:_SHOWN_MAX]
