"""Signing in by a certificate that was registered for the client, and in development by any assertion."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from itertools import product
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from counterfoil.errors import MissingError, UsageError
from counterfoil.server.identity.client_certificates import read_client_certificate
from counterfoil.storage.catalog_rows import ClientCertificate
from counterfoil.storage.client_credentials import CREDENTIALS_MAX
from tests.server.asserting import ENDPOINT, Certified, asserted, elliptic, post, registered
from tests.server.authority_house import BASE, NOW, OTHER, PARTNER, STRANGER, House, refusal

FIRST: Final[Certified] = Certified.made("first")
SECOND: Final[Certified] = Certified.made("second")


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
@pytest.mark.parametrize("named", ["x5t#S256", "x5t", "x5t with padding", "both", "kid"])
def test_a_certificate_signs_in_under_each_name_that_libraries_give_it(real: House, algorithm: str, named: str) -> None:
    sha1, sha256 = hashes.SHA1(), hashes.SHA256()
    header = {
        "x5t#S256": {"x5t#S256": FIRST.thumbprint(sha256)},
        "x5t": {"x5t": FIRST.thumbprint(sha1)},
        "x5t with padding": {"x5t": FIRST.thumbprint(sha1, padded=True)},
        "both": {"x5t": FIRST.thumbprint(sha1), "x5t#S256": FIRST.thumbprint(sha256)},
        "kid": {"kid": FIRST.certificate.fingerprint(sha1).hex().upper()},
    }[named]
    client_id = registered(real, SECOND, FIRST)
    answer = post(real, asserted(FIRST, client_id, algorithm=algorithm, header=header), client_id=client_id)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    assert real.partner_of(token) == PARTNER
    assert jwt.decode(token, options={"verify_signature": False})["azp"] == client_id
    real.catalog.revoke_client(PARTNER, client_id, NOW)
    refusal(post(real, asserted(FIRST, client_id), client_id=client_id), 401, "invalid_client", 700027)


@pytest.mark.parametrize(
    "audience",
    [
        ENDPOINT,
        f"{BASE}/{PARTNER}/oauth2/token",
        f"{BASE}/{PARTNER}/v2.0",
        f"{BASE}/{PARTNER}/",
        f"{BASE}/{PARTNER.upper()}/oauth2/v2.0/token",
        ["https://elsewhere.example", ENDPOINT],
    ],
)
def test_the_audience_is_an_address_of_this_authority(real: House, audience: object) -> None:
    client_id = registered(real, FIRST)
    assert post(real, asserted(FIRST, client_id, aud=audience)).status_code == 200


def test_the_form_may_leave_the_client_to_the_assertion(real: House) -> None:
    client_id = registered(real, FIRST)
    assert post(real, asserted(FIRST, client_id)).status_code == 200
    refusal(post(real, "e30.e30.x"), 400, "invalid_request", 900144)
    refusal(post(real, asserted(FIRST, "")), 400, "invalid_request", 900144)
    refusal(post(real, asserted(FIRST, "x" * 129)), 400, "invalid_request", 900144)
    refusal(post(real, asserted(FIRST, client_id), client_id="another"), 401, "invalid_client", 700027)


def test_whoever_proves_nothing_hears_one_answer(real: House) -> None:
    client_id, others_id = registered(real, FIRST), registered(real, SECOND, partner=OTHER)
    with_secret, _ = real.client_of()
    forged = asserted(SECOND, client_id, header={"x5t#S256": FIRST.thumbprint(hashes.SHA256())})
    unsigned = jwt.encode({"iss": client_id, "sub": client_id, "aud": ENDPOINT}, "", algorithm="none")
    secret = FIRST.pem.decode()
    shared = jwt.encode({"iss": client_id, "sub": client_id}, hashlib.sha256(secret.encode()).hexdigest(), "HS256")
    good = asserted(FIRST, client_id)
    told = {
        refusal(answer, 401, "invalid_client", 700027)
        for answer in (
            post(real, forged, client_id=client_id),
            post(real, unsigned, client_id=client_id),
            post(real, shared, client_id=client_id),
            post(real, good[:-6] + "AAAAAA", client_id=client_id),
            post(real, asserted(FIRST, client_id, header={}), client_id=client_id),
            post(real, asserted(FIRST, client_id, header={"x5t": "!", "x5t#S256": 7}), client_id=client_id),
            post(real, asserted(SECOND, client_id), client_id=client_id),
            post(real, asserted(FIRST, with_secret), client_id=with_secret),
            post(real, asserted(FIRST, "nobody"), client_id="nobody"),
            post(real, asserted(SECOND, others_id), client_id=others_id),
            post(real, good, tenant=OTHER, client_id=client_id),
            post(real, good, tenant=STRANGER, client_id=client_id),
            post(real, "no token", client_id=client_id),
        )
    }
    assert len(told) == 1
    assert real.post(client_id=registered(real, FIRST), client_secret="0" * 64).status_code == 401


@pytest.mark.parametrize(
    ("claims", "number"),
    [
        ({"iss": "another"}, 700027),
        ({"sub": "another"}, 700027),
        ({"iss": None}, 700027),
        ({"aud": f"https://elsewhere.example/{PARTNER}/oauth2/v2.0/token"}, 700023),
        ({"aud": f"{BASE}/{OTHER}/oauth2/v2.0/token"}, 700023),
        ({"aud": None}, 700023),
        ({"aud": 7}, 700023),
        ({"jti": None}, 700023),
        ({"jti": ""}, 700023),
        ({"jti": "x" * 513}, 700023),
        ({"exp": None}, 700024),
        ({"exp": "tomorrow"}, 700024),
        ({"exp": True}, 700024),
        ({"exp": float("inf")}, 700024),
        ({"exp": (NOW - timedelta(minutes=6)).timestamp()}, 700024),
        ({"exp": (NOW + timedelta(hours=25)).timestamp()}, 700024),
        ({"nbf": (NOW + timedelta(minutes=6)).timestamp()}, 700024),
        ({"iat": (NOW + timedelta(minutes=6)).timestamp()}, 700024),
    ],
)
def test_an_assertion_of_the_clients_own_that_is_not_right_is_told_why(
    real: House, claims: dict[str, Any], number: int
) -> None:
    client_id = registered(real, FIRST)
    answer = post(real, asserted(FIRST, client_id, **claims), client_id=client_id)
    refusal(answer, 401, "invalid_client", number)


@pytest.mark.parametrize("algorithm", [["RS256"], {"RS256": 1}, 256, None, "none", "HS256"])
@pytest.mark.parametrize("named", [True, False])
def test_an_assertion_whose_head_is_nonsense_proves_nothing(real: House, algorithm: object, named: bool) -> None:
    client_id = registered(real, FIRST)
    _, claims, signature = asserted(FIRST, client_id).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode().rstrip("=")
    form = {"client_id": client_id} if named else {}
    assert post(real, f"{head}.{claims}.{signature}", **form).status_code in {400, 401}


@pytest.mark.parametrize("moment", [-9e10, -62_135_596_800, -1, 9e10, 1e300, True, "1", [1]])
@pytest.mark.parametrize("name", ["nbf", "exp", "iat"])
def test_a_time_that_no_clock_shows_is_refused(real: House, name: str, moment: object) -> None:
    client_id = registered(real, FIRST)
    claims: dict[str, Any] = {name: moment}
    assert post(real, asserted(FIRST, client_id, **claims), client_id=client_id).status_code in {200, 400, 401}


def test_an_assertion_is_good_once_but_for_the_address_that_used_it_first(real: House) -> None:
    """Msal sends one assertion again for nine minutes; nobody else may."""
    client_id, other_id = registered(real, FIRST), registered(real, FIRST)
    assertion = asserted(FIRST, client_id, jti="one")
    assert [post(real, assertion, peer="192.0.2.1").status_code for _ in range(3)] == [200] * 3
    told = refusal(post(real, assertion, peer="192.0.2.2"), 401, "invalid_client", 700024)
    assert "used before" in told
    # Another assertion under the same id is the same one used again; another client's is not.
    refusal(post(real, asserted(FIRST, client_id, jti="one"), peer="192.0.2.2"), 401, "invalid_client", 700024)
    assert post(real, asserted(FIRST, other_id, jti="one"), peer="192.0.2.2").status_code == 200
    assert post(real, asserted(FIRST, client_id, jti="two"), peer="192.0.2.2").status_code == 200


def test_a_used_assertion_is_forgotten_when_it_has_ended(real: House) -> None:
    catalog, end = real.catalog, NOW + timedelta(minutes=10)
    later = end + timedelta(seconds=1)
    assert catalog.use_assertion("c", "one", "a", expires_at=end, now=NOW)
    assert not catalog.use_assertion("c", "one", "b", expires_at=end, now=end)
    assert catalog.use_assertion("c", "two", "b", expires_at=later, now=later)
    assert catalog.use_assertion("c", "one", "b", expires_at=later, now=later)


def test_a_certificate_that_is_not_valid_now_signs_nobody_in(real: House) -> None:
    ending = Certified.made("ending", lives=timedelta(minutes=1))
    beginning = Certified.made("first", begins=NOW.replace(year=2027))
    client_id = registered(real, ending, beginning)
    assert post(real, asserted(ending, client_id)).status_code == 200
    refusal(post(real, asserted(beginning, client_id)), 401, "invalid_client", 700027)
    object.__setattr__(real.clocks, "wall", lambda: NOW + timedelta(minutes=2))
    answer = post(real, asserted(ending, client_id))
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [700027])


def test_wrong_assertions_are_slowed_down_and_never_keep_the_right_one_out(real: House) -> None:
    client_id = registered(real, FIRST)
    wrong = [post(real, asserted(SECOND, client_id), client_id=client_id).status_code for _ in range(12)]
    assert wrong == [401] * 10 + [429] * 2
    assert post(real, asserted(FIRST, client_id), client_id=client_id).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion_type": ""},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion": ""},
        {"client_secret": "secret"},
        {"client_id": "x" * 129},
        {"client_assertion": "x" * (16 * 1024 + 1)},
    ],
)
def test_a_form_with_an_assertion_that_cannot_be_right_is_refused(dev: House, form: dict[str, str]) -> None:
    assertion = form.get("client_assertion", "e30.e30.x")
    refusal(post(dev, assertion, **{"client_id": "a", **form}), 400, "invalid_request", 900144)


def test_in_development_any_assertion_gets_a_token_of_any_registered_partner(dev: House) -> None:
    for tenant, assertion in product((PARTNER, OTHER), ("e30.e30.x", asserted(FIRST, "tool"), "anything")):
        answer = post(dev, assertion, tenant=tenant, client_id="a")
        assert dev.partner_of(answer.json()["access_token"]) == tenant
    refusal(post(dev, "e30.e30.x", tenant=STRANGER, client_id="a"), 400, "invalid_request", 90002)


# What may be registered


def test_a_file_is_read_in_each_form_and_only_its_first_certificate_counts() -> None:
    der = FIRST.certificate.public_bytes(Encoding.DER)
    for content in (FIRST.pem, der, FIRST.with_key, FIRST.pem + SECOND.pem):
        found = read_client_certificate(content, "file", NOW)
        assert found.id == FIRST.certificate.fingerprint(hashes.SHA256()).hex()
        assert "PRIVATE" not in found.pem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no certificate"),
        (b"nonsense", "no certificate"),
        (FIRST.with_key.partition(b"-----BEGIN CERT")[0], "no certificate"),
        (FIRST.pem[:200], "no certificate"),
        (
            Certified.made("old", lives=timedelta(seconds=1), begins=NOW - timedelta(days=2)).pem,
            "expired on 2026-11-19",
        ),
        (Certified.made("curve", key=elliptic()).pem, "RSA"),
    ],
)
def test_what_is_no_good_certificate_is_refused_by_its_file(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read_client_certificate(content, "my.pem", NOW)
    assert "my.pem" in refused.value.message
    assert refused.value.remedy


def test_only_a_partners_own_active_client_can_be_trusted_with_more(real: House) -> None:
    client_id = registered(real, FIRST)
    real.catalog.trust_client(PARTNER, client_id, [FIRST.stored, SECOND.stored], NOW)
    assert len(real.catalog.credentials(client_id)) == 2
    with pytest.raises(MissingError):
        real.catalog.trust_client(OTHER, client_id, [SECOND.stored], NOW)
    with pytest.raises(MissingError):
        real.catalog.trust_client(PARTNER, "nobody", [SECOND.stored], NOW)
    many = [ClientCertificate(f"{n:064}", FIRST.stored.pem, NOW) for n in range(CREDENTIALS_MAX - 1)]
    with pytest.raises(UsageError, match="20"):
        real.catalog.trust_client(PARTNER, client_id, many, NOW)
    assert len(real.catalog.credentials(client_id)) == 2
    real.catalog.revoke_client(PARTNER, client_id, NOW)
    with pytest.raises(MissingError):
        real.catalog.trust_client(PARTNER, client_id, [SECOND.stored], NOW)
    real.catalog.remove_partner(PARTNER)
    assert real.catalog.credentials(client_id) == []
