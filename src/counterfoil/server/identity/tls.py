"""Certificates for https: checks of the operator's own, and for development one that we make.

msal and azure-identity accept https only. Our certificate is issued by a local authority that stays the same, so that
trust survives restarts: clients that trust the authority's certificate (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`) can use
them here. People are told to trust it, so it can speak for this machine's names and those that `serve` was opened to,
and for nobody else, and ends within a year; it is made anew for other names. Its key is private to the data folder; the
server's own certificate is made again at each start.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from counterfoil.errors import DataFolderError, UsageError
from counterfoil.storage.private_files import load_or_create_private, replace_private

CA_FILE: Final = "development-ca.pem"
_CA_KEY_FILE = "development-ca-key.pem"
_SERVER_FILE = "development-tls.pem"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_LIFETIME = timedelta(days=365)
_LEFT_MIN = timedelta(days=28)  # an authority that ends sooner is made anew, at a start and not amid a day's work
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
_KEY_END = b"-----END EC PRIVATE KEY-----\n"
_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class DevelopmentCertificate:
    """Files for uvicorn (`cert` and `key` are one private file), and the authority to trust."""

    cert: Path
    key: Path
    ca: Path


def development_certificate(data: Path, now: datetime, names: Iterable[str] = ()) -> DevelopmentCertificate:
    """Return a certificate for this machine's loopback names and `names`; raises UsageError and DataFolderError."""
    named = tuple(dict.fromkeys((*_LOCAL_NAMES, *(host_name(name).strip("[]") for name in names))))
    authority, ends_at = _authority(data / _CA_KEY_FILE, named, now)
    leaf = authority.issue_cert(*named, not_after=ends_at)
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    # Key and chain in one file: two servers that start at once can then not leave a pair that does not fit.
    server = data / _SERVER_FILE
    replace_private(server, leaf.private_key_pem.bytes() + chain)
    public = data / CA_FILE
    replace_private(public, authority.cert_pem.bytes(), mode=0o644)
    return DevelopmentCertificate(server, server, public)


def host_name(name: str) -> str:
    """Return a host's name or address as a Host header writes it, an address of version 6 in brackets."""
    try:
        if name.startswith("["):
            ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]"))
            good = name.endswith("]")
        else:
            good = _NAME.fullmatch(name.encode("idna").decode()) is not None
    except ValueError:  # UnicodeError is one
        good = False
    if not good:
        raise UsageError(
            f"{name!r} is not a host name.",
            remedy="Write names without scheme and port, separated by commas: counterfoil.test,billing.test",
        )
    return name


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise UsageError that says what is wrong with a certificate or its key, where https cannot use them."""
    try:
        # Without the password OpenSSL would ask for one on the terminal, and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        _certificate_fault(certificate, key)
        raise UsageError(
            f"The certificate {certificate} cannot be used with the key {key}: {error}.",
            remedy="Name another pair.",
            parameter="tls_cert tls_key",
        ) from error


def end_of_certificate(certificate: Path) -> datetime:
    """Return when a certificate ends; raises UsageError for one that cannot be read."""
    try:
        content = _read(certificate, "certificate", "tls_cert")
        return x509.load_pem_x509_certificates(content)[0].not_valid_after_utc
    except ValueError as error:
        raise UsageError(f"{certificate} holds no certificate, or a damaged one.") from error


def _certificate_fault(certificate: Path, key: Path) -> None:
    """Raise UsageError for what we can name."""
    try:
        shown = x509.load_pem_x509_certificates(_read(certificate, "certificate", "tls_cert"))[0].public_key()
    except ValueError as error:
        raise UsageError(
            f"{certificate} holds no certificate, or a damaged one.",
            remedy="Name a PEM file that holds the server's certificate first, then its chain.",
            parameter="tls_cert",
        ) from error
    try:
        held = load_pem_private_key(_read(key, "key", "tls_key"), password=None).public_key()
    except TypeError as error:
        raise UsageError(
            f"The key {key} is locked with a password.", remedy=f"Unlock it: openssl pkey -in {key} -out NEW"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{key} holds no private key, or a damaged one.",
            remedy="Name a PEM file that holds the certificate's private key.",
            parameter="tls_key",
        ) from error
    if _written(shown) != _written(held):
        raise UsageError(
            f"The key {key} is not that of the certificate {certificate}.",
            remedy="Name the certificate's own key; the server's certificate comes first in its file.",
            parameter="tls_cert tls_key",
        )


def _read(path: Path, what: str, parameter: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = f"The {what} {path} cannot be read: {error.strerror}."
        raise UsageError(why, remedy="Check the file's name and who may read it.", parameter=parameter) from error


def _written(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _authority(path: Path, names: Iterable[str], now: datetime) -> tuple[trustme.CA, datetime]:
    """Return the authority that may speak for `names`, and when it ends."""
    secret = load_or_create_private(path, lambda: _new_authority(names, now))
    try:
        key, certificate = _parted(secret)
        if not _speaks_for(certificate, names) or not _is_valid(certificate, now):
            secret = _new_authority(names, now)
            replace_private(path, secret)
            key, certificate = _parted(secret)
        return trustme.CA.from_pem(certificate.public_bytes(Encoding.PEM), key), certificate.not_valid_after_utc
    except (ValueError, TypeError) as error:
        raise DataFolderError(
            f"The development authority {path} is damaged.",
            remedy=f"Delete it; clients then have to trust the new {CA_FILE}.",
        ) from error


def _parted(secret: bytes) -> tuple[bytes, x509.Certificate]:
    key, end, certificate = secret.partition(_KEY_END)
    load_pem_private_key(key + end, password=None)
    return key + end, x509.load_pem_x509_certificate(certificate)


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    # What lives longer than ours do was made before authorities had an end.
    ends_at = certificate.not_valid_after_utc
    return certificate.not_valid_before_utc <= now and _LEFT_MIN <= ends_at - now <= _LIFETIME


def _speaks_for(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether an authority may speak for all these names, and is bound to some at all."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    permitted = constraints.permitted_subtrees or []
    return all(_subtree(name) in permitted for name in names)


def _subtree(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode().lower())


def _new_authority(names: Iterable[str], now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Counterfoil development")])
    usage = {name: name in {"key_cert_sign", "crl_sign", "digital_signature"} for name in _USAGES}
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - timedelta(days=1))  # a client's clock may be behind
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([_subtree(name) for name in names], None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    written = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return written + certificate.public_bytes(Encoding.PEM)
