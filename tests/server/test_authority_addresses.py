"""What is found below an authority's address besides tokens: its documents and keys, and OAuth's words for the rest."""

from __future__ import annotations

import json
import uuid

import jwt
import pytest

from counterfoil.server.identity.signing_keys import AuthorityKeys
from counterfoil.wire import oauth
from tests.server.authority_house import BASE, OWN, PARTNER, House, refusal


@pytest.mark.parametrize("tenant", ["common", "organizations", "contoso.onmicrosoft.com", "x", PARTNER + "0"])
def test_the_tenant_is_a_guid(dev: House, tenant: str) -> None:
    refusal(dev.post(tenant), 400, "invalid_request", 90002)
    for path in ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration", "discovery/v2.0/keys"):
        refusal(dev.http.get(f"/{tenant}/{path}"), 400, "invalid_request", 90002)


def test_the_callers_correlation_id_comes_back(dev: House) -> None:
    sent = str(uuid.uuid4())
    url = f"/{PARTNER}/oauth2/v2.0/token"
    assert dev.http.post(url, headers={"client-request-id": sent}).json()["correlation_id"] == sent
    assert dev.http.post(url, headers={"client-request-id": "<script>"}).json()["correlation_id"] != "<script>"


def test_the_documents_lead_to_each_other(dev: House) -> None:
    document = dev.http.get(f"/{PARTNER}/v2.0/.well-known/openid-configuration").json()
    assert document["issuer"] == f"{BASE}/{PARTNER}/v2.0"
    assert document["token_endpoint"] == f"{BASE}/{PARTNER}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b", "scope": f"{OWN}/.default"}
    token = dev.http.post(document["token_endpoint"], data=form).json()["access_token"]
    keys = jwt.PyJWKSet.from_dict(dev.http.get(document["jwks_uri"]).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, audience=OWN, options={"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    )
    assert (claims["tid"], claims["roles"]) == (PARTNER, ["PartnerBilling.Read.All"])
    older = dev.http.get(f"/{PARTNER}/.well-known/openid-configuration").json()
    assert older["token_endpoint"] == f"{BASE}/{PARTNER}/oauth2/token"
    assert dev.http.get(older["jwks_uri"]).json()["keys"]
    assert "d" not in json.dumps(dev.http.get(older["jwks_uri"]).json()["keys"][0]).split('"')


def test_outside_development_the_development_key_is_not_shown(real: House) -> None:
    AuthorityKeys(real.data, development=True).signing()
    assert real.http.get(f"/{PARTNER}/discovery/v2.0/keys").json() == {"keys": []}
    client_id, secret = real.client_of()
    real.post(client_id=client_id, client_secret=secret)
    assert len(real.http.get(f"/{PARTNER}/discovery/v2.0/keys").json()["keys"]) == 1


@pytest.mark.parametrize("older", [False, True])
def test_the_discovery_document_offers_what_there_is(dev: House, older: bool) -> None:
    document = dev.http.get(f"/{PARTNER}{'' if older else '/v2.0'}/.well-known/openid-configuration").json()
    endpoints = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert endpoints.keys() == {"token_endpoint", "authorization_endpoint", "jwks_uri"}
    assert dev.http.get(endpoints["jwks_uri"]).status_code == 200
    refusal(dev.http.get(endpoints["authorization_endpoint"]), 400, "unsupported_response_type", 70005)
    refusal(dev.http.post(endpoints["authorization_endpoint"]), 405, "invalid_request", 900561)
    assert document["grant_types_supported"] == ["client_credentials"]


def test_whatever_is_refused_under_an_authority_is_refused_in_oauths_words(dev: House) -> None:
    for tenant in (PARTNER, "common", "organizations", PARTNER.upper()):
        for path in (
            "oauth2/v2.0/devicecode",
            "oauth2/devicecode",
            "v2.0/other",
            "discovery/instance",
            "oauth2/V2.0/token",
        ):
            for answer in (
                dev.http.get(f"/{tenant}/{path}"),
                dev.http.post(f"/{tenant}/{path}", data={"client_id": "a"}),
            ):
                assert "client credentials" in refusal(answer, 404, "invalid_request", 90023)
    refusal(dev.http.get(f"/{PARTNER}/oauth2/v2.0/token"), 405, "invalid_request", 900561)
    refusal(dev.http.request("DELETE", f"/{PARTNER}/discovery/keys"), 405, "invalid_request", 900561)
    refusal(dev.http.post(f"/{PARTNER}/oauth2/token", content=b"x" * 70_000), 413, "invalid_request", 90023)
    elsewhere = dev.http.get("/nowhere/at/all")
    assert (elsewhere.status_code, [*elsewhere.json()["error"]]) == (404, ["message", "requestId"])


def test_a_fault_of_ours_is_told_in_oauths_words(dev: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a path of ours")

    monkeypatch.setattr(oauth, "token_answer", broken)
    told = refusal(dev.post(), 500, "server_error", 50000)
    assert "path of ours" not in told
