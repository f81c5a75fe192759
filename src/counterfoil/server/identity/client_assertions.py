"""Signing in by assertion: a JWT signed with a registered certificate's key, or a token of an outside issuer.

Until a signature was proven, every refusal is the same, so nobody learns which clients there are. msal uses one
assertion of its own again for nine minutes, from memory: so a used one is good again from the address that used it
first, and from no other. Tokens of outside issuers are meant to be used again, and may lack an id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import jwt

from counterfoil.errors import RequestError, UsageError
from counterfoil.lifetimes_and_sizes import ASSERTION_MAX
from counterfoil.periods import Clocks
from counterfoil.server.identity.claims import SIGNATURE_ONLY
from counterfoil.server.identity.client_certificates import RegisteredCertificate
from counterfoil.server.identity.jwks import ALGORITHMS, IssuerKeys
from counterfoil.server.lru_cache import LruCache
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import ClientCertificate, FederatedIdentity, RegisteredClient
from counterfoil.wire import oauth

CERTIFICATE_ALGORITHMS: Final = ("PS256", "RS256")
LEEWAY: Final = timedelta(minutes=5)
_ISSUERS_KEPT: Final = 100
_CERTIFICATES_KEPT: Final = 1_000
_ID_LENGTH_MAX: Final = 512
_UNKNOWN: Final = (
    "The client is not registered for this tenant, or the assertion is not signed by a certificate or an issuer "
    "that is registered for it."
)


class _Asserted(NamedTuple):
    """What an assertion says of itself, before anything is proven."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def asserted_client_id(assertion: str) -> str:
    """Return the client that an assertion says it is of, unproven; empty if it says nothing that can be read."""
    found = _read(assertion)
    subject = found.claims.get("sub") if found is not None else None
    return subject if isinstance(subject, str) else ""


class ClientAssertions:
    """Proves assertions against what the catalog has of a client. Safe to use from many threads."""

    def __init__(self, catalog: Catalog, clocks: Clocks) -> None:
        self._catalog = catalog
        self._clocks = clocks
        self._issuers: LruCache[str, IssuerKeys] = LruCache(_ISSUERS_KEPT)
        self._certificate = lru_cache(_CERTIFICATES_KEPT)(RegisteredCertificate)

    def prove(
        self, tenant: str, client_id: str, assertion: str, *, audiences: Collection[str], peer: str
    ) -> RegisteredClient:
        """Return the tenant's client whose assertion it is, at the address `peer`.

        Raises RequestError with an OAuth code. An assertion may be made for any of `audiences`, the addresses of the
        authority.
        """
        found = _read(assertion)
        client = self._catalog.active_client(client_id)
        if found is None or client is None or client.partner != tenant:
            raise _unknown()
        for credential in self._catalog.credentials(client.id):
            if isinstance(credential, ClientCertificate):
                if self._is_signed_by(self._certificate(credential), assertion, found):
                    self._check_certificates(client.id, found.claims, audiences, peer)
                    return client
            elif self._is_vouched_for(credential, assertion, found):
                self._lifetime(found.claims)
                return client
        raise _unknown()

    def _is_signed_by(self, certificate: RegisteredCertificate, assertion: str, found: _Asserted) -> bool:
        if not certificate.is_named(found.header) or not _proven(assertion, certificate.public, CERTIFICATE_ALGORITHMS):
            return False
        if not certificate.begins_at - LEEWAY <= self._clocks.wall() < certificate.expires_at:
            raise oauth.refused("unknown_assertion", "The certificate that signed the assertion is not valid now.")
        return True

    def _check_certificates(
        self, client_id: str, claims: Mapping[str, Any], audiences: Collection[str], peer: str
    ) -> None:
        """Check the claims of an assertion that the client's own certificate signed."""
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise oauth.refused("unknown_assertion", "The assertion's iss and sub must both be the client id.")
        good = {each.lower().rstrip("/") for each in audiences}
        if not any(each.lower().rstrip("/") in good for each in _audiences(claims)):
            first = next(iter(audiences))
            raise oauth.refused("assertion_misplaced", f"The assertion is made for another audience than '{first}'.")
        expires_at = self._lifetime(claims)
        assertion_id = claims.get("jti")
        if not isinstance(assertion_id, str) or not 1 <= len(assertion_id) <= _ID_LENGTH_MAX:
            raise oauth.refused("assertion_misplaced", "The assertion has no jti.")
        now = self._clocks.wall()
        if not self._catalog.use_assertion(client_id, assertion_id, peer, expires_at=expires_at, now=now):
            raise oauth.refused("assertion_not_now", "The assertion was used before, from another address.")

    def _is_vouched_for(self, identity: FederatedIdentity, assertion: str, found: _Asserted) -> bool:
        claims, key_id = found.claims, found.header.get("kid")
        if claims.get("iss") != identity.issuer or claims.get("sub") != identity.subject:
            return False
        if identity.audience not in _audiences(claims) or not isinstance(key_id, str):
            return False
        key = self._keys_of(identity.issuer).find(key_id)
        return key is not None and _proven(assertion, key.public, key.algorithms)

    def _keys_of(self, issuer: str) -> IssuerKeys:
        keys = self._issuers.get(issuer)
        if keys is None:
            keys = IssuerKeys(issuer, "", self._clocks.wall)
            self._issuers.put(issuer, keys)
        return keys

    def _lifetime(self, claims: Mapping[str, Any]) -> datetime:
        """Return until when an assertion is good, the leeway included; it has to end within a day."""
        now, expires_at = self._clocks.wall(), _moment(claims, "exp")
        if expires_at is None:
            raise oauth.refused("assertion_not_now", "The assertion does not say when it expires.")
        begins = [_moment(claims, name) for name in ("nbf", "iat")]
        begun = all(each is None or each - LEEWAY <= now for each in begins)
        if not begun or not now < expires_at + LEEWAY or expires_at > now + ASSERTION_MAX + LEEWAY:
            raise oauth.refused(
                "assertion_not_now",
                "The assertion is not within its time: it has expired, has not begun, or lives longer than a day. "
                f"This service's time is {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}.",
            )
        return expires_at + LEEWAY


def _unknown() -> RequestError:
    """Return the error for an assertion that proves nothing; it is the same for each reason."""
    return oauth.refused("unknown_assertion", _UNKNOWN)


def check_federated(identity: FederatedIdentity) -> None:
    """Raise UsageError for a federated identity that no token could match, or whose keys could not be had."""
    for name, text in (("issuer", identity.issuer), ("subject", identity.subject), ("audience", identity.audience)):
        if not 1 <= len(text) <= _ID_LENGTH_MAX or not text.isprintable() or "{" in text:
            raise UsageError(
                f"{text!r} is not the {name} of a token.", remedy=f"It has 1 to {_ID_LENGTH_MAX} printable characters."
            )
    IssuerKeys(identity.issuer, "", lambda: datetime.now(UTC))


def _read(assertion: str) -> _Asserted | None:
    try:
        whole = jwt.api_jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    header = whole["header"]
    algorithm = header.get("alg")  # anything that JSON can be
    is_known = isinstance(algorithm, str) and algorithm in ALGORITHMS
    return _Asserted(header, whole["payload"]) if is_known else None


def _proven(assertion: str, key: Any, algorithms: Collection[str]) -> bool:
    try:
        jwt.decode(assertion, key, algorithms=list(algorithms), options=SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return False
    return True


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    named = claims.get("aud")
    return [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]


def _moment(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:  # NaN is not, either
        raise oauth.refused("assertion_not_now", f"The assertion's {name} is not a time.")
    return datetime.fromtimestamp(value, UTC)
