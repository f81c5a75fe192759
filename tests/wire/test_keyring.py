"""Keys: one secret, a key for each purpose, and rotation that forbids nothing that is out."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import UsageError
from counterfoil.wire.tokens import Keyring

OLD = "old " + base64.urlsafe_b64encode(b"o" * 32).decode().rstrip("=")
NEW = "new " + base64.urlsafe_b64encode(b"n" * 32).decode()


def test_the_first_key_signs_and_all_verify() -> None:
    key_id, mac = Keyring.from_text(OLD).sign("a purpose", b"message")
    rotated = Keyring.from_text(f"{NEW}\n{OLD}\n")
    assert key_id == "old"
    assert rotated.verify("a purpose", key_id, b"message", mac)
    assert rotated.sign("a purpose", b"message")[0] == rotated.signing_key_id == "new"


def test_a_removed_key_verifies_nothing() -> None:
    key_id, mac = Keyring.from_text(OLD).sign("a purpose", b"message")
    assert not Keyring.from_text(NEW).verify("a purpose", key_id, b"message", mac)


def test_a_key_id_vouches_only_for_its_own_secret() -> None:
    _, mac = Keyring.from_text(OLD).sign("a purpose", b"message")
    assert not Keyring.from_text(f"{NEW}\n{OLD}").verify("a purpose", "new", b"message", mac)


def test_what_was_signed_for_one_purpose_is_worthless_in_another() -> None:
    keyring = Keyring.from_text(OLD)
    key_id, mac = keyring.sign("a purpose", b"message")
    assert not keyring.verify("another purpose", key_id, b"message", mac)
    assert not keyring.verify("a purpose", key_id, b"massage", mac)
    assert not keyring.verify("a purpose", key_id, b"message", mac[:-1])
    assert not keyring.verify("a purpose", key_id, b"message", b"")


def test_derivation_is_hkdf_sha256_and_never_changes() -> None:
    """Links and tokens outlive an upgrade, so the derivation is pinned; `cryptography` derives the same key."""
    key = HKDF(SHA256(), 32, salt=b"counterfoil keyring 1", info=b"a purpose").derive(b"o" * 32)
    expected = HMAC(key, SHA256())
    expected.update(b"message")
    assert Keyring.from_text(OLD).sign("a purpose", b"message")[1] == expected.finalize()


def test_comments_blank_lines_and_commas_are_read() -> None:
    """A setting in an environment is one line, so commas part keys as well as line ends do."""
    keyring = Keyring.from_text(f"# first, the new one\r\n\r\n{NEW}, {OLD}  # since May\n")
    assert repr(keyring) == "Keyring(new, old)"


def test_fresh_keyrings_differ_and_can_be_read() -> None:
    first, second = Keyring.fresh_text(), Keyring.fresh_text()
    assert Keyring.from_text(first).sign("p", b"") != Keyring.from_text(second).sign("p", b"")


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "secret", "id s e", f"{OLD}\n{OLD}", "short " + "A" * 42, "id " + "!" * 43, "é " + "A" * 43],
)
def test_a_keyring_that_cannot_be_right_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Keyring.from_text(text)


def test_a_secret_is_never_shown() -> None:
    secret = "A" * 41 + "!"
    with pytest.raises(UsageError) as caught:
        Keyring.from_text(f"id {secret}")
    assert "AAAA" not in str(caught.value)
    assert "b2" not in repr(Keyring.from_text(OLD))


@given(st.text())
def test_any_text_is_a_keyring_or_a_usage_error(text: str) -> None:
    try:
        Keyring.from_text(text)
    except UsageError:
        return
