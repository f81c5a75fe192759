"""The built-in authority: tokens for registered clients, and with --dev for whoever asks on behalf of a partner.

Usable by plain form posts, msal and azure-identity. What a newcomer would get wrong: a wrong secret, an unknown
client and a client of another tenant are one answer, for anything else would tell strangers who is served here.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.concurrency import run_in_threadpool

from counterfoil.errors import RequestError, UnauthenticatedError, UsageError
from counterfoil.model import tenant_id
from counterfoil.periods import Clocks
from counterfoil.server.audiences import Audiences
from counterfoil.server.issuing import TOKEN_LIFETIME_S, AuthorityKeys
from counterfoil.storage.records import RegisteredClient
from counterfoil.wire import oauth

WRONG_SECRETS_A_MINUTE: Final = 10
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_TARGETS = {"scope": "The audience, followed by `/.default`.", "resource": "The audience."}
_WRONG_CLIENT = "The client is not registered for this tenant, or its secret is not the right one."


# Checked by hand, so that a wrong one is refused in the words of OAuth; the format is for the OpenAPI document.
Tenant = Annotated[str, Path(description="The partner's tenant id.", json_schema_extra={"format": "uuid"})]


class ClientRegistry(Protocol):
    """What must be known of partners and clients; the catalog knows it."""

    def has_partner(self, tenant: str, /) -> bool:
        """Tell whether a partner may be served."""

    def check_client(self, client_id: str, secret: str, /) -> RegisteredClient | None:
        """Return the client with this id and secret."""


@dataclass(slots=True)
class _Guesses:
    """How often a client's secret was guessed wrong lately. Each process counts alone."""

    limit: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(WRONG_SECRETS_A_MINUTE))
    counter: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))

    def wait_s(self, client_id: str) -> int:
        """Return for how long no more guesses are taken; 0 is now."""
        if self.counter.test(self.limit, client_id):
            return 0
        return max(1, math.ceil(self.counter.get_window_stats(self.limit, client_id).reset_time - time.time()))

    def count(self, client_id: str) -> None:
        self.counter.hit(self.limit, client_id)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may have a token, and for what. In development `keys` signs with the development key."""

    registry: ClientRegistry
    clocks: Clocks
    keys: AuthorityKeys
    audiences: Audiences
    _guesses: _Guesses = field(default_factory=_Guesses, init=False)

    def wait_s(self, client_id: str) -> int:
        """Return for how many seconds this client's secret was guessed too often; 0 if it was not."""
        return 0 if self.keys.development else self._guesses.wait_s(client_id)

    def issue(self, tenant: str, asked: oauth.TokenRequest, *, resource: bool) -> dict[str, object]:
        """Return the body with the token; raises RequestError with an OAuth code."""
        partner = self._admit(_tenant(tenant), asked)
        if not self.audiences.may_be_asked_for(asked.audience):
            good = ", ".join(self.audiences.own)
            code = "invalid_resource" if resource else "invalid_scope"
            raise oauth.refused(code, f"The audience is none of this service. Ask for: {good}.")
        now = self.clocks.wall()
        token = self.keys.signing().mint(partner=partner, audience=asked.audience, client_id=asked.client_id, now=now)
        return oauth.token_answer(token, asked, now=now, lifetime_s=TOKEN_LIFETIME_S, resource=resource)

    def _admit(self, tenant: str, asked: oauth.TokenRequest) -> str:
        if self.keys.development:
            if not self.registry.has_partner(tenant):
                raise oauth.refused(
                    "invalid_tenant",
                    f"Tenant '{tenant}' not found. Register it with: counterfoil partners add {tenant}.",
                )
            return tenant
        client = self.registry.check_client(asked.client_id, asked.secret)
        if client is None or client.partner != tenant or client.revoked_at is not None:
            self._guesses.count(asked.client_id)
            raise oauth.refused("invalid_client", _WRONG_CLIENT)
        return tenant


class _Endpoints:
    """What answers. Every refusal of ours becomes an OAuth body here; anything else passes through."""

    def __init__(self, authority: Authority, base_url: Callable[[Request], str]) -> None:
        self._authority = authority
        self._base_url = base_url

    async def token_for_scope(self, tenant: Tenant, request: Request) -> JSONResponse:
        """Client credentials; the audience is asked for by a scope."""
        return await self._token(tenant, request, resource=False)

    async def token_for_resource(self, tenant: Tenant, request: Request) -> JSONResponse:
        """Client credentials in the older form; the audience is a resource."""
        return await self._token(tenant, request, resource=True)

    async def describe(self, tenant: Tenant, request: Request) -> JSONResponse:
        """The discovery document of the authority."""
        return self._discovery(tenant, request, older=False)

    async def describe_older(self, tenant: Tenant, request: Request) -> JSONResponse:
        """The discovery document of the authority in the older form."""
        return self._discovery(tenant, request, older=True)

    def keys(self, tenant: Tenant, request: Request) -> JSONResponse:
        """The public keys of the authority."""
        try:
            _tenant(tenant)
        except RequestError as error:
            return self._refusal(request, error)
        return JSONResponse({"keys": [key.public_jwk() for key in self._authority.keys.honoured()]})

    async def _token(self, tenant: str, request: Request, *, resource: bool) -> JSONResponse:
        try:
            asked = oauth.parse_token_request(
                await _body(request),
                content_type=request.headers.get("content-type", ""),
                authorization=request.headers.get("authorization", ""),
                resource=resource,
            )
            wait_s = self._authority.wait_s(asked.client_id)
            if wait_s:
                return self._too_often(request, wait_s)
            issue = partial(self._authority.issue, tenant, asked, resource=resource)
            return JSONResponse(await run_in_threadpool(issue), headers=_NO_STORE)
        except RequestError as error:
            if error.code not in oauth.CODES:
                raise
            return self._refusal(request, error)

    def _discovery(self, tenant: str, request: Request, *, older: bool) -> JSONResponse:
        try:
            authority = f"{self._base_url(request)}/{_tenant(tenant)}"
        except RequestError as error:
            return self._refusal(request, error)
        return JSONResponse(oauth.discovery_document(authority, older=older))

    def _refusal(self, request: Request, error: RequestError) -> JSONResponse:
        headers = dict(_NO_STORE)
        if isinstance(error, UnauthenticatedError):
            headers["WWW-Authenticate"] = 'Basic realm="counterfoil"'
        return self._told(request, error.status, error.code, error.message, headers)

    def _too_often(self, request: Request, wait_s: int) -> JSONResponse:
        why = "The secret of this client was wrong too often; wait before you try again."
        headers = {**_NO_STORE, "Retry-After": str(wait_s)}
        return self._told(request, 429, "temporarily_unavailable", why, headers)

    def _told(self, request: Request, status: int, code: str, why: str, headers: dict[str, str]) -> JSONResponse:
        try:
            correlation_id = str(uuid.UUID(request.headers.get("client-request-id", "")))
        except ValueError:
            correlation_id = str(uuid.uuid4())
        now, trace_id = self._authority.clocks.wall(), str(uuid.uuid4())
        body = oauth.error_body(code, why, now=now, trace_id=trace_id, correlation_id=correlation_id)
        return JSONResponse(body, status, headers)


def authority_router(authority: Authority, base_url: Callable[[Request], str]) -> APIRouter:
    """Return the routes: two token endpoints, their discovery documents and the keys.

    `base_url` tells the URL that callers use, without a slash at the end.
    """
    endpoints = _Endpoints(authority, base_url)
    router = APIRouter(tags=["tokens"])
    for path, endpoint, target in (
        ("/{tenant}/oauth2/v2.0/token", endpoints.token_for_scope, "scope"),
        ("/{tenant}/oauth2/token", endpoints.token_for_resource, "resource"),
    ):
        router.add_api_route(
            path, endpoint, methods=["POST"], responses=_TOKEN_RESPONSES, openapi_extra=_form_schema(target)
        )
    for path, document in (
        ("/{tenant}/v2.0/.well-known/openid-configuration", endpoints.describe),
        ("/{tenant}/.well-known/openid-configuration", endpoints.describe_older),
        ("/{tenant}/discovery/v2.0/keys", endpoints.keys),
        ("/{tenant}/discovery/keys", endpoints.keys),
    ):
        router.add_api_route(path, document, methods=["GET"], responses=_DOCUMENT_RESPONSES)
    return router


async def _body(request: Request) -> bytes:
    """Read the body, and no more of it than a form may have."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > oauth.FORM_BYTES_MAX:
            break
    return bytes(body)


def _tenant(text: str) -> str:
    try:
        return tenant_id(text)
    except UsageError:
        raise oauth.refused("invalid_tenant", "The tenant in the address must be a tenant id, a GUID.") from None


def _refusals(told: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    body = {"application/json": {"schema": {"type": "object", "required": ["error"]}}}
    also = {413: "The body, address or headers are too long.", 503: "Not now; `Retry-After` says when."}
    return {status: {"description": about, "content": body} for status, about in (told | also).items()}


_TOKEN: Final = {"type": "object", "required": ["token_type", "expires_in", "access_token"]}
_DOCUMENT_RESPONSES: Final = _refusals({400: "The tenant is not a GUID."})
_TOKEN_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The token.", "content": {"application/json": {"schema": _TOKEN}}},
    **_refusals(
        {
            400: "The form, tenant or audience is wrong; `error` tells which.",
            401: "`invalid_client`: no such client, or not this secret.",
            429: "The secret was guessed too often; see `Retry-After`.",
        }
    ),
}


def _form_schema(target: str) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    instead = "Or leave out id and secret, and send them in a Basic header."
    properties = {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "client_id": text,
        "client_secret": {**text, "description": instead},
        target: {**text, "description": _TARGETS[target]},
    }
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {"requestBody": {"required": True, "content": {oauth.FORM_TYPE: {"schema": schema}}}}
