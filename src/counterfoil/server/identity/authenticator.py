"""Who is calling: from a bearer token to a partner, or a refusal.

A token is good if a key that we honour signed it, its issuer, audience and lifetime are right, and it carries the
one permission there is; its `tid` is the partner, who must be registered. A token is *proved* once and remembered by
its hash, but whether its partner and client may still be served is asked again every two seconds, so a revocation
does not wait for an hour-long token to end.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.concurrency import run_in_threadpool

from counterfoil.errors import ForbiddenError, UnauthenticatedError, UsageError
from counterfoil.model import is_guid
from counterfoil.periods import Clocks
from counterfoil.server.identity.audiences import Audiences
from counterfoil.server.identity.claims import SIGNATURE_ONLY, TOKEN_LENGTH_MAX, client_in
from counterfoil.server.identity.jwks import ALGORITHMS, IssuerKeys
from counterfoil.server.identity.registrations import Registrations
from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.server.lru_cache import LruCache
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from counterfoil.wire.microsoft_ids import PERMISSION

LEEWAY_S: Final = 60
REMEMBERED_S: Final = 300
_REMEMBERED_MAX = 4096
_CLIENT_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """The partner whose data may be read, and the program that asks.

    `registered_client` is that program again where our own authority knows it, and its revocation ends what it got;
    else it is empty.
    """

    partner: str
    client_id: str
    registered_client: str = ""


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a token was found to say, and until when that is remembered."""

    caller: TokenBearer
    apis: frozenset[str]
    until: float


class Authenticator:
    """Identifies callers. Two authenticators share nothing; one may be used by many threads and one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        clocks: Clocks,
        keys: AuthorityKeys,
        audiences: Audiences,
        outside: IssuerKeys | None = None,
    ) -> None:
        self.audiences = audiences
        self._catalog = catalog
        self._wall = clocks.wall
        self._keys = keys
        self._outside = outside
        # By the hash of the token: the token itself is never kept.
        self._proofs: LruCache[bytes, _Proof] = LruCache(_REMEMBERED_MAX)
        self._registrations = Registrations(catalog, clocks.wall)

    @classmethod
    def from_settings(cls, settings: Settings, catalog: Catalog, clocks: Clocks, keys: AuthorityKeys) -> Self:
        """Build it from AUDIENCE, ISSUER and JWKS_URL; raises UsageError."""
        audiences = Audiences.from_setting(settings.audience, development=keys.development)
        return cls(catalog, clocks, keys, audiences, _outside_issuer(settings, clocks))

    async def authenticate(self, authorization: str | None, *, api: str) -> TokenBearer:
        """Return who calls `graph` or `partner-center`.

        Raises UnauthenticatedError, ForbiddenError, or UnavailableError if the issuer cannot be asked for its keys.
        A token that was seen lately costs microseconds; any other is checked in a thread, for that may take the
        catalog or the network.
        """
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode("ascii")).digest()
        now = self._wall().timestamp()
        proof = self._proofs.get(digest)
        if proof is not None and now >= proof.until:
            proof = None
        if proof is None or not self._registrations.found_lately(proof.caller.partner, proof.caller.registered_client):
            proof = await run_in_threadpool(self._check, token, digest, proof, now)
        if api not in proof.apis:
            raise _invalid("Invalid audience.")
        return proof.caller

    def _check(self, token: str, digest: bytes, proof: _Proof | None, now: float) -> _Proof:
        if proof is None:
            proof = self._prove(token, now)
            self._proofs.put(digest, proof)
        partner, client = proof.caller.partner, proof.caller.registered_client
        if not self._registrations.find(partner, client):
            if client and self._catalog.has_partner(partner):
                raise UnauthenticatedError("The client that this token was issued to is no longer registered.")
            # Said of the caller's own tenant only, and in the same words whichever others there are.
            raise _denied("The token's tenant is not served here.")
        return proof

    def _prove(self, token: str, now: float) -> _Proof:
        header = _unverified_header(token)
        key_id, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _invalid("Its algorithm is not accepted.")
        if not isinstance(key_id, str):
            raise _invalid("It names no signing key.")
        own = self._keys.find(key_id)
        if own is not None:
            claims = _claims(token, own.public, ("RS256",))
            issuer, bound = own.issuer, not self._keys.is_development(own)
        else:
            found = self._outside.find(key_id) if self._outside is not None else None
            if found is None or self._outside is None:
                raise _invalid("Its signing key is not known here.")
            claims = _claims(token, found.public, found.algorithms)
            issuer, bound = self._outside.issuer, False
        until = _lifetime(claims, now)
        apis = self.audiences.apis(claims.get("aud"))
        if not apis:
            raise _invalid("Invalid audience.")
        partner = _partner(claims, issuer)
        if not _is_permitted(claims):
            raise _denied(f"The token does not carry the permission {PERMISSION}.")
        client_id = _client_id(claims)
        until = min(until, now + REMEMBERED_S)
        caller = TokenBearer(partner, client_id, client_id if bound else "")
        return _Proof(caller, frozenset(apis), until)


def _outside_issuer(settings: Settings, clocks: Clocks) -> IssuerKeys | None:
    if not settings.issuer:
        if settings.jwks_url:
            raise UsageError("jwks_url is set and issuer is not.", remedy="Set both, or neither.")
        return None
    if not settings.audience:
        raise UsageError(
            "issuer is set and audience is not.",
            remedy="Set audience to your own application's: a token made for anybody else must not be good here.",
        )
    bare = settings.issuer.replace("{tid}", "")
    if "{" in bare or "}" in bare or settings.issuer.count("{tid}") > 1 or "{tid}" in settings.jwks_url:
        raise UsageError(
            f"The issuer {settings.issuer!r} cannot be right.",
            remedy="The tenant's place in an issuer is written {tid}, once, and never in jwks_url.",
        )
    return IssuerKeys(settings.issuer, settings.jwks_url, clocks.wall)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if not token or scheme.lower() != "bearer":
        raise UnauthenticatedError("Access token is empty.")
    if len(token) > TOKEN_LENGTH_MAX:
        raise _invalid(f"It is longer than {TOKEN_LENGTH_MAX} characters.")
    if not token.isascii():
        raise _invalid("It is not a JSON web token.")
    return token


def _unverified_header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _invalid("It is not a JSON web token.") from None


def _claims(
    token: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, algorithms: Sequence[str]
) -> Mapping[str, Any]:
    try:
        return jwt.decode(token, key, algorithms=list(algorithms), options=SIGNATURE_ONLY)
    except jwt.InvalidSignatureError:
        raise _invalid("Invalid signature.") from None
    except jwt.InvalidAlgorithmError:
        raise _invalid("Its algorithm is not accepted.") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _invalid("It is not a JSON web token.") from None


def _lifetime(claims: Mapping[str, Any], now: float) -> float:
    """Return when the token ends, the leeway included; comparisons are written so that NaN is refused."""
    expires_at = _seconds(claims, "exp")
    if expires_at is None:
        raise _invalid("It does not say when it expires.")
    if not expires_at + LEEWAY_S > now:
        raise UnauthenticatedError("Lifetime validation failed, the token is expired.")
    for name in ("nbf", "iat"):
        begins_at = _seconds(claims, name)
        if begins_at is not None and not begins_at - LEEWAY_S <= now:
            raise UnauthenticatedError("Lifetime validation failed, the token is not valid yet.")
    return expires_at + LEEWAY_S


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12 or math.isnan(value):
        raise _invalid(f"Its {name} is not a time.")
    return float(value)


def _partner(claims: Mapping[str, Any], issuer: str) -> str:
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not is_guid(tenant.lower()):
        raise _invalid("Its tid is not a tenant id.")
    # The tenant that is believed must be the one that the issuer speaks for.
    if claims.get("iss") != issuer.replace("{tid}", tenant):
        raise _invalid("Invalid issuer.")
    return tenant.lower()


def _is_permitted(claims: Mapping[str, Any]) -> bool:
    roles, scopes = claims.get("roles"), claims.get("scp")
    return (isinstance(roles, list) and PERMISSION in roles) or (
        isinstance(scopes, str) and PERMISSION in scopes.split(" ")
    )


def _client_id(claims: Mapping[str, Any]) -> str:
    return client_in(claims)[:_CLIENT_LENGTH_MAX]


def _invalid(why: str) -> UnauthenticatedError:
    return UnauthenticatedError(f"Access token validation failure. {why}")


def _denied(why: str) -> ForbiddenError:
    return ForbiddenError(f"Insufficient privileges to complete the operation. {why}")
