"""The development certificate: an authority that stays, a leaf made at each start, and keys that stay private."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from counterfoil.errors import DataFolderError, UsageError
from counterfoil.server.tls import development_certificate

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def names_of(path: Path) -> tuple[list[str], list[str]]:
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    assert leaf.not_valid_after_utc == NOW + timedelta(days=397)
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(each) for each in alternatives.get_values_for_type(x509.IPAddress)]
    return alternatives.get_values_for_type(x509.DNSName), addresses


def test_the_certificate_names_this_machine_and_what_it_is_open_to(tmp_path: Path) -> None:
    made = development_certificate(tmp_path, NOW, ["counterfoil.test", "billing", "10.0.0.7"])
    names, addresses = names_of(made.cert)
    assert names == ["localhost", "counterfoil.test", "billing"]
    assert [ip_address(each) for each in addresses] == [ip_address(x) for x in ("127.0.0.1", "::1", "10.0.0.7")]


def test_a_server_can_load_it_and_a_client_can_trust_it(tmp_path: Path) -> None:
    made = development_certificate(tmp_path, NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.cert, made.key)
    assert ssl.create_default_context(cafile=made.ca).cert_store_stats()["x509_ca"] == 1


def test_the_authority_survives_restarts_and_the_leaf_does_not(tmp_path: Path) -> None:
    first = development_certificate(tmp_path, NOW)
    authority, leaf = first.ca.read_bytes(), first.cert.read_bytes()
    second = development_certificate(tmp_path, NOW)
    assert (second.ca.read_bytes() == authority, second.cert.read_bytes() == leaf) == (True, False)
    made = x509.load_pem_x509_certificates(second.cert.read_bytes())[0]
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


def test_keys_are_private_and_the_authoritys_certificate_is_not(tmp_path: Path) -> None:
    made = development_certificate(tmp_path, NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"development-ca.pem": 0o644, "development-ca-key.pem": 0o600, "development-tls.pem": 0o600}
    assert b"PRIVATE" not in made.ca.read_bytes()


def test_a_key_that_others_can_read_or_that_is_damaged_is_told(tmp_path: Path) -> None:
    development_certificate(tmp_path, NOW)
    path = tmp_path / "development-ca-key.pem"
    path.chmod(0o640)
    with pytest.raises(DataFolderError, match="chmod 600"):
        development_certificate(tmp_path, NOW)
    path.chmod(0o600)
    kept = path.read_bytes()
    for content in (b"", kept[:100], kept[: len(kept) // 2], kept.replace(b"A", b"!")):
        path.write_bytes(content)
        with pytest.raises(DataFolderError, match="damaged"):
            development_certificate(tmp_path, NOW)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x/", "https://x", "*", "x" * 254, "x\n"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="host name"):
        development_certificate(tmp_path, NOW, [name])
