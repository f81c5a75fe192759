"""In an event loop: the work is done in threads, whatever is awaited is awaited in the caller's loop, and ends soon."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from counterfoil.client import Api, AsyncClient, Format, Progress, Proof, ask_billed
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.client.pull_folder.target import lock_pulls
from counterfoil.errors import LockedError, SourceError
from counterfoil.model import Kind
from tests.client.folders import left_in
from tests.client.hostile_source import TOKEN, HostileSource
from tests.client.test_both_clients import PERIOD, walked
from tests.client.test_giving_up import Silent, silent

ASK = ask_billed(Kind.USAGE, "G016907411")

__all__ = ["silent", "walked"]  # fixtures


class InTheLoop(httpx.AsyncBaseTransport):
    """A transport of the user's, which works in one loop only, and notes how its streams end."""

    def __init__(self) -> None:
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.closed: list[str] = []
        self.is_closed = False
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.loops.add(asyncio.get_running_loop())
        answer = await self._network.handle_async_request(request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Noted(self, request, answer.stream))

    async def aclose(self) -> None:
        self.is_closed = True
        await self._network.aclose()


class _Noted(httpx.AsyncByteStream):
    def __init__(self, of: InTheLoop, request: httpx.Request, stream: httpx.AsyncByteStream) -> None:
        self._of, self._request, self._stream = of, request, stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._of.loops.add(asyncio.get_running_loop())
        async for piece in self._stream:
            yield b""  # a piece of nothing is not the end
            yield piece

    async def aclose(self) -> None:
        self._of.closed.append(self._request.url.path)
        await self._stream.aclose()


def _until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not happened() and time.monotonic() < until:
        time.sleep(0.01)
    assert happened()


async def _cancelled(task: asyncio.Task[Any]) -> float:
    """Cancel a task and return how long it took to end."""
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - began


def test_an_asynchronous_transport_works_in_the_callers_loop_and_every_answer_is_closed(
    source: HostileSource, tmp_path: Path
) -> None:
    transport = InTheLoop()

    async def pull() -> None:
        async with AsyncClient(source.url, TOKEN, transport=transport) as client:
            receipt = await client.pull(ASK, tmp_path, format=Format.PARQUET)
            assert receipt.proof is Proof.PROVEN
            assert transport.loops == {asyncio.get_running_loop()}
            assert len(transport.closed) == len(source.calls)

    asyncio.run(pull())
    assert transport.is_closed


def test_the_work_is_done_beside_the_loop(source: HostileSource, tmp_path: Path) -> None:
    threads: set[int] = set()

    class Noting:
        def remark(self, message: str) -> None:
            threads.add(threading.get_ident())

        def advance(self, line_items: int) -> None:
            threads.add(threading.get_ident())

        def progress(self, progress: Progress) -> None:
            threads.add(threading.get_ident())

    async def pull() -> None:
        async with AsyncClient(source.url, TOKEN) as client:
            await client.pull(ASK, tmp_path, format=Format.PARQUET, watcher=Noting())

    asyncio.run(pull())
    assert threads
    assert threading.get_ident() not in threads


def test_a_wait_is_told_in_the_loop_and_may_end_the_export(source: HostileSource) -> None:
    source.statuses, source.retry_after = ["running"], "60"

    def refuse(_: float) -> None:
        asyncio.get_running_loop()
        raise ValueError("no time for this")

    async def export() -> None:
        async with AsyncClient(source.url, TOKEN) as client:
            await client.export(ASK, on_wait=refuse)

    with pytest.raises(ValueError, match="no time"):
        asyncio.run(export())


@pytest.mark.parametrize("own_transport", [True, False])
def test_a_pull_that_waits_for_bytes_is_cancelled_at_once_and_no_other(
    silent: Silent, source: HostileSource, tmp_path: Path, own_transport: bool
) -> None:
    async def cancel() -> None:
        other_source = asyncio.create_task(_export(source))
        async with AsyncClient(silent.url, TOKEN, transport=InTheLoop() if own_transport else None) as client:
            first = asyncio.create_task(client.pull(ASK, tmp_path / "to"))
            second = asyncio.create_task(client.pull(ASK, tmp_path / "other"))
            await asyncio.to_thread(_until, lambda: len(silent.let_in) == 2)
            assert await _cancelled(first) < 5
            assert not (tmp_path / "to").exists()
            await asyncio.sleep(0.05)
            assert not second.done()
            assert await _cancelled(second) < 5
        await other_source

    asyncio.run(cancel())


def _is_free(folder: Path) -> bool:
    try:
        lock_pulls(folder / STAGING / "lock", str(folder)).release()
    except LockedError:
        return False
    return True


async def _export(source: HostileSource) -> None:
    async with AsyncClient(source.url, TOKEN) as client:
        await client.export(ASK)


def test_a_pull_that_waits_for_a_blocking_credential_is_cancelled_at_once(
    source: HostileSource, tmp_path: Path
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        let_go.wait(30)
        return TOKEN

    async def cancel() -> float:
        async with AsyncClient(source.url, slow) as client:
            task = asyncio.create_task(client.pull(ASK, tmp_path / "to"))
            await asyncio.to_thread(asked.wait, 10)
            took_s = await _cancelled(task)
            let_go.set()
            return took_s

    assert asyncio.run(cancel()) < 5
    assert not (tmp_path / "to").exists()


def test_what_fails_in_the_loop_ends_the_pull_and_not_the_task(source: HostileSource, tmp_path: Path) -> None:
    async def cancelled() -> str:
        raise asyncio.CancelledError

    async def broken() -> str:
        raise TimeoutError("no answer in time")

    async def pull(credential: Callable[[], Any]) -> None:
        async with AsyncClient(source.url, credential) as client:
            await client.pull(ASK, tmp_path / "to")

    with pytest.raises(SourceError, match="no answer in time"):
        asyncio.run(pull(broken))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(pull(cancelled))


@pytest.mark.parametrize("api", list(Api))
def test_a_stream_fetches_no_further_than_it_is_read(source: HostileSource, walked: HostileSource, api: Api) -> None:
    what = "blob" if api is Api.GRAPH else "page"

    async def read() -> int:
        async with AsyncClient(source.url, TOKEN, page_size_items=2) as client:
            stream = client.batches(PERIOD, api=api)
            await anext(stream)
            await asyncio.sleep(0.2)
            had = len(source.calls_of(what))
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
            return had

    assert asyncio.run(read()) == 1


@pytest.mark.parametrize("kept", [True, False])
def test_a_stream_that_is_forgotten_leaves_no_folder_and_no_thread(
    source: HostileSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    streams: list[Any] = []

    async def begin() -> None:
        async with AsyncClient(source.url, TOKEN) as client:
            streams.append(client.line_items(ASK))
            await anext(streams[0])
            assert left_in(tmp_path)
            if not kept:
                streams.clear()
                gc.collect()
                await asyncio.to_thread(_until, lambda: left_in(tmp_path) == [])

    before = set(threading.enumerate())
    asyncio.run(begin())
    assert left_in(tmp_path) == []
    _until(lambda: set(threading.enumerate()) <= before)


def test_a_pull_whose_loop_no_longer_runs_gives_up_and_can_be_gone_on_with(
    source: HostileSource, tmp_path: Path
) -> None:
    source.statuses, source.retry_after = ["running"], "60"
    loop = asyncio.new_event_loop()
    client = AsyncClient(source.url, TOKEN)
    task = loop.create_task(client.pull(ASK, tmp_path))
    try:
        while not (tmp_path / STAGING / "pull.json").exists():
            loop.run_until_complete(asyncio.sleep(0.01))
        source.statuses = ["succeeded"]
        # Nobody runs the loop any more, as after Ctrl-C; the thread must not keep the process from ending.
        _until(lambda: _is_free(tmp_path))
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        assert loop.run_until_complete(client.pull(ASK, tmp_path)).proof is Proof.PROVEN
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()
