"""The built-in authority: tokens for registered clients, and in development for anyone who names a partner.

It works with plain form posts, msal and azure-identity. A wrong secret, an unknown client and a client of another
tenant get one answer: any difference would show strangers who is a customer here.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from counterfoil.errors import TooOftenError, UnauthenticatedError, UsageError
from counterfoil.lifetimes_and_sizes import BEARER_TOKEN
from counterfoil.model import tenant_id
from counterfoil.periods import Clocks
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.client_assertions import ClientAssertions, asserted_client_id
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.server.lru_cache import LruCache
from counterfoil.storage.catalog import Catalog
from counterfoil.wire import oauth

CLAIMED_CLIENT: Final = "counterfoil.client"  # in the scope of a sign-in: who it says it is
WRONG_SECRETS_A_MINUTE: Final = 10
_MINUTE_S: Final = 60
_COUNTED_MAX: Final = 10_000  # clients and addresses whose wrong secrets are counted at once
# Said only to whoever has the secret.
_ENDED = "The client's secret has expired; whoever runs this service can give it a new one."
_WRONG_CLIENT = "The client is not registered for this tenant, or its secret is wrong."


class _WrongSecrets:
    """Counts wrong secrets by client id and peer address, minute by minute. Each process counts alone.

    The address is part of the key, so that a stranger's guesses say nothing about anybody else's.
    """

    def __init__(self) -> None:
        self._windows: LruCache[tuple[str, str], tuple[float, int]] = LruCache(_COUNTED_MAX)  # its begin, and the count
        self._lock = threading.Lock()

    def count(self, client_id: str, peer: str) -> int:
        """Count one more; return for how many seconds that is too many, 0 if it is not."""
        with self._lock:
            now = time.monotonic()
            began, wrong = self._windows.get((client_id, peer)) or (now, 0)
            if now - began >= _MINUTE_S:
                began, wrong = now, 0
            self._windows.put((client_id, peer), (began, wrong + 1))
        return 0 if wrong < WRONG_SECRETS_A_MINUTE else max(1, math.ceil(began + _MINUTE_S - now))


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may have a token, and for what. In development `keys` signs with the development key."""

    catalog: Catalog
    clocks: Clocks
    keys: AuthorityKeys
    audiences: Audiences
    _wrong_secrets: _WrongSecrets = field(default_factory=_WrongSecrets, init=False)
    _assertions: ClientAssertions = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_assertions", ClientAssertions(self.catalog, self.clocks))

    def issue(
        self, tenant: str, asked: oauth.TokenRequest, peer: str, address: str, *, resource: bool
    ) -> dict[str, object]:
        """Return the body with the token for a caller at the address `peer`; raises RequestError with an OAuth code.

        `address` is that of this authority, `<base URL>/<tenant>`, as callers know it.
        """
        self._admit(tenant, asked, peer, address)
        if not self.audiences.may_be_asked_for(asked.audience):
            good = ", ".join(self.audiences.own)
            code = "invalid_resource" if resource else "invalid_scope"
            raise oauth.refused(code, f"The audience is not one of this service's. Ask for: {good}.")
        now = self.clocks.wall()
        token = self.keys.signing().mint(partner=tenant, audience=asked.audience, client_id=asked.client_id, now=now)
        return oauth.token_answer(token, asked, now=now, lifetime=BEARER_TOKEN, resource=resource)

    def _admit(self, tenant: str, asked: oauth.TokenRequest, peer: str, address: str) -> None:
        if self.keys.development:
            if not self.catalog.has_partner(tenant):
                raise oauth.refused(
                    "invalid_tenant",
                    f"Tenant '{tenant}' not found. Register it with: counterfoil partners add {tenant}.",
                )
            return
        # What was sent is checked first, however often it was wrong: the right secret always works.
        try:
            self._check(tenant, asked, peer, address)
        except UnauthenticatedError:
            wait_s = self._wrong_secrets.count(asked.client_id, peer)
            if wait_s:
                why = "The secret or assertion of this client was wrong too often; wait before you try again."
                raise TooOftenError(why, code="temporarily_unavailable", retry_after_s=wait_s) from None
            raise

    def _check(self, tenant: str, asked: oauth.TokenRequest, peer: str, address: str) -> None:
        if asked.assertion:
            audiences = [f"{address}{path}" for path in ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "")]
            self._assertions.prove(tenant, asked.client_id, asked.assertion, audiences=audiences, peer=peer)
            return
        now = self.clocks.wall()
        client = self.catalog.check_client(asked.client_id, asked.secret, now)
        if client is None and (ended := self.catalog.secret_ended(asked.client_id, asked.secret, now)):
            raise oauth.refused("invalid_client", f"{_ENDED} It ended on {ended:%Y-%m-%d}.")
        if client is None or client.partner != tenant or client.revoked_at is not None:
            raise oauth.refused("invalid_client", _WRONG_CLIENT)


def _named(asked: oauth.TokenRequest) -> str:
    """Return the client that an assertion names, where the form does not."""
    client_id = asserted_client_id(asked.assertion)
    if not client_id or len(client_id) > oauth.CLIENT_ID_LENGTH_MAX:
        raise oauth.refused("invalid_request", "The request body must contain the following parameter: 'client_id'.")
    return client_id


def authority_routes(
    authority: Authority,
    base_url: Callable[[Scope], str],
    signed_in: Callable[[Scope, oauth.TokenRequest, str], None],
) -> list[Route]:
    """Return the routes: two token endpoints, their discovery documents, the keys, and where browsers are refused.

    `base_url` returns the URL that callers use, without a slash at the end; `signed_in` is told who got a token.
    Refusals are raised: the path tells the entry point that they are OAuth's.
    """

    async def token(request: Request, *, resource: bool) -> Response:
        asked = oauth.parse_token_request(
            await request.body(),
            content_type=request.headers.get("content-type", ""),
            authorization=request.headers.get("authorization", ""),
            resource=resource,
        )
        peer = request.client.host if request.client is not None else ""
        tenant = _tenant(request)
        if not asked.client_id:
            asked = replace(asked, client_id=_named(asked))
        request.scope[CLAIMED_CLIENT] = asked.client_id
        address = f"{base_url(request.scope)}/{tenant}"
        answer = await run_in_threadpool(authority.issue, tenant, asked, peer, address, resource=resource)
        signed_in(request.scope, asked, tenant)
        return JSONResponse(answer, headers=oauth.NO_STORE)

    async def discovery(request: Request, *, older: bool) -> Response:
        address = f"{base_url(request.scope)}/{_tenant(request)}"
        return JSONResponse(oauth.discovery_document(address, older=older))

    async def authorize(request: Request) -> Response:
        _tenant(request)
        raise oauth.refused(
            "unsupported_response_type",
            "Nobody signs in here by browser: ask the token endpoint by client credentials.",
        )

    async def keys(request: Request) -> Response:
        _tenant(request)
        found = await run_in_threadpool(authority.keys.honoured)
        return JSONResponse({"keys": [key.public_jwk() for key in found]})

    return [
        Route("/{tenant}/oauth2/v2.0/token", partial(token, resource=False), methods=["POST"]),
        Route("/{tenant}/oauth2/token", partial(token, resource=True), methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/authorize", authorize),
        Route("/{tenant}/oauth2/authorize", authorize),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", partial(discovery, older=False)),
        Route("/{tenant}/.well-known/openid-configuration", partial(discovery, older=True)),
        Route("/{tenant}/discovery/v2.0/keys", keys),
        Route("/{tenant}/discovery/keys", keys),
    ]


def _tenant(request: Request) -> str:
    try:
        return tenant_id(request.path_params["tenant"])
    except UsageError:
        raise oauth.refused("invalid_tenant", "The tenant in the address must be a tenant id, a GUID.") from None
