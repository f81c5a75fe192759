"""A pull ends, whatever a source does: answers and downloads that go on for ever are cut off, and walks are bounded."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from counterfoil.client import Api, AsyncClient, Client, ClientCredentials, Format, Proof, Receipt, ask_unbilled
from counterfoil.client.network import call_watch
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder import room, walk_journal
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.client.transfer import page_walk
from counterfoil.errors import FullDiskError, NoAnswerError, OperationTimeoutError, ProofError
from counterfoil.model import Kind
from tests.client.endless_host import ENDLESS, HEAD, NEXT_REQUEST, answering
from tests.client.folders import left_in
from tests.client.hostile_source import TOKEN, HostileSource, usage_line, written

ASK = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))
SEED: Final = 20261128
QUICK: Final = 0.3
SOON_S: Final = 10.0  # on a machine that is busy with other things


def patience(**more: Any) -> Patience:
    return Patience(attempts_max=2, first_wait_s=0.01, answer_s_max=QUICK, stall_s_max=QUICK, **more)


def _blocking(url: str, to: Path, waits: Patience, api: Api = Api.GRAPH) -> Receipt:
    with Client(url, TOKEN, patience=waits) as client:
        return client.pull(ASK, to, api=api)


def _asynchronous(url: str, to: Path, waits: Patience, api: Api = Api.GRAPH) -> Receipt:
    async def pulled() -> Receipt:
        async with AsyncClient(url, TOKEN, patience=waits) as client:
            return await client.pull(ASK, to, api=api)

    return asyncio.run(pulled())


Pull = Callable[..., Receipt]


@pytest.fixture(params=[_blocking, _asynchronous], ids=["blocking", "asynchronous"])
def pull(request: pytest.FixtureRequest) -> Pull:
    chosen: Pull = request.param
    return chosen


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + SOON_S
    while (left := [each for each in threading.enumerate() if each not in before]) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == []


@pytest.mark.parametrize("way", ENDLESS)
def test_an_answer_without_end_is_cut_off_and_asked_for_again(tmp_path: Path, pull: Pull, way: str) -> None:
    with answering(ENDLESS[way], SEED) as host:
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"it took longer than 0\.3 s.*after 2 attempts") as caught:
            pull(host.url, tmp_path, patience())
        assert 2 * QUICK <= time.monotonic() - began < SOON_S
        assert host.let_in == 2
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["nothing", "early hints", "a body byte by byte"])
def test_an_answer_without_end_on_a_connection_that_was_good_is_cut_off(tmp_path: Path, pull: Pull, way: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 202 Accepted\r\nLocation: /v1.0/operations/1\r\nContent-Length: 0\r\n\r\n"
        yield NEXT_REQUEST
        yield from ENDLESS[way]()

    with answering(pieces, SEED) as host:
        waits = replace(patience(), attempts_max=1)
        with pytest.raises(NoAnswerError, match=r"GET .*/operations/1 got no answer: it took longer than 0\.3 s"):
            pull(host.url, tmp_path, waits)
        assert host.let_in == 1


@pytest.mark.parametrize("way", ENDLESS)
def test_a_blob_without_end_is_cut_off_and_the_next_run_goes_on(
    source: HostileSource, tmp_path: Path, pull: Pull, way: str
) -> None:
    source.parts = source.parts[:1]
    with answering(ENDLESS[way], SEED) as host:
        source.manifest_changes = {"rootDirectory": f"{host.url}/root"}
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"fewer than 16,384 bytes came in 0\.3 s"):
            pull(source.url, tmp_path, patience())
        assert time.monotonic() - began < SOON_S
    source.manifest_changes = {}
    assert pull(source.url, tmp_path, patience()).proof is Proof.PROVEN


@pytest.mark.parametrize("way", ["early hints", "a body byte by byte", "trailers"])
def test_a_sign_in_without_end_is_cut_off(way: str) -> None:
    with answering(ENDLESS[way], SEED) as host:
        signing_in = ClientCredentials(host.url, tenant="t", client_id="c", client_secret="s", patience=patience())
        with pytest.raises(NoAnswerError, match="took longer"):
            signing_in()


def test_one_download_that_stalls_stops_no_other(source: HostileSource, tmp_path: Path, pull: Pull) -> None:
    source.parts = [[written(usage_line(n))] for n in range(6)]
    with answering(ENDLESS["a body byte by byte"], SEED) as host:
        name = source.blob(2)[0]
        original = source._blob_answer

        def blob_answer(call: Any) -> Any:
            answer = original(call)
            if name in call.path:
                return type(answer)(302, {"Location": f"{host.url}/x"})
            return answer

        source._blob_answer = blob_answer  # type: ignore[method-assign]
        with pytest.raises(NoAnswerError, match="fewer than"):
            pull(source.url, tmp_path, patience())
        staged = {path.name.removesuffix(".json") for path in (tmp_path / STAGING).glob("*.gz.json")}
        assert len(staged) == 5
        assert name not in staged


def test_a_slow_download_that_goes_on_is_not_cut_off(source: HostileSource, tmp_path: Path, pull: Pull) -> None:
    source.parts = [[written(usage_line(n, CustomerName=random.Random(n).randbytes(200).hex())) for n in range(500)]]
    name, body = source.blob(0)
    steps = 12
    size = len(body) // steps + 1
    assert size > 8 << 10

    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        for at in range(0, len(body), size):
            time.sleep(QUICK / 4)  # a third of the window at most: two pieces and more come in each
            yield body[at : at + size]

    with answering(pieces) as host:
        source.manifest_changes = {"rootDirectory": f"{host.url}/root"}
        receipt = pull(source.url, tmp_path, patience())
    assert (receipt.proof, [blob.name for blob in receipt.blobs]) == (Proof.PROVEN, [name])


def endless_pages(source: HostileSource, items: Callable[[int], list[bytes]]) -> None:
    """Let the source give pages for ever, with as many items as it is told."""
    page = source.page

    def answered(call: Any) -> Any:
        number = int(call.headers.get("ms-continuationtoken", "token-0").removeprefix("token-"))
        token = f"token-{number + 1}"
        link = {"uri": "/invoices/unbilled/lineitems?x=1", "headers": [{"key": "MS-ContinuationToken", "value": token}]}
        body = json.dumps({"links": {"next": link}})[:-1].encode() + b',"items":[' + b",".join(items(number)) + b"]}"
        return type(page(call))(200, page(call).headers, body)

    source.page = answered  # type: ignore[method-assign]


@pytest.mark.parametrize(("first", "empty_max"), [(0, page_walk.EMPTY_PAGES_MAX), (1, 10), (25, 10)])
def test_empty_pages_end(
    source: HostileSource, tmp_path: Path, pull: Pull, monkeypatch: pytest.MonkeyPatch, first: int, empty_max: int
) -> None:
    monkeypatch.setattr(page_walk, "EMPTY_PAGES_MAX", empty_max)
    source.annotated = False
    endless_pages(source, lambda number: [written(usage_line(number))] if number < first else [])
    with pytest.raises(ProofError, match=f"one empty page after another, {empty_max} so far"):
        pull(source.url, tmp_path, patience(), Api.V1)
    assert len(source.calls_of("page")) == first + empty_max
    assert left_in(tmp_path) == []


def test_fewer_empty_pages_are_no_end(
    source: HostileSource, tmp_path: Path, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_walk, "EMPTY_PAGES_MAX", 10)
    source.annotated = False
    endless_pages(source, lambda number: [written(usage_line(number))] if number % 10 == 9 else [])
    waits = patience(monotonic=itertools.count().__next__, pull_s_max=300)
    with pytest.raises(OperationTimeoutError):
        pull(source.url, tmp_path, waits, Api.V1)
    assert len(source.calls_of("page")) > 30


def test_more_line_items_than_were_promised_end_a_walk(source: HostileSource, tmp_path: Path, pull: Pull) -> None:
    endless_pages(source, lambda number: [written(usage_line(number))])
    with pytest.raises(ProofError, match="6 line items came, more are to come, and 5 were promised"):
        pull(source.url, tmp_path, patience(), Api.V1)
    assert len(source.calls_of("page")) == 6


def test_a_walk_without_end_ends_and_the_next_pull_goes_on(source: HostileSource, tmp_path: Path, pull: Pull) -> None:
    source.annotated = False
    endless_pages(source, lambda number: [written(usage_line(number))])
    waits = patience(monotonic=itertools.count().__next__, pull_s_max=200)
    with pytest.raises(OperationTimeoutError, match="did not end within 200 s") as caught:
        pull(source.url, tmp_path, waits, Api.V1)
    assert "goes on from there" in caught.value.remedy
    assert caught.value.exit_code == 4
    kept = len((tmp_path / STAGING / walk_journal.FILE_NAME).read_bytes().splitlines())
    assert 20 < kept <= len(source.calls_of("page")) < 200
    page = source.page

    def ending(call: Any) -> Any:
        answer = page(call)
        body = json.loads(answer.body)
        del body["links"]
        return type(answer)(200, answer.headers, json.dumps(body).encode())

    source.page = ending  # type: ignore[method-assign]
    assert pull(source.url, tmp_path, patience(), Api.V1).line_items == kept + 1


class SmallDisk:
    """Room for so many bytes below a folder."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder, self._size_bytes = folder, size_bytes

    @property
    def used(self) -> int:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def usage(self, _: object) -> Any:
        free = self._size_bytes - self.used
        return type("usage", (), {"total": self._size_bytes, "used": self.used, "free": max(0, free)})


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    disk = SmallDisk(tmp_path, 24 << 20)
    monkeypatch.setattr(room, "SPARE_BYTES", 4 << 20)
    monkeypatch.setattr("counterfoil.client.transfer.blob_downloads.SPARE_BYTES", 4 << 20)
    monkeypatch.setattr("shutil.disk_usage", disk.usage)
    return disk


def test_a_blob_that_unpacks_to_more_than_there_is_room_for_leaves_room_to_others(
    source: HostileSource, client: Client, tmp_path: Path, small_disk: SmallDisk
) -> None:
    source.annotated = False
    source.parts = [[written(usage_line(0, CustomerName="x" * 20_000))] * 1_500]
    assert len(source.blob(0)[1]) < 1 << 20
    with pytest.raises(FullDiskError, match="is left to others"):
        client.pull(ASK, tmp_path / "to", format=Format.CSV)
    assert small_disk.used < 24 << 20
    assert left_in(tmp_path / "to") == []


def test_a_blob_without_end_that_comes_quickly_leaves_room_to_others(
    source: HostileSource, tmp_path: Path, pull: Pull, small_disk: SmallDisk
) -> None:
    source.annotated = False
    source.parts = source.parts[:1]
    noise = os.urandom(1 << 20)

    def pieces() -> Iterator[bytes]:
        yield HEAD + b"Connection: close\r\n\r\n"
        yield from itertools.repeat(noise)

    with answering(pieces) as host:
        source.manifest_changes = {"rootDirectory": f"{host.url}/root"}
        with pytest.raises(FullDiskError, match="is left to others"):
            pull(source.url, tmp_path / "to", patience())
    assert small_disk.used < 24 << 20


def test_a_watch_cuts_off_a_connection_that_is_made_only_after_its_time() -> None:
    cuts: list[float] = []
    done = threading.Event()

    def cut() -> None:
        cuts.append(time.monotonic())
        if len(cuts) == 3:
            done.set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(call_watch, "_AGAIN_S", 0.01)
        watch = call_watch.CallWatch(0.01)
        watch.cut = cut
        with watch:
            assert done.wait(SOON_S)
    assert watch.is_over
