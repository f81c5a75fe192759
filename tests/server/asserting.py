"""Certificates and assertions as Microsoft's libraries make them, written by hand, so that each part can be wrong."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from counterfoil.server.identity.client_certificates import read_client_certificate
from counterfoil.storage.catalog_rows import ClientCertificate
from counterfoil.wire import oauth
from tests.server.authority_house import BASE, NOW, OWN, PARTNER, House, Http

ENDPOINT = f"{BASE}/{PARTNER}/oauth2/v2.0/token"


@cache
def key_of(name: str) -> rsa.RSAPrivateKey:
    """Return the key of a name, made once: to make one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Certified:
    """A self-signed certificate with its key."""

    name: str
    certificate: x509.Certificate

    @classmethod
    def made(cls, name: str, *, begins: datetime = NOW, lives: timedelta = timedelta(days=30), key: Any = None) -> Any:
        """Return one that is good from `begins` on."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signing = key or key_of(name)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(7)
        builder = builder.not_valid_before(begins).not_valid_after(begins + lives).public_key(signing.public_key())
        return cls(name, builder.sign(signing, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def with_key(self) -> bytes:
        """The key and the certificate, as azure-identity wants its file."""
        return key_of(self.name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + self.pem

    @property
    def stored(self) -> ClientCertificate:
        """As the catalog keeps it."""
        return read_client_certificate(self.pem, self.name, NOW)

    def thumbprint(self, algorithm: hashes.HashAlgorithm, *, padded: bool = False) -> str:
        """Return what `x5t` or `x5t#S256` says."""
        text = base64.urlsafe_b64encode(self.certificate.fingerprint(algorithm)).decode()
        return text if padded else text.rstrip("=")


def asserted(
    certified: Certified, client_id: str, *, algorithm: str = "PS256", header: Any = None, **claims: Any
) -> str:
    """Return an assertion signed by a certificate's key; a claim or header that is None is left out."""
    good = {"aud": ENDPOINT, "iss": client_id, "sub": client_id, "jti": str(uuid.uuid4())}
    good |= {"iat": NOW.timestamp(), "exp": (NOW + timedelta(minutes=10)).timestamp()} | claims
    named = {"x5t#S256": certified.thumbprint(hashes.SHA256())} if header is None else header
    payload = {name: value for name, value in good.items() if value is not None}
    return jwt.encode(payload, key_of(certified.name), algorithm=algorithm, headers=named)


def elliptic() -> Any:
    """Return a key that no RSA certificate has."""
    return ec.generate_private_key(ec.SECP256R1())


def registered(house: House, *certificates: Certified, partner: str = PARTNER) -> str:
    """Register a client with certificates and no secret; return its id."""
    client, secret = house.catalog.add_client(partner, "robot", NOW, with_secret=False)
    assert secret == ""
    house.catalog.trust_client(partner, client.id, [each.stored for each in certificates], NOW)
    return client.id


def post(house: House, assertion: str, tenant: str = PARTNER, peer: str = "127.0.0.1", **form: str) -> httpx.Response:
    """Ask for a token by an assertion."""
    fields = {"grant_type": "client_credentials", "client_assertion_type": oauth.ASSERTION_TYPE}
    fields |= {"client_assertion": assertion, "scope": f"{OWN}/.default"} | form
    sent = {name: value for name, value in fields.items() if value}
    return Http(house.app, peer).post(f"/{tenant}/oauth2/v2.0/token", data=sent)
