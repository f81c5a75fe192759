"""A partner who asks without end, or does not read, is slowed down in the words of each API; nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from counterfoil.errors import TooOftenError
from counterfoil.server.connection_bounds import ConnectionBounds
from counterfoil.server.partner_limits import PAGES_AT_ONCE, Allowance, PartnerLimits, Turns, busy
from counterfoil.settings import Settings
from counterfoil.storage import version_2 as tables
from tests.server.raw_callers import PATIENCE_S, connected, read_to_the_end
from tests.server.serving import BILLED, BILLING, OTHER, PARTNER, UNBILLED, Place, serving
from tests.server.v1_walks import LINE_ITEMS, USAGE, Item, publish_v1

LINES = b'{"Total":1}\n' * 3


# --- turns and allowances -----------------------------------------------------------------------------------------


def test_turns_are_given_in_the_order_of_asking_and_each_key_has_its_own() -> None:
    async def ask() -> list[int]:
        turns, order = Turns(2), list[int]()

        async def work(number: int) -> None:
            await turns.take("a")
            order.append(number)
            await asyncio.sleep(0)
            turns.give_back("a")

        await turns.take("a")
        await turns.take("a")
        working = [asyncio.create_task(work(number)) for number in range(5)]
        await asyncio.sleep(0)
        await turns.take("b")
        assert order == []
        turns.give_back("a")
        turns.give_back("a")
        await asyncio.gather(*working)
        turns.give_back("b")
        assert turns._taken == {}
        assert turns._lines == {}
        return order

    assert asyncio.run(ask()) == [0, 1, 2, 3, 4]


def test_who_waits_too_long_is_refused_and_holds_nobody_up() -> None:
    async def ask() -> None:
        turns = Turns(1, wait_s=0.02)
        await turns.take("a")
        with pytest.raises(TooOftenError):
            await turns.take("a")
        turns.give_back("a")
        await turns.take("a")
        leaving = asyncio.create_task(turns.take("a"))
        await asyncio.sleep(0)
        leaving.cancel()
        turns.give_back("a")  # to one who is just leaving
        await asyncio.gather(leaving, return_exceptions=True)
        await turns.take("a")
        last = asyncio.create_task(turns.take("a"))
        await asyncio.sleep(0)
        turns.give_back("a")
        last.cancel()  # having been given it, before it could notice
        await asyncio.gather(last, return_exceptions=True)
        if not last.cancelled():
            turns.give_back("a")
        assert turns._taken == {}

    asyncio.run(ask())


def test_an_allowance_fills_again_with_time() -> None:
    now = 0.0
    allowance = Allowance(30, 3, clock=lambda: now)
    for _ in range(3):
        allowance.spend("a")
    with pytest.raises(TooOftenError) as refused:
        allowance.spend("a")
    assert refused.value.retry_after_s == 2
    allowance.spend("b")
    now = 1.9
    with pytest.raises(TooOftenError) as refused:
        allowance.spend("a")
    assert refused.value.retry_after_s == 1
    now = 2.0  # whoever waits as told is let in
    allowance.spend("a")
    now = 1_000.0
    for _ in range(3):
        allowance.spend("a")
    with pytest.raises(TooOftenError):
        allowance.spend("a")


def test_in_development_nobody_is_refused_for_asking_often() -> None:
    settings = Settings(requests_a_minute=1, exports_a_minute=1)
    limits = PartnerLimits.from_settings(settings, development=True)
    for _ in range(5_000):
        limits.requests.spend("a")
        limits.exports.spend("a")
    limits = PartnerLimits.from_settings(settings, development=False)
    limits.requests.spend("a")
    with pytest.raises(TooOftenError):
        limits.requests.spend("a")
    none = PartnerLimits.from_settings(Settings(requests_a_minute=0), development=False)
    for _ in range(5_000):
        none.requests.spend("a")


# --- answers that a partner does not read -------------------------------------------------------------------------


class WideItem(Item):
    """A line item of four kilobytes: 2,000 of them are a page of 8 MB."""

    @property
    def text(self) -> bytes:
        return b'{"text":"%s"}' % (b"x" * 4_000)


@contextmanager
def unread(
    data: Path, what: str, callers: int, *, stalled_s: float
) -> Iterator[tuple[Place, str, list[Any], PartnerLimits]]:
    """A server, a long answer's path at it, and callers who asked for it and do not read."""
    limits = PartnerLimits(pages=Turns(PAGES_AT_ONCE, wait_s=0.3), blobs=Turns(PAGES_AT_ONCE, wait_s=0.3, refused=busy))
    bounds = ConnectionBounds(stalled_s=stalled_s)
    with serving(data, limits=limits, bounds=bounds) as place, ExitStack() as stack:
        if what == "page":
            for partner in (PARTNER, OTHER):
                dataset = replace(UNBILLED, partner=partner)
                publish_v1(place, [[WideItem(number) for number in range(2_000)]], dataset=dataset)
            path = f"{LINE_ITEMS}?{USAGE}"
        else:
            place.publish(BILLED, [b"x" * (24 << 20) + b"\n"], seal=lambda lines: lines)
            manifest = place.get(place.export().headers["location"]).json()["resourceLocation"]
            path = f"{manifest['rootDirectory'].removeprefix(place.url)}/{manifest['blobs'][0]['name']}"
            path += f"?{manifest['sasToken']}"
        waiting = []
        for _ in range(callers):
            caller = stack.enter_context(connected(place.url, receive_bytes=4_096))
            caller.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {PARTNER}\r\n\r\n".encode()
            )
            waiting.append(caller)
        yield place, path, waiting, limits


def begun(callers: list[Any]) -> int:
    """How many have got the beginning of a good answer, which stays unread."""
    count = 0
    for caller in callers:
        caller.settimeout(0)
        with suppress(BlockingIOError):
            count += caller.recv(15, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        caller.settimeout(PATIENCE_S)
    return count


def wait_until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("what", ["page", "blob"])
def test_unread_answers_cost_a_partner_its_own_turns_only(tmp_path: Path, what: str) -> None:
    with unread(tmp_path, what, PAGES_AT_ONCE + 4, stalled_s=60) as (place, path, callers, _):
        wait_until(lambda: begun(callers) == PAGES_AT_ONCE)
        refused = place.get(path)
        assert int(refused.headers["retry-after"]) > 0
        if what == "page":
            assert refused.status_code == 429
            assert refused.json() == {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."}
            assert len(place.get(path, OTHER).json()["items"]) == 2_000
        else:
            assert (refused.status_code, refused.headers["x-ms-error-code"]) == (503, "ServerBusy")
        assert place.get(f"{BILLING}/operations").status_code == 200


@pytest.mark.parametrize("what", ["page", "blob"])
def test_unread_answers_are_cut_off_and_their_turns_come_back(tmp_path: Path, what: str) -> None:
    with unread(tmp_path, what, PAGES_AT_ONCE, stalled_s=0.4) as (place, path, callers, limits):
        whole = 8 << 20 if what == "page" else 24 << 20
        wait_until(lambda: begun(callers) == PAGES_AT_ONCE)
        wait_until(lambda: not limits.pages._taken and not limits.blobs._taken)
        assert all(read_to_the_end(caller) < whole - 100_000 for caller in callers)
        assert place.get(path).status_code == 200


# --- too often ----------------------------------------------------------------------------------------------------


def test_graph_refuses_who_asks_too_often_as_microsoft_does(tmp_path: Path) -> None:
    with serving(tmp_path, limits=PartnerLimits(exports=Allowance(60, 2))) as place:
        assert [place.export(f"G{number}").status_code for number in range(2)] == [202, 202]
        refused = place.export("G3", attributeSet="basic")
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 2
        error = refused.json()["error"]
        inner = error.pop("innerError")
        assert error == {"code": "TooManyRequests", "message": "Please retry again later."}
        assert (inner["code"], inner["status"], inner["message"]) == ("429", "429", "Please retry after")
        assert inner["request-id"] == refused.headers["request-id"]
        assert place.get(f"{BILLING}/operations/$count").text == "2"  # nothing was done: SDKs ask again
        assert place.export("G1").status_code == 202  # it is there already
        assert place.export("G3", OTHER).status_code == 202


@pytest.mark.parametrize("path", [f"{BILLING}/operations", f"{LINE_ITEMS}?{USAGE}"])
def test_requests_of_any_sort_count_and_failed_ones_too(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, limits=PartnerLimits(requests=Allowance(60, 3))) as place:
        bad = f"{BILLING}/operations/00000000-0000-0000-0000-000000000000"
        assert place.get(bad).status_code == 404
        assert [place.get(path).status_code for _ in range(2)] == [200, 200]
        refused = place.get(path)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert ("statusCode" in refused.json()) is path.startswith(LINE_ITEMS)
        assert place.get(path, OTHER).status_code == 200
        assert place.get("/healthz").status_code == 200


# --- counting, and a lock that somebody holds ---------------------------------------------------------------------


def test_a_long_list_is_counted_whole(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        place.export("G1")
        with place.catalog.log.database.writing() as connection:
            row = dict(connection.execute(tables.operations.select()).one()._mapping)
            copies = [{**row, "id": f"copy-{n}", "manifest_id": f"m-{n}"} for n in range(12_187)]
            connection.execute(insert(tables.operations), copies)
        assert place.get(f"{BILLING}/operations/$count").text == "12188"
        listed = place.get(f"{BILLING}/operations?$count=true&$skip=12180").json()
        assert (listed["@odata.count"], len(listed["value"])) == (12_188, 8)


def test_while_the_catalog_is_locked_reads_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as place, ThreadPoolExecutor(24) as threads:
        place.publish(BILLED, [LINES])
        known = place.export().headers["location"]
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            try:
                held_up = [threads.submit(place.export, f"G{n}", (PARTNER, OTHER)[n % 2]) for n in range(20)]
                time.sleep(0.3)
                for partner in (PARTNER, OTHER):
                    began = time.monotonic()
                    assert place.get(f"{BILLING}/operations", partner).status_code == 200
                    assert time.monotonic() - began < 2
                assert place.get(known).status_code == 200
                assert place.export().headers["location"] == known  # which was made before
                assert not any(each.done() for each in held_up)
            finally:
                other.execute("ROLLBACK")
        assert {each.result().status_code for each in held_up} == {202}


def test_an_export_that_cannot_be_stored_in_time_is_refused(tmp_path: Path) -> None:
    limits = PartnerLimits(writes=Turns(1, wait_s=0.2), all_writes=Turns(1, wait_s=0.2, refused=busy))
    with serving(tmp_path, limits=limits) as place, ThreadPoolExecutor(4) as threads:
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            first = threads.submit(place.export, "G1")
            time.sleep(0.2)
            try:
                for partner, status in ((PARTNER, 429), (OTHER, 503)):
                    refused = place.export("G2", partner)
                    assert (refused.status_code, refused.headers["retry-after"]) == (status, "5")
            finally:
                other.execute("ROLLBACK")
        assert first.result().status_code == 202
        assert place.get(f"{BILLING}/operations/$count").text == "1"
