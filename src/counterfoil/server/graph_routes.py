"""The Graph routes: read what is asked, make one call, write the answer.

Paths arrive in their one canonical spelling (see `wire.graph_paths`; the entry point sees to it), so each route is here
once per version. Asking for a failed export is a success: GET on an operation answers 200 whatever its state.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from counterfoil.errors import BadRequestError, GoneError, NotFoundError, NotServedError
from counterfoil.model import Kind, is_guid
from counterfoil.server.error_responses import RequestIds, graph_headers
from counterfoil.server.identity.authenticator import TokenBearer
from counterfoil.server.request_record import note_caller
from counterfoil.server.server_parts import Service
from counterfoil.storage.activity import Action
from counterfoil.storage.catalog_rows import Operation
from counterfoil.storage.told import facts_of
from counterfoil.wire import graph
from counterfoil.wire.graph import BILLING, VERSIONS

PAGE_SIZE: Final = 100  # elements of a collection; each may be a manifest of thousands of blobs
P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request, TokenBearer], Response]  # of a request and who makes it


def graph_routes(service: Service) -> list[Route]:
    """Return all Graph routes of both versions."""
    return [route for version in VERSIONS for route in _routes(GraphRoutes(service, version))]


def _routes(routes: GraphRoutes) -> list[Route]:
    top = f"/{routes.version}"
    billing = f"{top}/{BILLING}"
    kinds = [f"{BILLING}/{kind}{rest}" for kind in Kind for rest in ("", "/billed", "/unbilled")]
    reads: dict[str, Answer] = {
        f"{top}/{path}": routes.entity_at(path) for path in ("reports/partners", BILLING, *kinds)
    }
    for collection, get_one in (("operations", routes.get_operation), ("manifests", routes.get_manifest)):
        reads[f"{billing}/{collection}"] = partial(routes.list_collection, collection)
        reads[f"{billing}/{collection}/$count"] = partial(routes.count_collection, collection)
        reads[f"{billing}/{collection}/{{id}}"] = get_one  # behind $count, which would be an id
    exports: dict[str, Handler] = {
        f"{billing}/{kind}/{scope}/export": partial(routes.export, kind, billed=scope == "billed")
        for kind in Kind
        for scope in ("billed", "unbilled")
    }
    if routes.version == "beta":
        aggregated = f"{billing}/aggregatedUsage"
        reads |= dict.fromkeys((aggregated, f"{aggregated}/billed"), routes.not_served)
        exports[f"{aggregated}/billed/export"] = partial(routes.answer, routes.not_served)
    return [Route(path, partial(routes.answer, answer), methods=["GET"]) for path, answer in reads.items()] + [
        Route(path, handler, methods=["POST"]) for path, handler in exports.items()
    ]


class GraphRoutes:
    """The routes of one version of the API."""

    def __init__(self, service: Service, version: str) -> None:
        self._service = service
        self._exports = service.exports
        self._limits = service.limits
        self._activity = service.activity
        self.version = version

    async def answer(self, answer: Answer, request: Request) -> Response:
        """Find out who makes the request, and have it answered in a thread, for that may take the catalog."""
        caller = await self._caller(request)
        return await self._reading(caller.partner, answer, request, caller)

    async def export(self, kind: Kind, request: Request, *, billed: bool) -> Response:
        """Submit an export."""
        caller = await self._caller(request)
        body = graph.decode_body(
            await request.body(),
            content_type=request.headers.get("content-type", ""),
            content_encoding=request.headers.get("content-encoding", ""),
        )
        asked = graph.read_export_request(kind, body, billed=billed)
        key = request.headers.get("idempotency-key")
        if key is not None:
            graph.check_idempotency_key(key)
        # Most exports were made before, and take no turn to write: while the catalog is locked they go on.
        partner = caller.partner
        operation = None if key is not None else await self._reading(partner, self._exports.shared, partner, asked)
        if operation is None:
            self._limits.exports.spend(partner)
            operation = await self._writing(partner, self._exports.submit, partner, asked, key)
        details = {**facts_of(operation.dataset), "attributes": operation.attributes.value}
        self._activity.note(
            Action.EXPORT, partner=partner, actor=caller.client_id, subject=operation.id, details=details
        )
        headers = {
            "location": graph.operation_url(self._root(request), operation.id),
            "retry-after": str(self._exports.progress(operation).retry_after_s),
        }
        # Microsoft sends no body here, and Kiota's runtimes for TypeScript and Ruby cannot read an answer without one
        # (microsoft/kiota-typescript#1485). The action declares this type, and clients that want a body want this.
        status, at = graph.OperationStatus.RUNNING, operation.created_at
        told = graph.operation_body(self._root(request), operation.id, status=status, created_at=at, last_action_at=at)
        return _json(request, told, headers, status=202)

    def get_operation(self, request: Request, caller: TokenBearer) -> Response:
        """Return the state of an export."""
        operation = self._exports.operation(caller.partner, _guid(request, "operation"))
        body = self._operation_body(request, caller, operation)
        retry_after = {"retry-after": str(self._exports.progress(operation).retry_after_s)}
        # Microsoft's sample client takes Retry-After for granted until the end, and must not see it after.
        return _json(request, body, retry_after if body["status"] == "running" else None)

    def get_manifest(self, request: Request, caller: TokenBearer) -> Response:
        """Answer a manifest with a fresh link to its blobs."""
        operation = self._exports.operation_of_manifest(caller.partner, _guid(request, "manifest"))
        return _json(request, self._manifest_body(request, caller, operation))

    def list_collection(self, collection: str, request: Request, caller: TokenBearer) -> Response:
        """List the caller's operations, or their manifests. `$top` is the size of a page, not the end of the walk."""
        top, skip = _whole(request, "$top"), _whole(request, "$skip") or 0
        size = PAGE_SIZE if top is None else min(top, PAGE_SIZE)
        succeeded = collection == "manifests"
        operations = self._exports.operations(caller.partner, succeeded=succeeded, limit=size + 1, offset=skip)
        more = 0 < size < len(operations)
        counted = request.query_params.get("$count", "").lower() == "true"
        next_top = "" if top is None else f"$top={top}&"
        path = f"{BILLING}/{collection}"
        element = self._operation_body if collection == "operations" else self._manifest_body
        body = graph.collection_body(
            self._root(request),
            path,
            _kept(partial(element, request, caller), operations[:size]),
            count=self._exports.count(caller.partner, succeeded=succeeded) if counted else None,
            next_link=f"{self._root(request)}/{path}?{next_top}$skip={skip + size}" if more else "",
        )
        return _json(request, body)

    def count_collection(self, collection: str, request: Request, caller: TokenBearer) -> Response:
        """Count the caller's operations, or their manifests."""
        headers = graph_headers(RequestIds.of(request.scope)) | {"content-type": "text/plain"}
        return Response(str(self._exports.count(caller.partner, succeeded=collection == "manifests")), headers=headers)

    def entity_at(self, path: str) -> Answer:
        """Return what answers with one of the entities on the way to the actions."""
        return lambda request, _caller: _json(request, graph.entity_body(self._root(request), path))

    def not_served(self, request: Request, caller: TokenBearer) -> Response:
        """Refuse what Microsoft serves and we do not."""
        raise NotServedError("Counterfoil does not serve the aggregated usage export.")

    async def _caller(self, request: Request) -> TokenBearer:
        # Two such headers are one with a comma in it, and no token: nobody is to choose between them.
        authorization = ", ".join(request.headers.getlist("authorization"))
        caller = await self._service.authenticator.authenticate(authorization, api="graph")
        note_caller(request.scope, caller.partner, caller.client_id)
        if not caller.registered_client:
            self._activity.note_outside_token(caller.partner, caller.client_id)
        self._limits.requests.spend(caller.partner)
        return caller

    async def _reading(self, partner: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that only reads, in a thread of the partner's share."""
        async with self._limits.reads.turn(partner):
            return await run_in_threadpool(function, *args, **kwargs)

    async def _writing(self, partner: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that writes, in a thread of the partner's share and of all writers' share."""
        async with self._limits.writes.turn(partner), self._limits.all_writes.turn(""):
            return await run_in_threadpool(function, *args, **kwargs)

    def _root(self, request: Request) -> str:
        return f"{self._service.base_url(request.scope)}/{self.version}"

    def _operation_body(self, request: Request, caller: TokenBearer, operation: Operation) -> dict[str, object]:
        progress = self._exports.progress(operation)
        manifest = None
        if progress.status is graph.OperationStatus.SUCCEEDED:
            manifest = self._manifest(request, caller, operation)
        return graph.operation_body(
            self._root(request),
            operation.id,
            status=progress.status,
            created_at=operation.created_at,
            last_action_at=progress.last_action_at,
            manifest=manifest,
            error=progress.error,
        )

    def _manifest(self, request: Request, caller: TokenBearer, operation: Operation) -> graph.Manifest:
        base_url = self._service.base_url(request.scope)
        return self._exports.manifest(operation, base_url, caller.registered_client)

    def _manifest_body(self, request: Request, caller: TokenBearer, operation: Operation) -> dict[str, object]:
        manifest = self._manifest(request, caller, operation)
        return graph.manifest_body(self._root(request), manifest)


def _kept(
    element: Callable[[Operation], dict[str, object]], operations: Iterable[Operation]
) -> list[dict[str, object]]:
    """Return the elements of a collection, without those whose data went away since it was listed."""
    found = []
    for operation in operations:
        with suppress(GoneError):
            found.append(element(operation))
    return found


def _json(
    request: Request, body: dict[str, object], more: dict[str, str] | None = None, *, status: int = 200
) -> Response:
    headers = graph_headers(RequestIds.of(request.scope)) | (more or {})
    return Response(json.dumps(body, ensure_ascii=False).encode(), status, headers)


def _guid(request: Request, what: str) -> str:
    """Return the object id in the path; what cannot be one answers as one that is not there."""
    text: str = request.path_params["id"]
    if not is_guid(text):
        raise NotFoundError(f"There is no {what} with this id.")
    return text


def _whole(request: Request, option: str) -> int | None:
    text = request.query_params.get(option)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise BadRequestError(f"The query option '{option}' must be a whole number.", parameter=option)
    return int(text)
