"""What is given up ends soon, waits for what still writes, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from counterfoil.client import AsyncClient, Client, ask_billed
from counterfoil.client.network.http_calls import BlobRequest
from counterfoil.client.network.http_client import open_client
from counterfoil.client.network.session import Limits, OpenSockets, Session
from counterfoil.client.output_files.pull_files import batches_of
from counterfoil.client.protocol.messages import Fetched, Request
from counterfoil.line_items.line_reader import LineReader
from counterfoil.model import Kind
from tests.client.hostile_source import TOKEN, Canned, HostileSource

ASK = ask_billed(Kind.USAGE, "G016907411")


class Silent:
    """A host that lets everybody in and says nothing."""

    def __init__(self) -> None:
        self.let_in: list[socket.socket] = []
        self.somebody_came = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._is_over:
                connection.close()
                return
            self.let_in.append(connection)
            self.somebody_came.set()

    _is_over = False

    def close(self) -> None:
        self._is_over = True
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        for each in [*self.let_in, self._listening]:
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    host = Silent()
    yield host
    host.close()


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_pull_that_fails_waits_for_no_download_and_begins_none(
    silent: Silent, source: HostileSource, tmp_path: Path, parallel: int
) -> None:
    def fetched(url: str, name: str) -> None:
        got = session.fetch(BlobRequest(Request("GET", f"{url}/blobs/{name}"), tmp_path / name))
        assert isinstance(got, Fetched)

    def failing() -> None:
        silent.somebody_came.wait(10)
        raise RuntimeError("no more")

    with open_client() as http:
        session = Session(http, http, limits=Limits(parallel))
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="no more"):
            session.side_by_side([failing, *(partial(fetched, silent.url, str(each)) for each in range(parallel + 2))])
        assert time.monotonic() - began < 10
        assert len(silent.let_in) <= parallel
        # What was cut belonged to that pull: the next one over the same connections is not touched.
        source.canned["blob"].append(Canned(200, {}, b"whole"))
        session.side_by_side([partial(fetched, source.url, "next")])
    assert (tmp_path / "next").read_bytes() == b"whole"


@pytest.mark.parametrize("stopped", [True, False])
def test_a_connection_that_was_being_made_when_its_pull_was_given_up_is_ended(stopped: bool) -> None:
    sockets, stop = OpenSockets(), threading.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if stopped:
            stop.set()
            sockets.cut()
        made = SimpleNamespace(get_extra_info=lambda _: ours)
        sockets.traced(None, stop.is_set, "connection.connect_tcp.complete", {"return_value": made})
        theirs.settimeout(0)
        if stopped:
            assert theirs.recv(1) == b""
        else:
            with pytest.raises(BlockingIOError):
                theirs.recv(1)


async def _taken_one(client: AsyncClient) -> None:
    stream = client.line_items(ASK)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator


async def _cancelled_as_it_reads(client: AsyncClient, reading: threading.Event) -> None:
    task = asyncio.ensure_future(anext(client.batches(ASK)))
    await asyncio.to_thread(reading.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_stream_that_is_left_closes_its_file_before_the_folder_goes(
    source: HostileSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    reading, was_there = threading.Event(), []

    def watched(part: Path, name: str, reader: LineReader) -> Iterator[pa.RecordBatch]:
        reading.set()
        time.sleep(0.2 if cancelled else 0)
        try:
            yield from batches_of(part, name, reader)
        finally:
            was_there.append(part.exists())

    def left() -> list[Path]:
        return list(tmp_path.iterdir())

    async def leave() -> list[Path]:
        async with AsyncClient(source.url, TOKEN) as client:
            await (_cancelled_as_it_reads(client, reading) if cancelled else _taken_one(client))
            return left()

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("counterfoil.client.transfer.line_item_streams.batches_of", watched)
    assert asyncio.run(leave()) == []
    assert was_there == [True]


@pytest.mark.parametrize("heavy", [True, False])
def test_a_task_that_is_cancelled_twice_still_waits_for_what_writes(heavy: bool) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.3)
        ended.set()
        raise OSError("nobody is left to hear of this")

    async def cancel() -> bool:
        async with AsyncClient("http://127.0.0.1:1", TOKEN) as client:
            session = client._session()
            task = asyncio.create_task(session.run(partial(session.work, work) if heavy else work))
            await asyncio.to_thread(begun.wait, 10)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0.05)
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended.is_set()

    assert asyncio.run(cancel())


def test_a_client_that_is_closed_leaves_no_threads(source: HostileSource, tmp_path: Path) -> None:
    async def pull() -> None:
        async with AsyncClient(source.url, TOKEN) as client:
            await client.pull(ASK, tmp_path / "async")
            kept.append(client)

    kept: list[object] = []  # what is held must not keep threads either
    before = set(threading.enumerate())
    with Client(source.url, TOKEN) as client:
        client.pull(ASK, tmp_path / "sync")
    asyncio.run(pull())
    until = time.monotonic() + 10
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == set()


def test_threads_whose_links_expired_ask_for_new_ones_once(source: HostileSource, tmp_path: Path) -> None:
    async def pull() -> None:
        async with AsyncClient(source.url, TOKEN) as client:
            await client.pull(ASK, tmp_path / "async")

    with Client(source.url, TOKEN) as client:
        for asked, use in ((2, lambda: client.pull(ASK, tmp_path / "sync")), (4, lambda: asyncio.run(pull()))):
            source.expired, source.sas = {source.blob(0)[0], source.blob(1)[0]}, 1
            use()
            assert len(source.calls_of("operation")) == asked
