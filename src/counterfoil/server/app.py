"""The whole server as one ASGI application: the entry point, and behind it three sets of routes.

`/v1` and `/blobs` are plain ASGI, because they carry the load; everything else goes through Starlette's router, which
writes no error itself: a request without a route raises, and the entry point answers it like any other refusal.
"""

from __future__ import annotations

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from counterfoil.server.blob_routes import BlobsApp
from counterfoil.server.entry import EntryPoint
from counterfoil.server.graph_routes import graph_routes
from counterfoil.server.health import health_routes
from counterfoil.server.identity.authority import authority_routes
from counterfoil.server.metrics import metrics_route
from counterfoil.server.request_record import note_caller
from counterfoil.server.server_parts import Service
from counterfoil.server.v1_routes import V1App
from counterfoil.wire.oauth import TokenRequest


def create_app(service: Service) -> EntryPoint:
    """Return the server's application."""
    router = routed(service)

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = router  # without one, Starlette would word 404 and 405 itself
        await router(scope, receive, send)

    return EntryPoint(service, v1=V1App(service), blobs=BlobsApp(service), rest=rest)


def _signing_in(service: Service) -> list[Route]:
    def told(scope: Scope, asked: TokenRequest, tenant: str) -> None:
        by = "assertion" if asked.assertion else "secret"
        note_caller(scope, tenant, asked.client_id)
        service.security_log.signed_in(scope, client_id=asked.client_id, tenant=tenant, by=by)

    return authority_routes(service.authority, service.base_url, told)


def routed(service: Service) -> Router:
    """Return the router of everything but /v1 and /blobs."""
    routes = [*graph_routes(service), *_signing_in(service), *health_routes(service)]
    if service.metrics is not None:
        routes.append(metrics_route(service.metrics, service.settings.metrics_token))
    for route in routes:
        assert route.methods is not None
        route.methods.discard("HEAD")  # Starlette adds it to each GET
    return Router(routes, redirect_slashes=False)
