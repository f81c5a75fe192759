"""Credentials of every kind: asked before each call, renewed as they age, and once more when a token is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from counterfoil.client import AsyncClient, Client, ask_billed
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import RefusedError, SourceError, UsageError
from counterfoil.model import Kind
from counterfoil.settings import Profile
from tests.client.hostile_source import Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")


class AccessToken(NamedTuple):
    """As azure-identity gives it."""

    token: str
    expires_on: int


class Credential:
    """A credential of azure-identity, as far as anybody calls it."""

    def __init__(self, lasts_s: int = 3600) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._lasts_s = lasts_s

    def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        self.asked.append((scopes[0], more))
        return AccessToken(f"token-{len(self.asked)}", int(time.time()) + self._lasts_s)


class AsyncCredential(Credential):
    async def get_token(self, *scopes: str, **more: Any) -> AccessToken:  # type: ignore[override]
        return Credential.get_token(self, *scopes, **more)


def sent(source: HostileSource) -> list[str]:
    return [call.headers["authorization"] for call in source.calls if call.what not in ("blob", "other")]


def test_a_function_is_asked_before_every_call(source: HostileSource, patience: Patience, tmp_path: Path) -> None:
    tokens = iter("abcdef")
    with Client(source.url, lambda: next(tokens), patience=patience) as client:
        client.pull(ASK, tmp_path)
    assert sent(source) == ["Bearer a", "Bearer b"]


def test_a_credential_of_azure_identity_is_asked_for_the_sources_scope_and_again_when_it_ages(
    source: HostileSource, patience: Patience, tmp_path: Path
) -> None:
    lasting, ageing = Credential(), Credential(lasts_s=60)
    with Client(source.url, lasting, patience=patience) as client:
        client.pull(ASK, tmp_path / "a")
    assert lasting.asked == [("api://counterfoil/.default", {})]
    with Client(source.url, ageing, patience=patience, scope="api://mine/.default") as client:
        client.pull(ASK, tmp_path / "b")
    assert ageing.asked == [("api://mine/.default", {})] * 2


def test_a_refused_token_is_renewed_once_with_the_claims_of_the_challenge(
    source: HostileSource, patience: Patience, tmp_path: Path
) -> None:
    claims = '{"access_token":{"nbf":{"essential":true}}}'
    challenge = f'Bearer realm="", error="insufficient_claims", claims="{base64.b64encode(claims.encode()).decode()}"'
    source.canned["export"].append(Canned(401, {"WWW-Authenticate": challenge}))
    credential = Credential()
    with Client(source.url, credential, patience=patience) as client:
        client.pull(ASK, tmp_path / "a")
        assert credential.asked[1] == ("api://counterfoil/.default", {"claims": claims})
        assert sent(source) == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
        source.canned["export"] += [Canned(401)] * 2
        with pytest.raises(RefusedError, match="401"):
            client.pull(ASK, tmp_path / "b")
    assert len(sent(source)) == 5


def test_an_asynchronous_credential_is_for_the_asynchronous_client(source: HostileSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="AsyncClient"):
        Client(source.url, AsyncCredential())

    async def pull() -> None:
        async with AsyncClient(source.url, AsyncCredential()) as client:
            await client.pull(ASK, tmp_path)

    asyncio.run(pull())
    assert sent(source) == ["Bearer token-1"] * 2


def test_a_function_that_turns_out_to_be_asynchronous_is_for_the_asynchronous_client(
    source: HostileSource, tmp_path: Path
) -> None:
    async def get_token(token: str) -> str:
        return token

    async def pull() -> None:
        async with AsyncClient(source.url, lambda: get_token("late")) as client:
            await client.pull(ASK, tmp_path / "async")

    asyncio.run(pull())
    assert sent(source) == ["Bearer late"] * 2
    with Client(source.url, lambda: get_token("late")) as client, pytest.raises(UsageError, match="AsyncClient"):
        client.pull(ASK, tmp_path / "sync")


@pytest.mark.parametrize("given", ["", "two words", "line\n", 7])
def test_what_cannot_be_a_credential_is_refused_before_a_call(source: HostileSource, given: Any) -> None:
    with pytest.raises(UsageError):
        Client(source.url, given)


def test_a_function_that_gives_no_token_is_told(source: HostileSource, tmp_path: Path) -> None:
    credential: Any = lambda: None  # noqa: E731 - as a person writes it
    with Client(source.url, credential) as client, pytest.raises(UsageError, match="NoneType"):
        client.pull(ASK, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_profile_is_a_client(source: HostileSource, tmp_path: Path) -> None:
    with Client.from_profile(Profile("contoso", url=source.url, token="of-the-profile")) as client:
        client.pull(ASK, tmp_path / "a")
    assert sent(source) == ["Bearer of-the-profile"] * 2
    signing_in = Profile("contoso", url=source.url, tenant="t", client_id="c", client_secret="s")
    source.canned["other"].append(Canned(200, {}, json.dumps({"access_token": "x", "expires_in": 3600}).encode()))
    with Client.from_profile(signing_in) as client:
        client.pull(ASK, tmp_path / "b")
    assert sent(source)[-1] == "Bearer x"
    with pytest.raises(UsageError, match="neither a token nor a client id"):
        Client.from_profile(Profile("contoso", url=source.url))


def test_whatever_a_credential_raises_is_one_of_our_errors(source: HostileSource, tmp_path: Path) -> None:
    def broken() -> str:
        raise RuntimeError("no network, client_secret=abc")

    async def pull() -> None:
        async with AsyncClient(source.url, broken) as client:
            await client.pull(ASK, tmp_path)

    with Client(source.url, broken) as client, pytest.raises(SourceError, match="no network") as caught:
        client.pull(ASK, tmp_path)
    assert "abc" not in str(caught.value)
    with pytest.raises(SourceError, match="gave no token"):
        asyncio.run(pull())
