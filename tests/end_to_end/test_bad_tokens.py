"""Every bearer token that is not good here is refused by both APIs, in their own words; never a 500."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from counterfoil.server.identity.signing_keys import AuthorityKeys, SigningKey
from counterfoil.testing import PARTNER, Server
from tests.end_to_end.fetching import BILLING, LINE_ITEMS
from tests.end_to_end.refusals import assert_graph, assert_partner_center

STRANGER = "11111111-2222-3333-4444-555555555555"
GRAPH, CENTER = "https://graph.microsoft.com", "https://api.partnercenter.microsoft.com"
PAGE = f"{LINE_ITEMS}?provider=onetime&invoicelineitemtype=usagelineitems&currencycode=EUR&period=current"
NOW = int(time.time())
Forge = Callable[[SigningKey, dict[str, Any]], str]


def with_claims(**changes: Any) -> Forge:
    """A token that our own key signed, with other claims; None takes a claim away."""

    def forge(key: SigningKey, claims: dict[str, Any]) -> str:
        return signed(key, {name: value for name, value in (claims | changes).items() if value is not None})

    return forge


def signed(key: SigningKey, claims: Mapping[str, Any], private: Any = None, **header: Any) -> str:
    headers = {"kid": key.id} | header
    return jwt.PyJWS().encode(json.dumps(claims).encode(), private or key.private, "RS256", headers=headers)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> Forge:
    def forge(key: SigningKey, claims: dict[str, Any]) -> str:
        return f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': key.id})}.{part(claims)}."

    return forge


def signed_with_the_public_key(key: SigningKey, claims: dict[str, Any]) -> str:
    """The old trick: our public key, which everybody has, taken for a shared secret."""
    public = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    plain = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': key.id})}.{part(claims)}"
    mac = hmac.digest(public, plain.encode(), "sha256")
    return f"{plain}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def signed_by_a_stranger(key: SigningKey, claims: dict[str, Any]) -> str:
    return signed(key, claims, rsa.generate_private_key(65537, 2048))


def of_a_strangers_key(key: SigningKey, claims: dict[str, Any]) -> str:
    return signed(key, claims, rsa.generate_private_key(65537, 2048), kid="stranger")


def with_its_own_key_inside(key: SigningKey, claims: dict[str, Any]) -> str:
    stranger = rsa.generate_private_key(65537, 2048)
    numbers = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    return signed(key, claims, stranger, kid="stranger", jwk=numbers, jku="http://127.0.0.1:9/keys")


def cut(key: SigningKey, claims: dict[str, Any]) -> str:
    return signed(key, claims)[:-20]


def changed(key: SigningKey, claims: dict[str, Any]) -> str:
    head, _, signature = signed(key, claims).split(".")
    return f"{head}.{part(claims | {'tid': STRANGER})}.{signature}"


UNAUTHENTICATED: dict[str, Forge] = {
    "expired": with_claims(exp=NOW - 3_600, nbf=NOW - 7_200, iat=NOW - 7_200),
    "not valid yet": with_claims(nbf=NOW + 3_600, exp=NOW + 7_200),
    "without an end": with_claims(exp=None),
    "with an end that is no time": with_claims(exp="tomorrow"),
    "for another audience": with_claims(aud="https://vault.azure.net"),
    "without an audience": with_claims(aud=None),
    "of another issuer": with_claims(iss="https://login.example/common"),
    "of another tenant's issuer": with_claims(iss=f"urn:counterfoil:development-authority:{STRANGER}"),
    "of the authority that is not for development": with_claims(iss=f"urn:counterfoil:authority:{PARTNER}"),
    "without an issuer": with_claims(iss=None),
    "without a tenant": with_claims(tid=None),
    "with a tenant that is no GUID": with_claims(tid="contoso", iss="urn:counterfoil:development-authority:contoso"),
    "of another tenant": with_claims(tid=STRANGER),
    "with alg none": unsigned("none"),
    "with alg nOnE": unsigned("nOnE"),
    "unsigned": unsigned("RS256"),
    "signed with our public key": signed_with_the_public_key,
    "signed by a stranger": signed_by_a_stranger,
    "of a stranger's key": of_a_strangers_key,
    "with its own key inside": with_its_own_key_inside,
    "cut": cut,
    "changed": changed,
    "in two parts": lambda *_: "eyJhbGciOiJSUzI1NiJ9.e30",
    "no token": lambda *_: "nonsense",
    "with dots only": lambda *_: "..",
    "too long": lambda *_: "a" * 17_000,
    "with letters of no token": lambda *_: "ümläut",
}
FORBIDDEN: dict[str, Forge] = {
    "without the permission": with_claims(roles=None),
    "with another permission": with_claims(roles=["PartnerBilling.Read", "Directory.Read.All"]),
    "with a permission that only begins so": with_claims(roles=["PartnerBilling.Read.All.Not"]),
    "with the permission as a text": with_claims(roles="PartnerBilling.Read.All"),
    "of a tenant that is no partner": with_claims(
        tid=STRANGER, iss=f"urn:counterfoil:development-authority:{STRANGER}"
    ),
}
HEADERS: dict[str, str | None] = {
    "absent": None,
    "empty": "",
    "another scheme": "Basic c29tZTpvbmU=",
    "a scheme and no token": "Bearer",
    "a token without its scheme": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def forged(server: Server, forge: Forge, audience: str) -> str:
    key = AuthorityKeys(server.data, development=True).signing()
    good = key.mint(partner=PARTNER, audience=audience, client_id="tool", now=server.service.clocks.wall())
    return forge(key, jwt.decode(good, options={"verify_signature": False}))


def both(client: httpx.Client, headers: list[Any]) -> tuple[httpx.Response, httpx.Response]:
    graph, center = headers
    return client.get(f"{BILLING}/operations", headers=graph), client.get(PAGE, headers=center)


def bearers(server: Server, forge: Forge) -> list[Any]:
    return [{"Authorization": f"Bearer {forged(server, forge, each)}".encode()} for each in (GRAPH, CENTER)]


def test_an_unchanged_token_is_good_at_its_api_and_no_other(server: Server, client: httpx.Client) -> None:
    good = bearers(server, with_claims())
    assert [answer.status_code for answer in both(client, good)] == [200, 200]
    graph, center = both(client, good[::-1])
    assert "audience" in assert_graph(graph, 401, "InvalidAuthenticationToken")
    assert "audience" in assert_partner_center(center, 401, "400")


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_without_a_bearer_token_is_401(client: httpx.Client, what: str) -> None:
    value = HEADERS[what]
    headers = {} if value is None else {"Authorization": value}
    graph, center = both(client, [headers, headers])
    assert assert_graph(graph, 401, "InvalidAuthenticationToken") == "Access token is empty."
    assert assert_partner_center(center, 401, "400") == "Access token is empty."


@pytest.mark.parametrize("what", UNAUTHENTICATED)
def test_a_token_that_is_not_good_is_401(server: Server, client: httpx.Client, what: str) -> None:
    graph, center = both(client, bearers(server, UNAUTHENTICATED[what]))
    assert_graph(graph, 401, "InvalidAuthenticationToken")
    assert_partner_center(center, 401, "400")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_token_that_is_good_for_something_else_is_403(server: Server, client: httpx.Client, what: str) -> None:
    graph, center = both(client, bearers(server, FORBIDDEN[what]))
    assert_graph(graph, 403, "Authorization_RequestDenied")
    assert_partner_center(center, 403, "2032")


def test_two_authorization_headers_are_not_a_choice(server: Server, client: httpx.Client) -> None:
    good = server.token()
    for values in ([f"Bearer {good}", "Bearer nonsense"], ["Bearer nonsense", f"Bearer {good}"]):
        answer = client.get(f"{BILLING}/operations", headers=[("Authorization", value) for value in values])
        assert_graph(answer, 401, "InvalidAuthenticationToken")
    center = server.token("partner-center")
    twice = client.get(PAGE, headers=[("Authorization", f"Bearer {center}")] * 2)
    assert_partner_center(twice, 401, "400")
