"""A proxy that the environment names is not asked for what is on this machine: a token would go through its hands."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from counterfoil.client import AsyncClient, Client, ClientCredentials, Patience, ask_billed
from counterfoil.client.network.http_client import open_async_client, open_client
from counterfoil.errors import NoAnswerError, UsageError
from counterfoil.model import Kind
from tests.client.hostile_source import TOKEN, Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")
ONCE = Patience(attempts_max=1)


@pytest.fixture
def proxy(stranger: HostileSource, monkeypatch: pytest.MonkeyPatch) -> HostileSource:
    """What HTTP_PROXY names: it answers 404 to whatever it is asked for."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", stranger.url)
    return stranger


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_call_and_no_blob_of_this_machine_goes_through_a_proxy(
    source: HostileSource, proxy: HostileSource, tmp_path: Path, host: str
) -> None:
    source.url = source.url.replace("127.0.0.1", host)

    async def pull() -> None:
        async with AsyncClient(source.url, TOKEN, patience=ONCE) as client:
            await client.pull(ASK, tmp_path / "async")

    with Client(source.url, TOKEN, patience=ONCE) as client:
        client.pull(ASK, tmp_path / "sync")
    asyncio.run(pull())
    assert proxy.calls == []


def test_no_secret_of_a_sign_in_goes_through_a_proxy(source: HostileSource, proxy: HostileSource) -> None:
    source.canned["other"].append(Canned(200, {}, b'{"access_token":"one","expires_in":3600}'))
    assert ClientCredentials(source.url, tenant="t", client_id="c", client_secret="s", patience=ONCE)() == "one"
    assert proxy.calls == []


@pytest.mark.parametrize("url", ["http://127.0.0.2:1", "http://[::1]:1", "http://[::ffff:127.0.0.1]:1"])
def test_every_address_of_this_machine_is_this_machine(proxy: HostileSource, url: str) -> None:
    with Client(url, TOKEN, patience=ONCE) as client, pytest.raises(NoAnswerError):
        client.export(ASK)
    assert proxy.calls == []


def test_others_are_asked_through_the_proxy_unless_it_is_not_to_be(
    proxy: HostileSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get() -> int:
        async with open_async_client() as client:
            return (await client.get("http://elsewhere.invalid/x")).status_code

    with open_client() as client:
        assert client.get("http://elsewhere.invalid/x").status_code == 404
    assert asyncio.run(get()) == 404
    assert len(proxy.calls) == 2
    for exempt in ("elsewhere.invalid", "*"):
        monkeypatch.setenv("no_proxy", exempt)
        with open_client() as client, pytest.raises(httpx.ConnectError):
            client.get("http://elsewhere.invalid/x")
    assert len(proxy.calls) == 2


@pytest.mark.parametrize("text", ["http://proxy.example:port", "gopher://proxy.example"])
def test_a_proxy_that_is_none_is_told(proxy: HostileSource, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("http_proxy", text)
    with pytest.raises(UsageError, match="HTTP_PROXY"):
        open_client()


def test_a_no_proxy_that_cannot_be_right_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "[::1")
    with pytest.raises(UsageError, match="NO_PROXY"):
        Client("https://source.example", TOKEN)
