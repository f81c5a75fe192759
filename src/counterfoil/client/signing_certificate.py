"""Signing in by a certificate: an assertion that the application's own private key signs, in place of a secret.

The assertion is made anew for each sign-in, for one authority only and for ten minutes (RFC 7523, and Microsoft's page
"application authentication certificate credentials"). The key never leaves this machine.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from counterfoil.errors import UsageError

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_S: Final = 600
_KEY_BITS_MIN: Final = 2048


class SigningCertificate:
    """A certificate and its private key, from one PEM file that holds both; raises UsageError for any other."""

    def __init__(self, path: Path, password: str = "", now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        x509, hashes = _library("x509"), _library("hazmat.primitives.hashes")
        serialization, rsa = _library("hazmat.primitives.serialization"), _library("hazmat.primitives.asymmetric.rsa")
        try:
            pem = path.read_bytes()
            certificate = x509.load_pem_x509_certificate(pem)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy="Check client_certificate.") from None
        except ValueError:
            raise _unusable(path, "it holds no certificate") from None
        try:
            key = serialization.load_pem_private_key(pem, password.encode() or None)
        except TypeError:
            why = "its private key has a password" if not password else "its private key has no password"
            remedy = (
                "Name the variable with it in client_certificate_password_env." if not password else "Leave it out."
            )
            raise UsageError(f"{path} cannot be used: {why}.", remedy=remedy) from None
        except ValueError:
            raise _unusable(path, "it holds no private key, or the password is wrong") from None
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _KEY_BITS_MIN:
            raise _unusable(path, f"its key is not RSA of {_KEY_BITS_MIN} bits or more")
        if key.public_key() != certificate.public_key():
            raise _unusable(path, "its private key is not that of its first certificate")
        self._key = key
        self._thumbprint = _encoded(certificate.fingerprint(hashes.SHA256()))

    def assertion(self, client_id: str, token_url: str) -> str:
        """Return an assertion that this client signs in at the address of the authority's tokens."""
        hashes, padding = _library("hazmat.primitives.hashes"), _library("hazmat.primitives.asymmetric.padding")
        now = int(self._now_s())
        header = {"alg": "PS256", "typ": "JWT", "x5t#S256": self._thumbprint}
        claims = {
            "aud": token_url,
            "iss": client_id,
            "sub": client_id,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "iat": now,
            "exp": now + _LIFETIME_S,
        }
        signed = f"{_part(header)}.{_part(claims)}"
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        signature = self._key.sign(signed.encode(), salted, hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"


def _library(name: str) -> Any:
    """Return a module of cryptography, which only those have to install who sign in by a certificate."""
    try:
        return import_module(f"cryptography.{name}")
    except ModuleNotFoundError:
        raise UsageError(
            "Signing in by a certificate needs the package cryptography.", remedy="pip install cryptography"
        ) from None


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} cannot be used: {why}.",
        remedy="Let client_certificate name one PEM file with the certificate and its RSA private key.",
    )


def _part(members: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(members, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
