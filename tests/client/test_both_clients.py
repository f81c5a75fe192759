"""The two clients give the same, to files and as streams: one set of decisions, two ways to wait."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import counterfoil
from counterfoil.client import Api, AsyncClient, Client, Format, Progress, Proof, ask_billed, ask_unbilled
from counterfoil.client.protocol.retries import Patience
from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.errors import NoAnswerError, ProofError, RefusedError
from counterfoil.line_items.lake import lake_schema
from counterfoil.model import Kind
from tests.client.hostile_source import TOKEN, Call, Canned, HostileSource, usage_line, written

ASK = ask_billed(Kind.USAGE, "G016907411")
PERIOD = ask_unbilled(Kind.USAGE, "current", "EUR", now=datetime(2026, 11, 21, tzinfo=UTC))


async def _no_time(_: float) -> None: ...


def run(source: HostileSource, use: Callable[[AsyncClient], Awaitable[Any]], **more: Any) -> Any:
    """Use an asynchronous client whose waits take no time."""

    async def used() -> Any:
        waits = Patience(attempts_max=4, async_sleep=_no_time, draw=lambda: 0.5)
        async with AsyncClient(source.url, TOKEN, patience=waits, **more) as client:
            return await use(client)

    return asyncio.run(used())


async def listed(given: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in given]


@pytest.fixture
def walked(source: HostileSource) -> HostileSource:
    """Its lines are spelled as v1 does."""
    names = {"PartnerId": "partnerId", "CustomerId": "customerId", "UsageDate": "usageDate", "Quantity": "quantity"}
    names |= {"BillingPreTaxTotal": "billingPreTaxTotal", "BillingCurrency": "billingCurrency"}
    lines = source.lines
    for graph, v1 in names.items():
        lines = [line.replace(f'"{graph}"'.encode(), f'"{v1}"'.encode()) for line in lines]
    source.parts = [lines]
    return source


def test_both_are_offered_by_the_package() -> None:
    assert (counterfoil.Client, counterfoil.AsyncClient) == (Client, AsyncClient)
    public = {name for name in dir(Client) if not name.startswith("_")}
    assert {"aclose" if name == "close" else name for name in public} == {
        name for name in dir(AsyncClient) if not name.startswith("_")
    }


@pytest.mark.parametrize("form", [Format.BLOBS, Format.PARQUET])
def test_both_write_the_same_files(source: HostileSource, client: Client, tmp_path: Path, form: Format) -> None:
    ours = client.pull(ASK, tmp_path / "sync", format=form)
    source.expired = {source.blob(0)[0], source.blob(1)[0]}
    source.sas = 1
    source.canned["blob"].append(Canned(503))
    source.canned["operation"].append(Canned(200, {}, json.dumps({"id": "1", "status": "running"}).encode()))
    theirs = run(source, lambda other: other.pull(ASK, tmp_path / "async", format=form))
    assert (theirs.proof, theirs.files, theirs.totals) == (Proof.PROVEN, ours.files, ours.totals)
    for file in ours.files:
        assert (tmp_path / "sync" / file.name).read_bytes() == (tmp_path / "async" / file.name).read_bytes()


def test_both_walk_alike(walked: HostileSource, client: Client, tmp_path: Path) -> None:
    ours = client.pull(PERIOD, tmp_path / "sync", api=Api.V1)
    theirs = run(walked, lambda other: other.pull(PERIOD, tmp_path / "async", api=Api.V1))
    assert (ours.files, ours.line_items) == (theirs.files, 5)


def test_one_goes_on_where_the_other_was_interrupted(source: HostileSource, client: Client, tmp_path: Path) -> None:
    source.bodies[source.blob(1)[0]] = b"spoilt"
    with pytest.raises(ProofError):
        run(source, lambda other: other.pull(ASK, tmp_path), parallel=1)
    source.bodies.clear()
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert [call.path.rpartition("/")[2] for call in source.calls_of("blob")].count(source.blob(0)[0]) == 1


def test_a_task_that_is_cancelled_leaves_what_can_be_gone_on_with(
    source: HostileSource, client: Client, tmp_path: Path
) -> None:
    source.statuses, source.retry_after = ["running"], "60"

    async def cancelled() -> None:
        async with AsyncClient(source.url, TOKEN) as other:
            task = asyncio.create_task(other.pull(ASK, tmp_path))
            while not source.calls_of("operation"):  # noqa: ASYNC110 - the source is in another thread
                await asyncio.sleep(0.01)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert (tmp_path / STAGING / "pull.json").exists()
    source.statuses = ["succeeded"]
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    assert len(source.calls_of("export")) == 1


def test_a_task_that_is_cancelled_amid_blobs_keeps_those_that_are_proven(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_cancelled = threading.Event()
    answer = source.answer

    def one_blob_for_now(call: Call) -> Canned:
        if len(source.calls_of("blob")) > 1:  # otherwise the pull may be over before the loop cancels the task
            assert is_cancelled.wait(60)
        return answer(call)

    class Cancelling:
        def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
            self._loop, self._task = loop, task

        def remark(self, message: str) -> None: ...

        def advance(self, line_items: int) -> None: ...

        def progress(self, progress: Progress) -> None:
            if progress.blobs_done == 1:
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        async with AsyncClient(source.url, TOKEN, parallel=1) as other:
            await other.pull(ASK, tmp_path, watcher=Cancelling(asyncio.get_running_loop(), task))

    monkeypatch.setattr(source, "answer", one_blob_for_now)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    is_cancelled.set()
    proven = {path.name.removesuffix(".json") for path in (tmp_path / STAGING).glob("*.gz.json")}
    had = len(source.calls_of("blob"))
    assert client.pull(ASK, tmp_path).proof is Proof.PROVEN
    again = {call.path.rpartition("/")[2] for call in source.calls_of("blob")[had:]}
    assert proven
    assert not proven & again
    assert len(source.calls_of("export")) == 1


def test_line_items_come_as_exact_texts_by_graphs_names(source: HostileSource, client: Client) -> None:
    items = list(client.line_items(ASK))
    assert [item["CustomerId"] for item in items] == [f"customer-{n}" for n in range(5)]
    assert items[0]["BillingPreTaxTotal"] == "0.1999968000511991808131"
    assert items[0]["Quantity"] == "24.0"
    assert items[0]["MeterId"] is None
    assert run(source, lambda other: listed(other.line_items(ASK))) == items


def test_batches_have_the_lakes_columns(source: HostileSource, client: Client) -> None:
    batches = list(client.batches(ASK))
    table = pa.Table.from_batches(batches)
    assert table.schema.equals(lake_schema(Kind.USAGE, digests=False))
    assert table["Quantity"].to_pylist() == [Decimal(24)] * 5
    assert run(source, lambda other: listed(other.batches(ASK))) == batches


def test_a_walk_streams_the_same(walked: HostileSource, client: Client) -> None:
    items = list(client.line_items(PERIOD, api=Api.V1))
    assert [item["CustomerId"] for item in items] == [f"customer-{n}" for n in range(5)]
    assert run(walked, lambda other: listed(other.line_items(PERIOD, api=Api.V1))) == items


@pytest.mark.parametrize("api", list(Api))
def test_a_stream_that_is_wrong_does_not_end_but_raises(
    source: HostileSource, walked: HostileSource, client: Client, api: Api
) -> None:
    if api is Api.GRAPH:
        source.parts = [[written(usage_line(n)) for n in range(5)]]
        source.manifest_changes = {"@counterfoil.totals": {"currency": "EUR", "BillingPreTaxTotal": "1"}}
    else:
        walked.page_changes[0] = {"links": {}, "continuationToken": "token-2"}
    had: list[Any] = []
    with pytest.raises(ProofError):
        had.extend(client.line_items(PERIOD, api=api))
    assert had, "the error is at the end"


def test_nothing_of_a_blob_is_streamed_before_it_is_proven(source: HostileSource, client: Client) -> None:
    source.bodies[source.blob(0)[0]] = source.blob(1)[1]
    stream = client.line_items(ASK)
    with pytest.raises(ProofError, match="arrived"):
        next(stream)


def test_an_abandoned_stream_leaves_no_file(
    source: HostileSource, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = client.line_items(ASK)
    next(stream)
    assert list(tmp_path.iterdir())
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("canned", "error"), [(Canned(403), RefusedError), (Canned(503), RefusedError)])
def test_the_asynchronous_client_raises_the_same_errors(
    source: HostileSource, tmp_path: Path, canned: Canned, error: type[Exception]
) -> None:
    source.canned["export"] += [canned] * 9
    with pytest.raises(error, match="request-id"):
        run(source, lambda other: other.pull(ASK, tmp_path / "to"))
    assert list(tmp_path.iterdir()) == []


def test_no_answer_is_the_same_error(tmp_path: Path) -> None:
    nowhere = HostileSource()
    nowhere.url = "http://127.0.0.1:1"
    with pytest.raises(NoAnswerError, match="Trying again is safe"):
        run(nowhere, lambda other: other.pull(ASK, tmp_path))


@pytest.mark.parametrize("turns", range(6))
def test_cancelling_at_once_leaves_the_folder_to_the_next_pull(
    source: HostileSource, tmp_path: Path, turns: int
) -> None:
    async def cancelled(client: AsyncClient) -> Any:
        task = asyncio.create_task(client.pull(ASK, tmp_path / "to"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.pull(ASK, tmp_path / "to")

    assert run(source, cancelled).proof is Proof.PROVEN


def test_a_stream_refuses_what_comes_twice_as_a_pull_does(
    source: HostileSource, walked: HostileSource, client: Client
) -> None:
    walked.annotated = False
    twice = walked.lines[:2]
    walked.parts = [[*twice, *twice, *walked.lines[2:]]]
    with pytest.raises(ProofError, match="Page 2 holds the line items of page 1 again"):
        list(client.line_items(PERIOD, api=Api.V1))
    source.parts = [source.lines[:3], source.lines[:3]]
    with pytest.raises(ProofError, match="hold the same 3 line items"):
        list(client.line_items(ASK))
