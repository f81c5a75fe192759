"""Bodies that come compressed: inflated as far as may be kept, and whole or not at all."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import httpx
import pytest

from counterfoil.client import AsyncClient, Client, Patience, ask_billed
from counterfoil.client.protocol import graph_answers
from counterfoil.client.protocol.messages import AnswerSize
from counterfoil.client.transfer.graph_exports import Export
from counterfoil.errors import CounterfoilError, NoAnswerError, ProofError, RefusedError
from counterfoil.model import Kind
from tests.client.hostile_source import TOKEN, Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")
ONCE = Patience(attempts_max=1)
Ask = Callable[[HostileSource], Export]


def _blocking(source: HostileSource) -> Export:
    with Client(source.url, TOKEN, patience=ONCE) as client:
        return client.export(ASK)


def _asynchronous(source: HostileSource) -> Export:
    async def ask() -> Export:
        async with AsyncClient(source.url, TOKEN, patience=ONCE) as client:
            return await client.export(ASK)

    return asyncio.run(ask())


@pytest.fixture(params=[_blocking, _asynchronous], ids=["blocking", "asynchronous"])
def export(request: pytest.FixtureRequest) -> Ask:
    """Ask for an export, once, with either client."""
    ask: Ask = request.param
    return ask


def _answering(source: HostileSource, body: bytes, coding: str = "gzip", status: int = 200) -> HostileSource:
    source.canned["operation"].append(Canned(status, {"Content-Encoding": coding}, body))
    return source


@pytest.mark.parametrize("coding", ["gzip", "X-GZIP", "identity, gzip"])
def test_an_answer_may_come_as_gzip_in_one_member_or_several(source: HostileSource, export: Ask, coding: str) -> None:
    body = json.dumps(source.operation()).encode()
    _answering(source, gzip.compress(body[:100]) + gzip.compress(body[100:]), coding)
    assert export(source).manifest.etag == source.etag
    assert {call.headers["accept-encoding"] for call in source.calls} == {"gzip"}


def test_what_a_few_bytes_would_become_is_not_made(
    source: HostileSource, export: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_answers, "MANIFEST", AnswerSize(1 << 20, 1_000))
    _answering(source, gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ProofError, match="more than 1,048,576 bytes"):
            export(source)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "deflate"])
def test_a_coding_that_was_not_asked_for_is_refused(source: HostileSource, export: Ask, coding: str) -> None:
    _answering(source, gzip.compress(gzip.compress(b"{}")), coding)
    with pytest.raises(ProofError, match=f"coding '{coding}'"):
        export(source)


def test_an_error_in_a_coding_that_was_not_asked_for_is_told_by_its_status(source: HostileSource, export: Ask) -> None:
    _answering(source, b"\x00\x01", "br", status=403)
    with pytest.raises(RefusedError, match="403"):
        export(source)


@pytest.mark.parametrize("spoil", [lambda body: body[:-9], lambda body: body[:20], lambda _: b"{}"])
def test_a_gzip_that_is_cut_or_none_is_no_answer(
    source: HostileSource, export: Ask, spoil: Callable[[bytes], bytes]
) -> None:
    _answering(source, spoil(gzip.compress(json.dumps(source.operation()).encode())))
    with pytest.raises(NoAnswerError, match="gzip"):
        export(source)


def test_a_gzip_that_is_cut_is_asked_for_again(source: HostileSource, client: Client) -> None:
    _answering(source, gzip.compress(json.dumps(source.operation()).encode())[:-9])
    assert client.export(ASK).manifest.etag == source.etag


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
def test_an_error_in_place_of_a_blob_is_not_inflated_without_end(
    source: HostileSource, client: Client, coding: str
) -> None:
    bomb = zlib.compress(bytes(32 << 20), wbits=31)
    source.canned["blob"].append(Canned(400, {"Content-Encoding": coding}, bomb))
    tracemalloc.start()
    try:
        with pytest.raises(CounterfoilError, match="400"):
            list(client.line_items(ASK))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_transport_of_a_test_may_give_its_answers_whole(source: HostileSource) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": f"https://source.example/{request.url.path}/operations/1"})
        body = gzip.compress(json.dumps(source.operation()).encode())
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=body)

    with Client("https://source.example", TOKEN, transport=httpx.MockTransport(answered)) as client:
        assert client.export(ASK).manifest.etag == source.etag
