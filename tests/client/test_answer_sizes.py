"""Answers that are small on the wire and enormous in memory: refused before anything is made of them."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import pytest

from counterfoil.client import Api, AsyncClient, Client, ClientCredentials, Patience, ask_unbilled
from counterfoil.client.network.answer_bodies import whole_body
from counterfoil.client.protocol.messages import MANIFEST, PAGE, SHORT, AnswerSize, Request
from counterfoil.errors import CounterfoilError, ProofError
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import TOKEN, Canned, HostileSource, usage_line, written

ASK = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))
ONCE = Patience(attempts_max=1)
MEMORY_MAX: Final = 400 << 20  # with what is measured in it, a process stays under 600 MB

BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "zeros": lambda: bytes(300 << 20),
    "empty arrays": lambda: b'{"a":[' + b"[]," * (5 << 20) + b"0]}",
    "empty objects": lambda: b'{"items":[' + b"{}," * (5 << 20) + b"{}]}",
    "small numbers": lambda: b'{"items":[' + b"0," * (7 << 20) + b"0]}",
    "short texts": lambda: b'{"blobs":[' + b'"",' * (5 << 20) + b'""]}',
    "a name each": lambda: b"{" + b",".join(b'"%x":0' % n for n in range(1_500_000)) + b"}",
    "as deep as can be": lambda: b'{"items":' + b"[" * (7 << 20),
    "not so deep": lambda: b'{"items":' + b"[" * 150_000 + b"]" * 150_000 + b"}",
    "one text": lambda: b'{"status":"' + b"x" * (15 << 20) + b'"}',
    "one text of wide characters": lambda: b'{"status":"' + "\U0001f600x".encode() * (2 << 20) + b'"}',
    "one number": lambda: b'{"id":' + b"1" * (15 << 20) + b"}",
    "blank": lambda: b" " * (15 << 20),
}


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()


def _canned(bomb: str, coding: str = "gzip") -> Canned:
    body = BOMBS[bomb]()
    if coding == "gzip":
        body = gzip.compress(body, 1)
        assert len(body) < 5 << 20
    return Canned(200, {"Content-Encoding": coding}, body)


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("what", ["export", "operation", "manifest", "page"])
def test_an_answer_that_would_be_enormous_is_refused(
    source: HostileSource, tmp_path: Path, what: str, bomb: str
) -> None:
    source.manifest_form = "text"
    source.canned[what].append(_canned(bomb))
    api = Api.V1 if what == "page" else Api.GRAPH
    with Client(source.url, TOKEN, patience=ONCE) as client, little_memory(), pytest.raises(ProofError) as caught:
        client.pull(ASK, tmp_path, api=api)
    assert len(str(caught.value)) < 1_000
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("bomb", ["zeros", "empty objects", "as deep as can be"])
def test_the_asynchronous_client_refuses_it_too(source: HostileSource, tmp_path: Path, bomb: str) -> None:
    source.canned["operation"].append(_canned(bomb))

    async def pulled() -> None:
        async with AsyncClient(source.url, TOKEN, patience=ONCE) as client:
            await client.pull(ASK, tmp_path)

    with little_memory(), pytest.raises(ProofError):
        asyncio.run(pulled())


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_sign_in_that_would_be_enormous_is_refused(source: HostileSource, bomb: str) -> None:
    source.canned["other"].append(_canned(bomb))
    signing_in = ClientCredentials(source.url, tenant="t", client_id="c", client_secret="s", patience=ONCE)
    with little_memory(), pytest.raises(CounterfoilError):
        signing_in()


@pytest.mark.parametrize("coding", ["gzip", "identity"])
@pytest.mark.parametrize("size", [SHORT, MANIFEST, PAGE], ids=["short", "manifest", "page"])
@pytest.mark.parametrize(("over", "told"), [(0, ""), (1, "more than [0-9,]+ bytes")])
def test_the_bound_is_the_same_packed_and_unpacked(size: AnswerSize, coding: str, over: int, told: str) -> None:
    body = b" " * (size.bytes_max + over)
    packed = gzip.compress(body, 1) if coding == "gzip" else body
    request = Request("GET", "https://source.example/x", answer=size)

    def answered(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": coding}, stream=httpx.ByteStream(packed))

    with httpx.Client(transport=httpx.MockTransport(answered)) as http, http.stream("GET", request.url) as response:
        if told:
            with pytest.raises(ProofError, match=told):
                whole_body(request, response)
        else:
            assert whole_body(request, response) == body


def test_a_large_manifest_and_large_pages_are_taken(source: HostileSource, client: Client, tmp_path: Path) -> None:
    with little_memory():
        source.parts = [[written(usage_line(n))] for n in range(3)]
        source.manifest_changes = {"padding": ["x" * 100] * 20_000}
        assert client.pull(ASK, tmp_path / "graph").line_items == 3
        source.parts = [[written(usage_line(n, Note="x" * 60_000)) for n in range(150)]]
        source.page_items = 150
        assert client.pull(ASK, tmp_path / "v1", api=Api.V1).line_items == 150


def test_a_page_with_far_more_items_than_any_has_is_refused(source: HostileSource, tmp_path: Path) -> None:
    body = json.dumps({"items": [{}] * 20_001}).encode()
    source.canned["page"].append(Canned(200, {}, body))
    with Client(source.url, TOKEN, patience=ONCE) as client, pytest.raises(ProofError, match="it has 20,001 items"):
        client.pull(ASK, tmp_path, api=Api.V1)
