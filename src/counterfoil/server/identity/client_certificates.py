"""Certificates of clients: read when they are registered, and found by what an assertion says of them.

Only the certificate at the head of a file is the client's; others behind it are its issuers', who are nobody here: a
certificate is trusted because it was registered, whoever signed it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from counterfoil.errors import UsageError
from counterfoil.storage.catalog_rows import ClientCertificate

_BITS: Final = range(2048, 8193)
_BEGIN: Final = b"-----BEGIN"


def read_client_certificate(content: bytes, name: str, now: datetime) -> ClientCertificate:
    """Return the certificate in a file's content, PEM or DER; raises UsageError that names the file.

    A private key beside it, as tools that sign in keep it, is left alone and never stored.
    """
    remedy = "Name a PEM or DER file of an X.509 certificate."
    try:
        if _BEGIN in content:
            certificate = x509.load_pem_x509_certificates(content)[0]
        else:
            certificate = x509.load_der_x509_certificate(content)
        public = certificate.public_key()
        expires_at = certificate.not_valid_after_utc
    except (ValueError, IndexError, x509.UnsupportedGeneralNameType) as error:
        raise UsageError(f"{name} holds no certificate, or a damaged one.", remedy=remedy) from error
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size not in _BITS:
        raise UsageError(
            f"The certificate in {name} has no RSA key of {_BITS[0]} to {_BITS[-1]} bits.",
            remedy="Microsoft's libraries sign with RSA keys: make the certificate with one.",
        )
    if expires_at <= now:
        raise UsageError(
            f"The certificate in {name} expired on {expires_at:%Y-%m-%d}.", remedy="Name one that is still good."
        )
    pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
    return ClientCertificate(certificate.fingerprint(hashes.SHA256()).hex(), pem, expires_at)


class RegisteredCertificate:
    """A certificate out of the catalog, with its key."""

    def __init__(self, stored: ClientCertificate) -> None:
        certificate = x509.load_pem_x509_certificate(stored.pem.encode())
        public = certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)  # nothing else is registered
        self.public = public
        self.begins_at = certificate.not_valid_before_utc
        self.expires_at = certificate.not_valid_after_utc
        sha1, sha256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303 - a name that `x5t` gives, and no proof
        self._named = {"x5t": certificate.fingerprint(sha1), "x5t#S256": certificate.fingerprint(sha256)}

    def is_named(self, header: Mapping[str, Any]) -> bool:
        """Whether a JWT's header names this certificate, by each thumbprint that it has.

        Without any, `kid` may be the thumbprint in hex, as Microsoft's older samples have it.
        """
        given = {name: header[name] for name in self._named if name in header}
        if given:
            return all(hmac.compare_digest(_thumbprint(text), self._named[name]) for name, text in given.items())
        key_id = header.get("kid")
        return isinstance(key_id, str) and key_id.lower() in {each.hex() for each in self._named.values()}


def _thumbprint(text: object) -> bytes:
    """Decode base64url; some of Microsoft's libraries leave its padding on."""
    if not isinstance(text, str):
        return b""
    try:
        bare = text.rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
