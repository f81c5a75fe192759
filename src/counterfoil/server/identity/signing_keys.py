"""The built-in authority's signing keys, and the tokens made with them.

There are two keys on purpose: the authority's own, for registered clients, and the development key, which signs for
anybody who asks and is accepted only by a development server. Both are kept in the data folder, so a token made by
the command line is good at any server on the same folder, whatever its port.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from counterfoil.storage.private_files import load_or_create_private
from counterfoil.storage.rotated_keys import RotatedFile, rotate
from counterfoil.wire.microsoft_ids import PERMISSION

COMMAND_LINE_CLIENT: Final = "counterfoil-token"

_KEY_BITS = 2048
_OVERLAP: Final = timedelta(minutes=5)  # for servers that sign with the former key a moment longer, and their clocks
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
    """The signing keys that one server honours. Each file is made when it is first needed.

    Another process may put a new key in front (`rotate_authority`): it is taken up when a key is asked for next.
    """

    def __init__(self, data: Path, *, development: bool) -> None:
        self.development = development
        self._authority = _KeyFile(data / _AUTHORITY_FILE, _AUTHORITY_ISSUER)
        self._development = _KeyFile(data / _DEVELOPMENT_FILE, _DEVELOPMENT_ISSUER)
        self._honoured = (self._authority, self._development) if development else (self._authority,)

    def signing(self) -> SigningKey:
        """Return the key that signs: the development key in development, else the authority's."""
        file = self._development if self.development else self._authority
        if not file.read():
            load_or_create_private(file.path, _new_key)
        return file.read()[0]

    def find(self, key_id: str) -> SigningKey | None:
        """Return the honoured key of that id. One that another process has just made is found too."""
        return next((key for key in self.honoured() if key.id == key_id), None)

    def is_development(self, key: SigningKey) -> bool:
        """Whether this key signs for anybody who asks."""
        return key.issuer == _DEVELOPMENT_ISSUER

    def honoured(self) -> list[SigningKey]:
        """Return the keys that are there and good here."""
        return [key for file in self._honoured for key in file.read()]


class _KeyFile:
    """The keys of one file, which are read again where it has changed."""

    def __init__(self, path: Path, issuer: str) -> None:
        self.path = path
        self._issuer = issuer
        self._file = RotatedFile(path)
        self._keys: list[SigningKey] = []
        self._reading = threading.Lock()  # who comes while it is read waits for what is read

    def read(self) -> list[SigningKey]:
        """Return the keys, the one that signs first; none where there is no file.

        Raises DataFolderError for a damaged file, unless there are keys from before.
        """
        with self._reading:
            if self._file.has_changed():
                try:
                    self._keys = [_read_key(self.path, self._issuer, pem.encode("ascii")) for pem in self._file.read()]
                except DataFolderError:
                    if not self._keys and self.path.exists():
                        raise
            return self._keys


def rotate_authority(data: Path, now: datetime, *, at_once: bool) -> bool:
    """Let a new key sign; the former ones are honoured until their tokens end, or `at_once` no more.

    Returns whether there was a key. Raises DataFolderError.
    """
    until = now if at_once else now + BEARER_TOKEN + _OVERLAP
    return rotate(data / _AUTHORITY_FILE, _new_key().decode("ascii"), until)


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
