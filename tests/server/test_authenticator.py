"""Bearer tokens: who is let in, who is not, and in which words."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from counterfoil.errors import DataFolderError, ForbiddenError, UnauthenticatedError, UsageError
from counterfoil.periods import Clocks
from counterfoil.server.identity.audiences import Audiences, is_microsofts
from counterfoil.server.identity.authenticator import Authenticator, TokenBearer
from counterfoil.server.identity.signing_keys import AuthorityKeys, mint_development_token
from counterfoil.settings import Settings
from counterfoil.storage.catalog import Catalog
from tests.server.tokens import (
    GRAPH,
    NOW,
    OWN,
    PARTNER,
    PARTNER_CENTER,
    STRANGER,
    Place,
    ask,
    code_in_answer,
    refusal,
    sign,
)


def test_a_development_token_names_its_partner(door: Place) -> None:
    assert ask(door.authenticator(), door.token()) == TokenBearer(PARTNER, "tool")
    assert ask(door.authenticator(), door.token(PARTNER_CENTER), "partner-center").partner == PARTNER


def test_the_scheme_is_read_case_blind(door: Place) -> None:
    header = f"  bearer   {door.token()} "
    assert asyncio.run(door.authenticator().authenticate(header, api="graph")).partner == PARTNER


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "token"])
def test_no_token_is_told_in_the_words_of_graph(door: Place, header: str | None) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^Access token is empty\.$"):
        asyncio.run(door.authenticator().authenticate(header, api="graph"))


def test_a_development_token_is_worthless_outside_development(door: Place) -> None:
    for audience in (GRAPH, PARTNER_CENTER, OWN):
        assert "not known" in refusal(door.authenticator(development=False), door.token(audience))


def test_an_audience_opens_its_own_api_only(door: Place) -> None:
    authenticator = door.authenticator()
    for audience, api in ((GRAPH, "graph"), (PARTNER_CENTER, "partner-center")):
        other = {"graph": "partner-center", "partner-center": "graph"}[api]
        assert ask(authenticator, door.token(audience), api).partner == PARTNER
        assert "audience" in refusal(authenticator, door.token(audience), other)
    for api in ("graph", "partner-center"):
        assert ask(authenticator, door.token(OWN), api).partner == PARTNER
    assert ask(authenticator, door.token("00000003-0000-0000-c000-000000000000"), "graph").partner == PARTNER


@pytest.mark.parametrize("audience", [GRAPH + "/", PARTNER_CENTER + "/", "api://other", "", "*", "graph.microsoft.com"])
def test_other_audiences_are_refused(door: Place, audience: str) -> None:
    assert "audience" in refusal(door.authenticator(), door.signed(aud=audience))


def authority_token(place: Place, **changes: Any) -> tuple[str, str]:
    """Return a token of the authority for a registered client, and the client's id."""
    client, _ = place.catalog.add_client(PARTNER, "billing", NOW)
    key = place.key(development=False)
    token = key.mint(partner=PARTNER, audience=OWN, client_id=client.id, now=NOW)
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    return sign(key, claims), client.id


def test_microsofts_audiences_are_refused_outside_development(door: Place) -> None:
    authenticator = door.authenticator(development=False)
    assert ask(authenticator, authority_token(door)[0]).partner == PARTNER
    refused: list[Any] = [GRAPH, PARTNER_CENTER, GRAPH + "/", [OWN, GRAPH], ["spn:" + GRAPH.upper(), OWN], {}, 7, None]
    for audience in refused:
        assert "audience" in refusal(authenticator, authority_token(door, aud=audience)[0])
    assert ask(authenticator, authority_token(door, aud=["api://other", OWN])[0]).partner == PARTNER


@pytest.mark.parametrize(
    "audience",
    [
        "https://graph.microsoft.com",
        " HTTPS://Graph.Microsoft.COM/ ",
        "https://graph.microsoft.com/.default",
        "https://api.partnercenter.microsoft.com",
        "api.partnercenter.microsoft.com",
        "00000003-0000-0000-C000-000000000000",
        "api://fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd",
        "https://graph.windows.net",
        "https://user@graph.microsoft.com:443/x",
        "api://ours,https://graph.microsoft.com",
    ],
)
def test_microsofts_audiences_cannot_be_set_outside_development(audience: str) -> None:
    with pytest.raises(UsageError, match="Microsoft"):
        Audiences.from_setting(audience, development=False)
    assert Audiences.from_setting(audience, development=True).own


@pytest.mark.parametrize(
    "audience",
    ["api://counterfoil", "https://billing.example.com", "https://contoso.onmicrosoft.com/billing", "https://["],
)
def test_an_operators_own_audience_can_be_set(audience: str) -> None:
    assert Audiences.from_setting(audience, development=False).own == (audience,)
    assert not is_microsofts(audience)


def test_a_registered_client_is_let_in_until_it_is_revoked(door: Place) -> None:
    authenticator = door.authenticator(development=False)
    token, client_id = authority_token(door)
    assert ask(authenticator, token) == TokenBearer(PARTNER, client_id, client_id)
    door.catalog.revoke_client(PARTNER, client_id, NOW)
    assert ask(authenticator, token).client_id == client_id  # two seconds are allowed
    door.now += timedelta(seconds=2)
    assert "no longer registered" in refusal(authenticator, token)
    assert "no longer registered" in refusal(door.authenticator(development=False), token)


def test_a_token_of_the_authority_for_a_client_that_never_was_is_refused(door: Place) -> None:
    token, _ = authority_token(door, appid="nobody", azp="nobody", sub="nobody")
    assert "no longer registered" in refusal(door.authenticator(development=False), token)


def test_a_removed_partner_is_out_within_seconds_and_back_at_once(door: Place) -> None:
    authenticator = door.authenticator()
    ask(authenticator, door.token())
    door.catalog.remove_partner(PARTNER)
    door.now += timedelta(seconds=2)
    with pytest.raises(ForbiddenError):
        ask(authenticator, door.token())
    door.catalog.add_partner(PARTNER, NOW)
    assert ask(authenticator, door.token()).partner == PARTNER


def test_a_stranger_learns_nothing_of_who_is_served(door: Place) -> None:
    """The words are the same whatever other partners there are, and also with the permission of nobody."""
    told = set()
    token = door.key().mint(partner=STRANGER, audience=GRAPH, client_id="tool", now=NOW)
    for _ in range(2):
        with pytest.raises(ForbiddenError) as caught:
            ask(door.authenticator(), token)
        assert code_in_answer(caught.value, "graph") == "Authorization_RequestDenied"
        told.add(caught.value.message)
        door.catalog.remove_partner(PARTNER) if door.catalog.has_partner(PARTNER) else None
    assert len(told) == 1
    assert STRANGER not in told.pop()


@pytest.mark.parametrize(
    ("roles", "scp", "good"),
    [
        (["PartnerBilling.Read.All"], None, True),
        (None, "openid PartnerBilling.Read.All", True),
        (["Other.Read"], "User.Read PartnerBilling.Read.All", True),
        (None, None, False),
        ([], "", False),
        ("PartnerBilling.Read.All", None, False),
        (["partnerbilling.read.all"], None, False),
        (None, ["PartnerBilling.Read.All"], False),
        (None, "PartnerBilling.Read.AllX XPartnerBilling.Read.All", False),
        ({"PartnerBilling.Read.All": 1}, 7, False),
    ],
)
def test_the_permission_is_needed(door: Place, roles: Any, scp: Any, good: bool) -> None:
    token = door.signed(roles=roles, scp=scp, aud=OWN)
    if good:
        assert ask(door.authenticator(), token).partner == PARTNER
        return
    for api, code in (("graph", "Authorization_RequestDenied"), ("partner-center", "2032")):
        with pytest.raises(ForbiddenError, match="Insufficient privileges") as caught:
            ask(door.authenticator(), token, api)
        assert code_in_answer(caught.value, api) == code


def test_a_token_ends_a_minute_after_its_time_and_no_later(door: Place) -> None:
    authenticator, token = door.authenticator(), door.token()
    door.now = NOW + timedelta(seconds=3600 + 59)
    assert ask(authenticator, token).partner == PARTNER
    door.now += timedelta(seconds=1)
    for each in (authenticator, door.authenticator()):  # remembered or not
        assert refusal(each, token) == "Lifetime validation failed, the token is expired."


def test_a_token_of_the_future_is_refused_beyond_a_minute(door: Place) -> None:
    door.now = NOW - timedelta(seconds=60)
    assert ask(door.authenticator(), door.token()).partner == PARTNER
    door.now -= timedelta(seconds=1)
    assert "not valid yet" in refusal(door.authenticator(), door.token())


def test_a_tenant_is_matched_case_blind(door: Place) -> None:
    token = door.signed(tid=PARTNER.upper(), iss=f"urn:counterfoil:development-authority:{PARTNER.upper()}")
    assert ask(door.authenticator(), token).partner == PARTNER


def folder_authenticator(data: Path, catalog: Catalog) -> Authenticator:
    return Authenticator.from_settings(
        Settings(), catalog, Clocks(wall=lambda: NOW), AuthorityKeys(data, development=True)
    )


def test_the_command_lines_token_is_good_on_its_own_data_folder_only(door: Place, tmp_path: Path) -> None:
    """Two authenticators share nothing, and a key that was made after the server started is found."""
    one, two = (folder_authenticator(tmp_path / name, door.catalog) for name in ("one", "two"))
    refusal(one, "a.b.c")
    for audience, api in (("graph", "graph"), ("partner-center", "partner-center"), (OWN, "graph")):
        token = mint_development_token(tmp_path / "one", PARTNER.upper(), audience, NOW)
        assert ask(one, token, api) == TokenBearer(PARTNER, "counterfoil-token")
        assert "not known" in refusal(two, token, api)
    with pytest.raises(UsageError):
        mint_development_token(tmp_path / "one", "contoso", "graph", NOW)
    for audience in ("", "api://x\n", "a b"):
        with pytest.raises(UsageError, match="is not an audience"):
            mint_development_token(tmp_path / "one", PARTNER, audience, NOW)


def test_signing_keys_are_private_files_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    for development, name in ((False, "authority.pem"), (True, "development-authority.pem")):
        made = AuthorityKeys(tmp_path, development=development).signing()
        path = tmp_path / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert AuthorityKeys(tmp_path, development=development).signing().id == made.id
        path.chmod(0o644)
        with pytest.raises(DataFolderError, match="chmod 600"):
            AuthorityKeys(tmp_path, development=development).honoured()
        path.chmod(0o600)
        kept = path.read_bytes()
        path.write_bytes(b"nonsense")
        with pytest.raises(DataFolderError, match="damaged"):
            AuthorityKeys(tmp_path, development=development).honoured()
        path.write_bytes(kept)
    assert len(AuthorityKeys(tmp_path, development=True).honoured()) == 2
    assert len(AuthorityKeys(tmp_path, development=False).honoured()) == 1


def test_a_token_seen_before_costs_microseconds(door: Place) -> None:
    """The floor is 10 us on an idle core; a first look costs ten times as much, so the bound still tells them apart."""
    authenticator, header = door.authenticator(), f"Bearer {door.token()}"

    async def best_of_many() -> float:
        await authenticator.authenticate(header, api="graph")
        best = float("inf")
        for _ in range(50):
            begun = time.perf_counter()
            for _ in range(100):
                await authenticator.authenticate(header, api="graph")
            best = min(best, (time.perf_counter() - begun) / 100)
        return best

    assert asyncio.run(best_of_many()) < 30e-6
