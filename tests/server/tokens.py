"""What tests of bearer tokens share: a data folder with one partner, good tokens, and ways to spoil them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from counterfoil.errors import RequestError, UnauthenticatedError
from counterfoil.periods import Clocks
from counterfoil.server.error_responses import ApiDialect
from counterfoil.server.error_responses import refusal as answer_to
from counterfoil.server.identity.authenticator import Authenticator, TokenBearer
from counterfoil.server.identity.signing_keys import AuthorityKeys, SigningKey
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
STRANGER = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GRAPH = "https://graph.microsoft.com"
PARTNER_CENTER = "https://api.partnercenter.microsoft.com"
OWN = "api://counterfoil"


@dataclass
class Place:
    """A data folder with one partner, and a wall clock that a test may turn."""

    catalog: Catalog
    keys: Mapping[bool, AuthorityKeys]  # in development, and outside
    now: datetime = NOW
    clocks: Clocks = field(init=False)

    def __post_init__(self) -> None:
        self.clocks = Clocks(wall=lambda: self.now)

    def authenticator(self, *, development: bool = True, audience: str = "") -> Authenticator:
        return Authenticator.from_settings(
            Settings(audience=audience), self.catalog, self.clocks, self.keys[development]
        )

    def key(self, *, development: bool = True) -> SigningKey:
        return self.keys[development].signing()

    def token(self, audience: str = GRAPH) -> str:
        return self.key().mint(partner=PARTNER, audience=audience, client_id="tool", now=NOW)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good development token, changed; None takes a claim away."""
        good = jwt.decode(self.token(), options={"verify_signature": False})
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def signed(self, **changes: Any) -> str:
        return sign(self.key(), self.claims(**changes))


def sign(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """Sign claims that PyJWT would not encode, because they cannot be right."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key.private, "RS256", headers={"kid": key.id})


def ask(authenticator: Authenticator, token: str | None, api: str = "graph") -> TokenBearer:
    header = None if token is None else f"Bearer {token}"
    return asyncio.run(authenticator.authenticate(header, api=api))


def refusal(authenticator: Authenticator, token: str | None, api: str = "graph") -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        ask(authenticator, token, api)
    assert code_in_answer(caught.value, api) == {"graph": "InvalidAuthenticationToken", "partner-center": "400"}[api]
    return caught.value.message


def code_in_answer(error: RequestError, api: str) -> str:
    """Return the code that a caller of this API sees."""
    _, _, body = answer_to(ApiDialect(api), error, {"headers": []}, NOW)
    answered = json.loads(body)
    return str(answered.get("error", answered)["code"])


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
