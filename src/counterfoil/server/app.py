"""The whole server as one ASGI application: the front, and behind it three rooms.

`/v1` and `/blobs` are plain ASGI, for they carry the load; everything else goes through FastAPI, which routes it.
The OpenAPI document describes all of it, also what FastAPI never sees.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from counterfoil.errors import CounterfoilError, MethodNotAllowedError, NotFoundError, RequestError
from counterfoil.server import v1
from counterfoil.server.authority import authority_router
from counterfoil.server.blobs import BlobsApp
from counterfoil.server.front import Front
from counterfoil.server.graph import graph_router
from counterfoil.server.graph_openapi import with_every_spelling
from counterfoil.server.health import health_router
from counterfoil.server.refusals import as_refusal, dialect_of, refusal
from counterfoil.server.service import Service
from counterfoil.wire import blob_storage
from counterfoil.wire.tokens import LINK_PARAMETERS

_ABOUT = "Microsoft partner billing data in the APIs that everyone's tools speak. Not affiliated with Microsoft."


def create_app(service: Service) -> Front:
    """Return the server's application."""
    rest = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @cache
    def document() -> dict[str, Any]:
        return _document(rest)

    rest.include_router(graph_router(service))
    if service.authority is not None:
        rest.include_router(authority_router(service.authority, lambda request: service.base_url(request.scope)))
    rest.include_router(health_router(service, document))
    _refuse_in_dialect(rest, service)
    return Front(service, v1=v1.V1App(service), blobs=BlobsApp(service), rest=rest)


def _refuse_in_dialect(rest: FastAPI, service: Service) -> None:
    def answer(request: Request, error: RequestError) -> Response:
        told = refusal(dialect_of(request.url.path), error, request.scope, service.clocks.wall())
        response = Response(told.body, status_code=told.status)
        response.raw_headers = told.headers
        return response

    async def any_error(request: Request, error: Exception) -> Response:
        told = as_refusal(error)
        if told.status == 500:
            raise error  # the front logs it and answers; Starlette's own answer would be none of our dialects
        return answer(request, told)

    async def routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "GET")
            return answer(request, MethodNotAllowedError(f"Use {allowed} here.", allow=allowed))
        return answer(request, NotFoundError("There is nothing at this address."))

    rest.add_exception_handler(CounterfoilError, any_error)
    rest.add_exception_handler(Exception, any_error)
    rest.add_exception_handler(HTTPException, routing)


def _document(rest: FastAPI) -> dict[str, Any]:
    document = get_openapi(title="Counterfoil", version=version("counterfoil"), description=_ABOUT, routes=rest.routes)
    document["paths"] = with_every_spelling(document["paths"]) | v1.openapi_paths() | _blob_paths()
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)  # FastAPI's own refusal, which none of our routes gives
    document.get("components", {}).pop("schemas", None)  # which only describe that one
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return document


def _blob_paths() -> dict[str, Any]:
    guid = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    text = {"type": "string", "minLength": 1}
    parameters = [
        {"name": name, "in": where, "required": where != "header", "schema": schema}
        for where, name, schema in (
            ("path", "partner", {"type": "string", "pattern": guid}),
            ("path", "revision", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            ("path", "attributes", {"type": "string", "enum": ["full", "basic"]}),
            ("path", "name", {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"}),
            *(("query", name, text) for name in LINK_PARAMETERS),
            ("header", "Range", {"type": "string"}),
            ("header", "x-ms-range", {"type": "string"}),
            ("header", "If-Match", {"type": "string"}),
            ("header", "If-None-Match", {"type": "string"}),
        )
    ]
    answers = {
        200: "The whole blob",
        206: "The range that was asked for",
        304: "The caller has this blob already",
        400: "The path is none that a blob can have",
        403: "The link is not signed, not for this blob, or too old",
        404: "No such blob",
        405: "Only GET and HEAD are served",
        412: "The blob is not the one that If-Match names",
        413: "The address or the headers are too long",
        416: "The range lies beyond the end",
    }
    responses: dict[str, Any] = {}
    for status, about in answers.items():
        responses[str(status)] = {"description": about}
        if status != 304:
            media_type = blob_storage.CONTENT_TYPE if status < 300 else blob_storage.XML_CONTENT_TYPE
            responses[str(status)]["content"] = {media_type: {"schema": {"type": "string"}}}
    operation = {"tags": ["Blobs"], "parameters": parameters, "responses": responses}
    about = "a gzip file of line items by its signed link, wholly or a range of it"
    return {
        "/blobs/{partner}/{revision}/{attributes}/{name}": {
            "get": operation | {"summary": f"Download {about}", "operationId": "blob_get"},
            "head": operation | {"summary": f"Describe {about}", "operationId": "blob_head"},
        }
    }
