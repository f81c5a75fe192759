"""The built-in authority's signing keys, and the tokens made with them.

There are two keys on purpose: the authority's own, for registered clients, and the development key, which signs for
anybody who asks and is accepted only by a development server. Both are kept in the data folder, so a token made by
the command line is good at any server on the same folder, whatever its port.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.utils import to_base64url_uint

from counterfoil.errors import DataFolderError
from counterfoil.lifetimes_and_sizes import BEARER_TOKEN
from counterfoil.model import tenant_id
from counterfoil.server.identity.audiences import MICROSOFTS, check_form
from counterfoil.storage.secrets import load_or_create_private, read_private
from counterfoil.wire.microsoft_ids import PERMISSION

COMMAND_LINE_CLIENT: Final = "counterfoil-token"

_KEY_BITS = 2048
_AUTHORITY_FILE = "authority.pem"
_DEVELOPMENT_FILE = "development-authority.pem"
# Clients take an access token as it is, so only our own server reads this. It must not hold a URL: the same folder
# may be served under another name tomorrow.
_AUTHORITY_ISSUER = "urn:counterfoil:authority:{tid}"
_DEVELOPMENT_ISSUER = "urn:counterfoil:development-authority:{tid}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One RSA key, its id (RFC 7638) and the issuer that its tokens name."""

    id: str
    issuer: str
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey  # kept, because making it costs more than a check with it

    @classmethod
    def from_pem(cls, pem: bytes, issuer: str) -> Self:
        """Read a private key; raises ValueError."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < _KEY_BITS:
            raise ValueError("not an RSA key of 2048 bits or more")
        canonical = json.dumps({**_numbers(private), "kty": "RSA"}, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode("ascii")).digest()
        return cls(jwt.utils.base64url_encode(digest).decode("ascii"), issuer, private, private.public_key())

    def mint(self, *, partner: str, audience: str, client_id: str, now: datetime) -> str:
        """Return a token that reads the partner's billing data for an hour."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": self.issuer.replace("{tid}", partner),
            "aud": audience,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(BEARER_TOKEN.total_seconds()),
            "tid": partner,
            "appid": client_id,
            "azp": client_id,
            "sub": client_id,
            "roles": [PERMISSION],
            "ver": "2.0",
        }
        return jwt.encode(claims, self.private, "RS256", headers={"kid": self.id})

    def public_jwk(self) -> dict[str, str]:
        """Return the public half as discovery documents show it."""
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, **_numbers(self.private)}


def _numbers(private: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = private.public_key().public_numbers()
    return {"e": to_base64url_uint(numbers.e).decode("ascii"), "n": to_base64url_uint(numbers.n).decode("ascii")}


class AuthorityKeys:
    """The signing keys that one server honours. Each is made when it is first needed, and never replaced."""

    def __init__(self, data: Path, *, development: bool) -> None:
        self.development = development
        self._authority = (data / _AUTHORITY_FILE, _AUTHORITY_ISSUER)
        self._development = (data / _DEVELOPMENT_FILE, _DEVELOPMENT_ISSUER)
        self._honoured = (self._authority, self._development) if development else (self._authority,)
        self._loaded: dict[Path, SigningKey] = {}

    def signing(self) -> SigningKey:
        """Return the key that signs: the development key in development, else the authority's."""
        path, issuer = self._development if self.development else self._authority
        if path not in self._loaded:
            self._loaded[path] = _read_key(path, issuer, load_or_create_private(path, _new_key))
        return self._loaded[path]

    def find(self, key_id: str) -> SigningKey | None:
        """Return the honoured key of that id. One that another process has just made is found too."""
        return next((key for key in self.honoured() if key.id == key_id), None)

    def is_development(self, key: SigningKey) -> bool:
        """Whether this key signs for anybody who asks."""
        return key.issuer == _DEVELOPMENT_ISSUER

    def honoured(self) -> list[SigningKey]:
        """Return the keys that are there and good here."""
        for path, issuer in self._honoured:
            if path not in self._loaded and (pem := read_private(path)) is not None:
                self._loaded[path] = _read_key(path, issuer, pem)
        return [self._loaded[path] for path, _ in self._honoured if path in self._loaded]


def mint_development_token(data: Path, partner: str, audience: str, now: datetime) -> str:
    """Return a token for any development server on this data folder. `audience` may be `graph` or `partner-center`.

    Raises UsageError for a partner that is not a tenant id or an audience that is not valid, and DataFolderError.
    """
    check_form(audience)
    tenant = tenant_id(partner)
    named = next((ids[0] for api, ids in MICROSOFTS.items() if api == audience), audience)
    key = AuthorityKeys(data, development=True).signing()
    return key.mint(partner=tenant, audience=named, client_id=COMMAND_LINE_CLIENT, now=now)


def _new_key() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path, issuer: str, pem: bytes) -> SigningKey:
    try:
        return SigningKey.from_pem(pem, issuer)
    except ValueError as error:
        raise DataFolderError(
            f"The signing key {path} is damaged.",
            remedy="Put back a copy, or delete it: every bearer token that it signed is void then.",
        ) from error
