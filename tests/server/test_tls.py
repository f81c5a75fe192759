"""Certificates: what is wrong with the operator's own is named; ours has an authority that stays, and private keys."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from counterfoil.errors import DataFolderError, UsageError
from counterfoil.server.identity.tls import check_certificate, development_certificate, host_name

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def names_of(path: Path) -> tuple[list[str], list[str]]:
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)
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


def test_the_authority_speaks_for_the_servers_own_names_alone_and_ends_in_a_year(tmp_path: Path) -> None:
    made = development_certificate(tmp_path, NOW, ["billing.test", "10.0.0.7"])
    authority = x509.load_pem_x509_certificate(made.ca.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = constraints.value.permitted_subtrees or []
    names = [str(each.value) for each in permitted]
    assert names == ["localhost", "127.0.0.1/32", "::1/128", "billing.test", "10.0.0.7/32"]
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    assert authority.not_valid_after_utc == NOW + timedelta(days=365)


def test_the_authority_is_made_anew_for_other_names_and_before_it_ends(tmp_path: Path) -> None:
    first = development_certificate(tmp_path, NOW, ["billing.test"]).ca.read_bytes()
    assert development_certificate(tmp_path, NOW).ca.read_bytes() == first  # fewer names need no other
    assert development_certificate(tmp_path, NOW + timedelta(days=337)).ca.read_bytes() == first
    later = development_certificate(tmp_path, NOW + timedelta(days=338)).ca.read_bytes()
    assert later != first
    assert development_certificate(tmp_path, NOW, ["other.test"]).ca.read_bytes() not in (first, later)


def test_an_authority_without_bounds_as_older_versions_made_it_is_replaced(tmp_path: Path) -> None:
    old = trustme.CA()
    path = tmp_path / "development-ca-key.pem"
    path.write_bytes(old.private_key_pem.bytes() + old.cert_pem.bytes())
    path.chmod(0o600)
    made = development_certificate(tmp_path, NOW)
    assert made.ca.read_bytes() != old.cert_pem.bytes()
    assert x509.load_pem_x509_certificate(made.ca.read_bytes()).not_valid_after_utc.year == 2027


@pytest.mark.parametrize(
    ("host", "good"), [("localhost", True), ("127.0.0.1", True), ("login.microsoftonline.com", False)]
)
def test_whoever_trusts_the_authority_believes_it_for_these_names_only(tmp_path: Path, host: str, good: bool) -> None:
    """Even whoever steals its key can pretend to be nobody but this machine."""
    now = datetime.now(UTC)
    made = development_certificate(tmp_path, now)
    key = (tmp_path / "development-ca-key.pem").read_bytes()
    stolen = trustme.CA.from_pem(made.ca.read_bytes(), key.partition(b"-----BEGIN CERT")[0])
    leaf = stolen.issue_cert(host, not_after=now + timedelta(days=1))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=made.ca)
    leaf.configure_cert(server)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]

    def shake() -> None:
        for _ in range(4):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()

    if good:
        shake()
        assert ends[0].version() == "TLSv1.3"
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            shake()


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


@pytest.mark.parametrize("name", ["counterfoil.test", "Billing", "10.0.0.7", "[fd00::7]", "bücher.test"])
def test_names_that_a_host_header_can_hold_are_taken(name: str) -> None:
    assert host_name(name) == name


@pytest.mark.parametrize("name", ["fd00::7", "[fd00::7", "[x]", "a:80", "a..b", "é" * 80])
def test_names_that_no_host_header_holds_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="separated by commas"):
        host_name(name)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates and their keys, and what becomes of such files."""
    folder = tmp_path_factory.mktemp("pairs")
    authority = trustme.CA()
    for name in ("one", "two"):
        leaf = authority.issue_cert(f"{name}.test")
        key, chain = leaf.private_key_pem.bytes(), b"".join(each.bytes() for each in leaf.cert_chain_pems)
        (folder / f"{name}.key").write_bytes(key)
        (folder / f"{name}.pem").write_bytes(chain)
        (folder / f"{name}.both").write_bytes(chain + key)
        (folder / "cut.key").write_bytes(key[: len(key) // 2])
        (folder / "cut.pem").write_bytes(chain[:300])
    private = serialization.load_pem_private_key((folder / "one.key").read_bytes(), None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "locked.key").write_bytes(locked)
    return folder


PEM = "Name a PEM file that holds the"
CHECK = "Check the file's name and who may read it"


@pytest.mark.parametrize(("certificate", "key"), [("one.pem", "one.key"), ("one.both", "one.both")])
def test_a_good_pair_is_taken(pairs: Path, certificate: str, key: str) -> None:
    check_certificate(pairs / certificate, pairs / key)


@pytest.mark.parametrize(
    ("certificate", "key", "named", "said"),
    [
        ("none.pem", "one.key", "none.pem", f"cannot be read: No such file or directory. {CHECK} (`tls_cert`)."),
        ("one.pem", "none.key", "none.key", f"cannot be read: No such file or directory. {CHECK} (`tls_key`)."),
        ("", "one.key", "", f"cannot be read: Is a directory. {CHECK} (`tls_cert`)."),
        (
            "one.key",
            "one.key",
            "one.key",
            f"holds no certificate, or a damaged one. {PEM} server",
        ),
        (
            "cut.pem",
            "one.key",
            "cut.pem",
            f"holds no certificate, or a damaged one. {PEM} server",
        ),
        (
            "one.pem",
            "one.pem",
            "one.pem",
            f"holds no private key, or a damaged one. {PEM} certificate",
        ),
        (
            "one.pem",
            "cut.key",
            "cut.key",
            f"holds no private key, or a damaged one. {PEM} certificate",
        ),
        ("one.pem", "locked.key", "locked.key", "is locked with a password. Unlock it: openssl pkey -in"),
        ("one.pem", "two.key", "two.key", "is not that of the certificate"),
    ],
)
def test_what_is_wrong_with_a_pair_is_named_with_its_remedy(
    pairs: Path, certificate: str, key: str, named: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        check_certificate(pairs / certificate, pairs / key)
    assert said in str(refused.value)
    assert str(pairs / named) in refused.value.message
    assert "\n" not in str(refused.value)


def test_a_file_that_may_not_be_read_is_named(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # to root, every file is readable
    with pytest.raises(
        UsageError, match=r"one\.pem cannot be read: Permission denied\. Check the file's name .*`tls_cert`"
    ):
        check_certificate(pairs / "one.pem", pairs / "none.key")
