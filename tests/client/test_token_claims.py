"""What a token says of itself is read without verifying it, and what will not do is named with what to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from counterfoil.client.diagnosis.findings import Finding, Health
from counterfoil.client.diagnosis.token_claims import diagnose_token

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GRAPH, PARTNER_CENTER = "graph.microsoft.com", "api.partnercenter.microsoft.com"
TENANT = "0e195b37-4574-4539-bc42-0e539b9684c0"
GOOD: dict[str, Any] = {
    "aud": "https://graph.microsoft.com",
    "iss": f"https://sts.windows.net/{TENANT}/",
    "appid": "the-application",
    "tid": TENANT,
    "roles": ["PartnerBilling.Read.All"],
    "iat": NOW.timestamp() - 60,
    "exp": NOW.timestamp() + 3600,
}


def found(changes: Mapping[str, object], host: str = GRAPH, tenant: str = "") -> dict[str, Finding]:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {each.about: each for each in diagnose_token(f"e30.{body}.x", host, NOW, tenant)}


def test_a_good_token_is_good_in_everything() -> None:
    findings = found({}, tenant=TENANT.upper())
    assert {each.health for each in findings.values()} == {Health.GOOD}
    assert findings["token"].told.startswith("It is the application's own, the-application, issued by https://sts")
    assert "60 minutes more" in findings["token: lifetime"].told


@pytest.mark.parametrize(
    ("about", "changes", "told", "remedy"),
    [
        ("audience", {"aud": "https://management.azure.com"}, "not for graph.microsoft.com", "microsoft.com/.default"),
        ("audience", {"aud": None}, "made for nobody it names", "https://graph.microsoft.com/.default"),
        ("permission and consent", {"roles": None}, "no permission at all", "Grant admin consent"),
        ("permission and consent", {"roles": []}, "no permission at all", "Grant admin consent"),
        ("permission and consent", {"roles": ["User.Read.All"]}, "User.Read.All, and not Partner", "consent to it"),
        ("lifetime", {"exp": NOW.timestamp() - 1}, "expired at 2026-11-21T11:59:59Z", "set this machine's clock"),
        ("lifetime", {"iat": NOW.timestamp() + 900}, "good from 2026-11-21T12:15:00Z on", "clock: it is behind"),
    ],
)
def test_what_will_not_do_is_named(about: str, changes: dict[str, object], told: str, remedy: str) -> None:
    finding = found(changes)[f"token: {about}"]
    assert (finding.health, told in finding.told, remedy in finding.remedy) == (Health.BAD, True, True), finding


@pytest.mark.parametrize("named", [[f"https://{GRAPH}"], ["api://other", f"https://{GRAPH}", 7]])
def test_a_token_may_be_made_for_several(named: list[object]) -> None:
    finding = found({"aud": named})["token: audience"]
    assert (finding.health, f"https://{GRAPH}" in finding.told) == (Health.GOOD, True)


@pytest.mark.parametrize("odd", [["api://other"], [], [[]], {}, 7, True])
def test_an_odd_claim_is_told_and_no_error(odd: object) -> None:
    finding = found({"aud": odd})["token: audience"]
    assert (finding.health, f"and not for {GRAPH}" in finding.told) == (Health.BAD, True)
    for name in ("roles", "scp", "tid", "iss", "appid", "amr", "exp", "nbf"):
        assert found({name: odd})


def test_a_permission_of_a_person_stands_in_scp() -> None:
    findings = found({"roles": None, "scp": "openid PartnerBilling.Read.All"})
    assert findings["token: permission and consent"].health is Health.GOOD
    assert findings["token"].told.startswith("It is a person's, through the application the-application")


def test_partner_center_has_a_list_of_its_own_so_a_token_without_permission_may_do_there() -> None:
    findings = found({"aud": f"https://{PARTNER_CENTER}", "roles": None}, PARTNER_CENTER)
    assert findings["token: permission and consent"].health is Health.WARNING
    assert "App management" in findings["token: permission and consent"].remedy


@pytest.mark.parametrize("methods", [None, ["pwd"], "mfa"])
def test_a_persons_token_without_a_second_factor_is_refused_by_partner_center_with_900421(methods: object) -> None:
    person = {"aud": f"https://{PARTNER_CENTER}", "roles": None, "scp": "user_impersonation", "amr": methods}
    finding = found(person, PARTNER_CENTER)["token: second factor"]
    assert (finding.health, "900421" in finding.remedy) == (Health.BAD, True)
    assert "token: second factor" not in found({**person, "amr": ["pwd", "mfa"]}, PARTNER_CENTER)
    assert "token: second factor" not in found(person)


def test_a_token_of_another_tenant_than_the_profile_names_is_found() -> None:
    other = "11111111-2222-3333-4444-555555555555"
    assert found({}, tenant=other)["token: tenant"].health is Health.BAD
    assert found({}, tenant="contoso.onmicrosoft.com")["token: tenant"].health is Health.GOOD
    assert found({"tid": None})["token: tenant"].health is Health.WARNING


@pytest.mark.parametrize("exp", [None, "soon", True, -1, 10**15])
def test_a_lifetime_that_is_none_is_said_to_be_so(exp: object) -> None:
    assert found({"exp": exp})["token: lifetime"].health is Health.WARNING


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.W10.c", f"a.{'W' * 7}.c", "", "....", "a.eyJ.c"])
def test_what_is_no_json_web_token_can_still_be_a_token(token: str) -> None:
    [finding] = diagnose_token(token, GRAPH, NOW + timedelta(0))
    assert (finding.about, finding.health) == ("token", Health.WARNING)


@pytest.mark.parametrize(
    ("api", "audience", "health"),
    [
        ("graph", f"https://{GRAPH}", Health.GOOD),
        ("graph", f"https://{PARTNER_CENTER}", Health.BAD),
        ("v1", f"https://{PARTNER_CENTER}", Health.GOOD),
        ("v1", f"https://{GRAPH}", Health.BAD),
        ("v1", "api://counterfoil", Health.GOOD),
    ],
)
def test_a_counterfoil_takes_the_tokens_for_microsofts_api_of_the_same_name(
    api: str, audience: str, health: Health
) -> None:
    body = base64.urlsafe_b64encode(json.dumps({**GOOD, "aud": audience}).encode()).decode().rstrip("=")
    findings = {each.about: each for each in diagnose_token(f"e30.{body}.x", "billing.example", NOW, api=api)}
    assert findings["token: audience"].health is health
    assert health is Health.GOOD or "api://counterfoil/.default" in findings["token: audience"].remedy
