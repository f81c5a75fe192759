"""Our client signs in by a certificate, at an authority where it is registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from counterfoil.client import ClientCredentials
from counterfoil.client.credentials import of_profile
from counterfoil.client.signing_certificate import SigningCertificate
from counterfoil.errors import UsageError
from counterfoil.settings import Settings
from tests.server.asserting import ENDPOINT, Certified, key_of, post, registered
from tests.server.authority_house import NOW, PARTNER, House, refusal

FIRST: Certified = Certified.made("first")
SECOND: Certified = Certified.made("second")


def test_a_certificate_that_is_registered_signs_in_and_another_does_not(real: House, tmp_path: Path) -> None:
    client_id = registered(real, FIRST)
    for certificate, is_known in ((FIRST, True), (SECOND, False)):
        path = tmp_path / certificate.name
        path.write_bytes(certificate.with_key)
        signing = SigningCertificate(path, now_s=NOW.timestamp)
        answer = post(real, signing.assertion(client_id, ENDPOINT), client_id=client_id)
        if is_known:
            assert real.partner_of(answer.json()["access_token"]) == PARTNER
        else:
            refusal(answer, 401, "invalid_client", 700027)


def test_the_form_has_an_assertion_made_anew_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a profile of the settings file, whose key has a password."""
    key = key_of("first").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
    (tmp_path / "own.pem").write_bytes(FIRST.pem + key)
    (tmp_path / "counterfoil.toml").write_text(
        '[profiles.contoso]\nurl = "https://source.example"\ntenant = "t"\nclient_id = "c"\n'
        'client_certificate = "own.pem"\nclient_certificate_password_env = "OWN_PASSWORD"\n'
    )
    profile = Settings.load({}, environ={}, directory=tmp_path).profile("contoso")
    with pytest.raises(UsageError, match="has no OWN_PASSWORD"):
        of_profile(profile)
    monkeypatch.setenv("OWN_PASSWORD", "open")
    forms: list[dict[str, list[str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(parse_qs(request.content.decode()))
        return httpx.Response(200, json={"access_token": "token", "expires_in": 1})

    credentials = of_profile(profile)
    assert isinstance(credentials, ClientCredentials)
    credentials._transport = httpx.MockTransport(answer)
    assert [credentials(), credentials()] == ["token", "token"]
    assert all("client_secret" not in form and form["client_id"] == ["c"] for form in forms)
    assert forms[0]["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert forms[0]["client_assertion"] != forms[1]["client_assertion"]


def of_curve() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return FIRST.pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: b"", "it holds no certificate"),
        (lambda: FIRST.pem, "it holds no private key"),
        (lambda: FIRST.pem + SECOND.with_key.partition(b"-----BEGIN CERT")[0], "not that of its first certificate"),
        (of_curve, "its key is not RSA"),
        (
            lambda: (
                FIRST.pem
                + key_of("first").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
            ),
            "its private key has a password",
        ),
    ],
)
def test_a_file_that_cannot_sign_in_is_refused_by_what_it_lacks(
    tmp_path: Path, content: Callable[[], Any], said: str
) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(content())
    with pytest.raises(UsageError, match=said):
        SigningCertificate(path)
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        SigningCertificate(path)
