"""Tokens that cannot be right: forged, contradictory, malformed or endless. Each is refused, and nothing breaks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.tokens import PARTNER, STRANGER, Place, ask, encoded, refusal


@pytest.mark.parametrize("when", ["soon", "1e9", True, [], float("nan"), float("inf"), -float("inf"), 10**400, 1e300])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_none_is_refused(door: Place, name: str, when: Any) -> None:
    assert f"Its {name} is not a time" in refusal(door.authenticator(), door.signed(**{name: when}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": None}, "when it expires"),
        ({"aud": None}, "audience"),
        ({"iss": None}, "issuer"),
        ({"tid": None}, "tid"),
        ({"tid": "common"}, "tid"),
        ({"tid": 7}, "tid"),
        ({"tid": PARTNER + "\n"}, "tid"),
        ({"tid": STRANGER}, "issuer"),
        ({"iss": f"urn:counterfoil:authority:{PARTNER}"}, "issuer"),
        ({"iss": "https://login.microsoftonline.com/{tid}/v2.0"}, "issuer"),
        ({"iss": [f"urn:counterfoil:development-authority:{PARTNER}"]}, "issuer"),
    ],
)
def test_a_token_that_lacks_a_claim_or_contradicts_itself_is_refused(
    door: Place, changes: Mapping[str, Any], told: str
) -> None:
    assert told in refusal(door.authenticator(), door.signed(**changes))


def test_forged_signatures_are_refused(door: Place) -> None:
    authenticator, key, claims = door.authenticator(), door.key(), door.claims()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = {"kid": key.id}
    assert "signature" in refusal(authenticator, jwt.encode(claims, stranger, "RS256", headers=kid))
    assert "not known" in refusal(authenticator, jwt.encode(claims, key.private, "RS256", headers={"kid": "other"}))
    assert "names no signing key" in refusal(authenticator, jwt.encode(claims, key.private, "RS256"))
    assert "algorithm" in refusal(authenticator, jwt.encode(claims, "", "none", headers=kid))
    assert "algorithm" in refusal(authenticator, jwt.encode(claims, key.private, "PS256", headers=kid))
    assert "algorithm" in refusal(authenticator, jwt.encode(claims, key.private, "RS512", headers=kid))
    head, body, signature = door.token().split(".")
    assert "signature" in refusal(authenticator, f"{head}.{body}.")
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"tid": STRANGER}).encode()).decode().rstrip("=")
    assert "signature" in refusal(authenticator, f"{head}.{changed}.{signature}")


def test_the_public_key_is_no_shared_secret(door: Place) -> None:
    """HS256 with the published key as its secret is the oldest trick; the algorithm is pinned."""
    key = door.key()
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": key.id}).encode()).decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps(door.claims()).encode()).decode().rstrip("=")
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(mac.sign(f"{head}.{body}".encode(), pem)).decode().rstrip("=")
    assert "algorithm" in refusal(door.authenticator(), f"{head}.{body}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "..",
        "é.é.é",
        "\udc80",
        encoded(b"[" * 12_000) + ".e30.AA",
        encoded(b'{"alg":"RS256","kid":7}') + ".e30.AA",
        encoded(b'{"alg":["RS256"],"kid":"x"}') + ".e30.AA",
        encoded(b'{"alg":"RS256","kid":"x","crit":["b64"],"b64":false}') + ".e30.AA",
        encoded(b'{"a":' + b"9" * 5000 + b"}") + ".e30.AA",
        encoded(b"[]") + ".e30.AA",
        encoded(b"\xff") + ".e30.AA",
    ],
)
def test_garbage_is_refused_and_nothing_else_is_raised(door: Place, token: str) -> None:
    assert "Access token validation failure" in refusal(door.authenticator(), token)


def test_a_token_is_at_most_16_kib(door: Place) -> None:
    token = door.signed(padding="x" * 10_000)
    assert len(token) < 16 * 1024
    assert ask(door.authenticator(), token).partner == PARTNER
    assert "longer than 16384" in refusal(door.authenticator(), door.signed(padding="x" * 12_000))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.binary().map(encoded), st.lists(st.binary().map(encoded), max_size=4).map(".".join)))
def test_any_text_is_refused_as_a_token(door: Place, text: str) -> None:
    refusal(door.authenticator(), text)
