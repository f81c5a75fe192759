"""The built-in authority: plain forms get tokens; nobody else does, and nobody learns why."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import DataFolderError, UnauthenticatedError
from counterfoil.server.identity import authority, signing_keys
from counterfoil.server.identity.authority import WRONG_SECRETS_A_MINUTE
from counterfoil.storage import rotated_keys
from tests.server.authority_house import (
    GRAPH,
    NOW,
    OTHER,
    OWN,
    PARTNER,
    PARTNER_CENTER,
    STRANGER,
    House,
    Http,
    refusal,
)


def test_a_form_post_gets_a_token(dev: House) -> None:
    answer = dev.post()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert {**body, "access_token": ""} == {
        "token_type": "Bearer",
        "expires_in": 3599,
        "ext_expires_in": 3599,
        "access_token": "",
    }
    assert dev.partner_of(body["access_token"]) == PARTNER


def test_the_older_form_gets_a_token_with_its_numbers_as_text(dev: House) -> None:
    body = dev.post(path="oauth2/token", resource=PARTNER_CENTER).json()
    assert dev.partner_of(body.pop("access_token"), "partner-center") == PARTNER
    begins_at = int(NOW.timestamp())
    assert body == {
        "token_type": "Bearer",
        "expires_in": "3599",
        "ext_expires_in": "3599",
        "expires_on": str(begins_at + 3600),
        "not_before": str(begins_at),
        "resource": PARTNER_CENTER,
    }


def test_in_development_any_client_gets_a_token_of_any_registered_partner(dev: House) -> None:
    for partner in (PARTNER, OTHER):
        token = dev.post(partner.upper(), client_id="anything", client_secret="at all").json()["access_token"]
        assert dev.partner_of(token) == partner
    told = refusal(dev.post(STRANGER), 400, "invalid_request", 90002)
    assert f"counterfoil partners add {STRANGER}" in told


def test_in_development_microsofts_scopes_are_good_for_their_own_api(dev: House) -> None:
    for scope, api in ((GRAPH, "graph"), (PARTNER_CENTER, "partner-center")):
        assert dev.partner_of(dev.post(scope=f"{scope}/.default").json()["access_token"], api) == PARTNER
    token = dev.post(scope="00000003-0000-0000-c000-000000000000/.default").json()["access_token"]
    assert dev.partner_of(token) == PARTNER


def test_a_registered_client_gets_a_token_of_its_own_partner(real: House) -> None:
    client_id, secret = real.client_of()
    answer = real.post(client_id=client_id, client_secret=secret)
    assert real.partner_of(answer.json()["access_token"]) == PARTNER
    assert real.post(path="oauth2/token", client_id=client_id, client_secret=secret).status_code == 200


def test_whoever_is_not_the_client_hears_one_answer(real: House) -> None:
    client_id, secret = real.client_of()
    revoked_id, revoked_secret = real.client_of()
    real.catalog.revoke_client(PARTNER, revoked_id, NOW)
    told = {
        refusal(answer, 401, "invalid_client", 7000215)
        for answer in (
            real.post(client_id=client_id, client_secret="wrong"),
            real.post(client_id="nobody", client_secret=secret),
            real.post(OTHER, client_id=client_id, client_secret=secret),
            real.post(STRANGER, client_id=client_id, client_secret=secret),
            real.post(STRANGER, client_id="nobody", client_secret="wrong"),
            real.post(client_id=revoked_id, client_secret=revoked_secret),
        )
    }
    assert len(told) == 1


def test_outside_development_microsofts_scopes_are_refused(real: House) -> None:
    client_id, secret = real.client_of()
    for scope in (GRAPH, PARTNER_CENTER, "api://other", GRAPH + "/"):
        answer = real.post(client_id=client_id, client_secret=secret, scope=f"{scope}/.default")
        assert OWN in refusal(answer, 400, "invalid_scope", 70011)
        answer = real.post(path="oauth2/token", client_id=client_id, client_secret=secret, resource=scope)
        refusal(answer, 400, "invalid_resource", 500011)


def test_wrong_secrets_are_slowed_down_for_one_client_and_no_other(real: House) -> None:
    (client_id, _), (other_id, other_secret) = real.client_of(), real.client_of()
    for _ in range(WRONG_SECRETS_A_MINUTE):
        refusal(real.post(client_id=client_id, client_secret="wrong"), 401, "invalid_client", 7000215)
    blocked = real.post(client_id=client_id, client_secret="wrong")
    refusal(blocked, 429, "temporarily_unavailable", 90055)
    assert 1 <= int(blocked.headers["retry-after"]) <= 60
    assert real.post(client_id=other_id, client_secret=other_secret).status_code == 200
    refusal(real.post(client_id=other_id, client_secret="wrong"), 401, "invalid_client", 7000215)


@pytest.mark.parametrize("tenant", [PARTNER, OTHER, STRANGER])
def test_wrong_secrets_at_any_tenant_never_keep_the_right_one_out(real: House, tenant: str) -> None:
    client_id, secret = real.client_of()
    for _ in range(WRONG_SECRETS_A_MINUTE + 2):
        assert real.post(tenant, client_id=client_id, client_secret="wrong").status_code in (401, 429)
    assert real.post(client_id=client_id, client_secret=secret).status_code == 200


def test_the_right_secret_at_another_tenant_counts_as_a_wrong_one(real: House) -> None:
    client_id, secret = real.client_of()
    answers = [real.post(OTHER, client_id=client_id, client_secret=secret) for _ in range(WRONG_SECRETS_A_MINUTE + 1)]
    assert [answer.status_code for answer in answers] == [401] * WRONG_SECRETS_A_MINUTE + [429]
    assert real.post(client_id=client_id, client_secret=secret).status_code == 200


def test_of_200_wrong_secrets_at_once_ten_are_told_so_and_the_right_one_is_let_in_among_them(real: House) -> None:
    client_id, secret = real.client_of()
    asked = ["wrong"] * 100 + [secret] + ["wrong"] * 100
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda each: real.post(client_id=client_id, client_secret=each).status_code, asked))
    assert answers.pop(100) == 200
    assert (answers.count(401), answers.count(429)) == (WRONG_SECRETS_A_MINUTE, 200 - WRONG_SECRETS_A_MINUTE)


def test_wrong_secrets_from_one_address_say_nothing_about_another(real: House) -> None:
    client_id, _ = real.client_of()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": "wrong"}

    def status_at(address: str) -> int:
        http = Http(real.app, address)
        return http.post(f"/{PARTNER}/oauth2/v2.0/token", data=form | {"scope": f"{OWN}/.default"}).status_code

    assert [status_at("192.0.2.1") for _ in range(WRONG_SECRETS_A_MINUTE + 1)][-1] == 429
    assert status_at("192.0.2.2") == 401


def test_however_many_clients_are_guessed_at_the_memory_for_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "_COUNTED_MAX", 100)
    wrong = authority._WrongSecrets()
    assert not any(wrong.count(f"client-{number}", "192.0.2.1") for number in range(1_000))
    assert len(wrong._windows._values) == 100


def test_right_secrets_are_never_slowed_down(real: House) -> None:
    client_id, secret = real.client_of()
    for _ in range(WRONG_SECRETS_A_MINUTE + 2):
        assert real.post(client_id=client_id, client_secret=secret).status_code == 200


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def test_the_secret_may_come_in_a_basic_header(real: House) -> None:
    client_id, secret = real.client_of()
    form = {"grant_type": "client_credentials", "scope": f"{OWN}/.default"}

    def post(authorization: str, **more: str) -> httpx.Response:
        headers = {"Authorization": authorization}
        return real.http.post(f"/{PARTNER}/oauth2/v2.0/token", data={**form, **more}, headers=headers)

    assert post(basic(client_id, secret)).status_code == 200
    assert post(basic(client_id.replace("-", "%2D"), secret), client_id=client_id).status_code == 200
    wrong = post(basic(client_id, "wrong"))
    refusal(wrong, 401, "invalid_client", 7000215)
    assert wrong.headers["www-authenticate"].startswith("Basic")
    for bad in (
        "Basic",
        "Basic !",
        "Bearer x",
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        basic("", "x"),
        basic("x", ""),
    ):
        refusal(post(bad), 400, "invalid_request", 900144)
    refusal(post(basic(client_id, secret), client_secret=secret), 400, "invalid_request", 900144)
    refusal(post(basic(client_id, secret), client_id="other"), 400, "invalid_request", 900144)


@pytest.mark.parametrize(
    ("form", "error", "number"),
    [
        ({"grant_type": ""}, "invalid_request", 900144),
        ({"grant_type": "password"}, "unsupported_grant_type", 70003),
        ({"grant_type": "refresh_token"}, "unsupported_grant_type", 70003),
        ({"client_id": ""}, "invalid_request", 900144),
        ({"client_secret": ""}, "invalid_request", 900144),
        ({"client_id": "x" * 129}, "invalid_request", 900144),
        ({"client_secret": "x" * 1025}, "invalid_request", 900144),
        ({"scope": ""}, "invalid_request", 900144),
        ({"scope": OWN}, "invalid_scope", 70011),
        ({"scope": "/.default"}, "invalid_scope", 70011),
        ({"scope": f"{OWN}/.default {GRAPH}/.default"}, "invalid_scope", 70011),
        ({"scope": "x" * 300 + "/.default"}, "invalid_scope", 70011),
        ({"scope": "\u00e9/.default"}, "invalid_scope", 70011),
    ],
)
def test_a_form_that_cannot_be_right_is_refused_in_oauths_words(
    dev: House, form: dict[str, str], error: str, number: int
) -> None:
    refusal(dev.post(**form), 400, error, number)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("", b""),
        ("application/x-www-form-urlencoded", b""),
        ("application/x-www-form-urlencoded", b"grant_type=a&grant_type=b"),
        ("application/x-www-form-urlencoded", b"grant_type=%FF"),
        ("application/x-www-form-urlencoded", b"\xff=\xff"),
        ("application/x-www-form-urlencoded", b"a=&" * 60),
    ],
)
def test_a_body_that_is_no_form_is_refused(dev: House, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = dev.http.post(f"/{PARTNER}/oauth2/v2.0/token", content=body, headers=headers)
    refusal(answer, 400, "invalid_request", 900144)


def test_a_body_that_is_longer_than_a_form_may_be_is_refused(dev: House) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert dev.http.post(f"/{PARTNER}/oauth2/v2.0/token", content=b"x" * 70_000, headers=headers).status_code == 413


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), authorization=st.binary(max_size=60))
def test_any_bytes_are_refused_and_nothing_breaks(dev: House, body: bytes, authorization: bytes) -> None:
    headers: Any = {"Content-Type": "application/x-www-form-urlencoded"}
    headers["Authorization"] = b"Basic " + base64.b64encode(authorization)
    answer = dev.http.post(f"/{PARTNER}/oauth2/token", content=body, headers=headers)
    assert answer.status_code == 400


def test_who_has_a_secret_that_ended_is_told_so_and_nobody_else(real: House) -> None:
    ends = NOW + timedelta(days=1)
    client, secret = real.catalog.add_client(PARTNER, "billing", NOW - timedelta(days=300), expires_at=ends)
    assert real.post(client_id=client.id, client_secret=secret).status_code == 200
    before = NOW - timedelta(days=2)
    ended, old = real.catalog.add_client(PARTNER, "old", NOW - timedelta(days=300), expires_at=before)
    told = refusal(real.post(client_id=ended.id, client_secret=old), 401, "invalid_client", 7000215)
    assert "has expired" in told
    assert f"ended on {before:%Y-%m-%d}" in told
    wrong = refusal(real.post(client_id=ended.id, client_secret="guess"), 401, "invalid_client", 7000215)
    assert "expired" not in wrong
    real.catalog.revoke_client(PARTNER, ended.id, NOW)
    revoked = refusal(real.post(client_id=ended.id, client_secret=old), 401, "invalid_client", 7000215)
    assert "expired" not in revoked


def test_a_new_signing_key_is_taken_up_and_tokens_of_the_former_one_are_good_to_their_end(
    real: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id, secret = real.client_of()
    begin = datetime.now(UTC)

    def sign_in() -> str:
        return str(real.post(client_id=client_id, client_secret=secret).json()["access_token"])

    def key_of(token: str) -> str:
        return str(jwt.get_unverified_header(token)["kid"])

    before = sign_in()
    assert signing_keys.rotate_authority(real.data, begin, at_once=False)
    after = sign_in()
    published = [key["kid"] for key in real.http.get(f"/{PARTNER}/discovery/v2.0/keys").json()["keys"]]
    assert published == [key_of(after), key_of(before)]
    assert len(set(published)) == 2
    assert [real.partner_of(token) for token in (before, after)] == [PARTNER, PARTNER]
    monkeypatch.setattr(rotated_keys, "utc_now", lambda: begin + timedelta(minutes=66))
    with pytest.raises(UnauthenticatedError, match="not known"):
        real.partner_of(before)
    assert real.partner_of(after) == PARTNER


def test_a_signing_key_that_leaked_is_ended_at_once(real: House) -> None:
    client_id, secret = real.client_of()
    before = real.post(client_id=client_id, client_secret=secret).json()["access_token"]
    signing_keys.rotate_authority(real.data, datetime.now(UTC), at_once=True)
    with pytest.raises(UnauthenticatedError, match="not known"):
        real.partner_of(before)
    assert real.partner_of(real.post(client_id=client_id, client_secret=secret).json()["access_token"]) == PARTNER
    (real.data / "authority.pem").write_bytes(b"half")
    assert real.post(client_id=client_id, client_secret=secret).status_code == 200
    with pytest.raises(DataFolderError, match="damaged"):
        signing_keys.AuthorityKeys(real.data, development=False).signing()


def test_a_key_that_is_read_for_the_first_time_is_known_to_all_threads(real: House) -> None:
    key = real.keys.signing()
    for _ in range(5):
        fresh = signing_keys.AuthorityKeys(real.data, development=False)
        with ThreadPoolExecutor(8) as threads:
            assert None not in list(threads.map(fresh.find, [key.id] * 16))
