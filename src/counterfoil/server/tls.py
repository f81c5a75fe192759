"""A certificate for https in development: from a local authority that stays the same, so that trust survives restarts.

msal and azure-identity speak to https only. Whoever trusts our authority's certificate (`REQUESTS_CA_BUNDLE`,
`SSL_CERT_FILE`) can use them here. The authority's key is private to the data folder; the server's own certificate
is made anew at each start, because the names that it must hold may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509

from counterfoil.errors import DataFolderError, UsageError
from counterfoil.storage.secrets import load_or_create_private, replace_private

CA_FILE: Final = "development-ca.pem"
_CA_KEY_FILE = "development-ca-key.pem"
_SERVER_FILE = "development-tls.pem"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_LIFETIME = timedelta(days=397)  # the longest that every client still accepts
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
_KEY_END = b"-----END EC PRIVATE KEY-----\n"


@dataclass(frozen=True, slots=True)
class DevelopmentCertificate:
    """Files for uvicorn (`cert` and `key` are one private file), and the authority to trust."""

    cert: Path
    key: Path
    ca: Path


def development_certificate(data: Path, now: datetime, names: Iterable[str] = ()) -> DevelopmentCertificate:
    """Return a certificate for this machine's loopback names and `names`; raises UsageError and DataFolderError."""
    names = list(names)
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name!r} is not a host name.", remedy="Write names such as counterfoil.test.")
    authority = _authority(data / _CA_KEY_FILE)
    leaf = authority.issue_cert(*dict.fromkeys((*_LOCAL_NAMES, *names)), not_after=now + _LIFETIME)
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    # Key and chain in one file: two servers that start at once can then not leave a pair that does not fit.
    server = data / _SERVER_FILE
    replace_private(server, leaf.private_key_pem.bytes() + chain)
    public = data / CA_FILE
    replace_private(public, authority.cert_pem.bytes(), mode=0o644)
    return DevelopmentCertificate(server, server, public)


def _authority(path: Path) -> trustme.CA:
    secret = load_or_create_private(path, _new_authority)
    key, end, certificate = secret.partition(_KEY_END)
    try:
        x509.load_pem_x509_certificate(certificate)
        return trustme.CA.from_pem(certificate, key + end)
    except (ValueError, TypeError) as error:
        raise DataFolderError(
            f"The development authority {path} is damaged.",
            remedy=f"Delete it; clients then have to trust the new {CA_FILE}.",
        ) from error


def _new_authority() -> bytes:
    made = trustme.CA(organization_name="Counterfoil development")
    return bytes(made.private_key_pem.bytes() + made.cert_pem.bytes())
