"""Activity at a server: written within a second, summed under attack, never waited for, never secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from counterfoil.errors import FullDiskError
from counterfoil.server import activity_recorder
from counterfoil.server.activity_recorder import ActivityRecorder
from counterfoil.storage.activity import Action, RecordedActivity
from counterfoil.storage.catalog import Catalog
from tests.server.authority_house import OWN, PARTNER, House
from tests.server.linked_blob import Link
from tests.storage.memory import memory_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    with memory_store(tmp_path_factory.mktemp("activity"))() as store:
        yield store.catalog


@pytest.fixture
def recorder(catalog: Catalog) -> Iterator[ActivityRecorder]:
    made = ActivityRecorder(catalog, lambda: NOW, every_s=0.01)
    made.start()
    yield made
    made.stop()


def written(catalog: Catalog, rows: int) -> list[RecordedActivity]:
    """Wait until so many rows are there."""
    deadline = time.monotonic() + 10
    while len(found := catalog.activity(10_000)) < rows and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_what_is_alike_is_one_row_and_what_is_noted_is_written_soon(
    catalog: Catalog, recorder: ActivityRecorder
) -> None:
    for _ in range(3):
        recorder.note(Action.EXPORT, partner="p", actor="a", subject="one", details={"kind": "usage"})
    recorder.note(Action.EXPORT, partner="p", actor="a", subject="two")
    for which in ("x", "x", "y", "x"):
        recorder.note_once(Action.DOWNLOAD, which, partner="p", actor="a", subject=which)
    found = written(catalog, 4)
    assert sum(each.count for each in found) == 6
    assert {each.subject for each in found} == {"one", "two", "x", "y"}
    assert catalog.faults() == []


def test_stopping_writes_what_is_left(catalog: Catalog) -> None:
    recorder = ActivityRecorder(catalog, lambda: NOW, every_s=3_600)
    recorder.start()
    recorder.note(Action.WALK, partner="p")
    recorder.stop()
    assert [each.action for each in catalog.activity(9)] == [Action.WALK]


def test_a_flood_is_summed_in_rows_and_memory_and_hides_nobody_else(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_recorder, "WAITING_MAX", 200)
    recorder = ActivityRecorder(catalog, lambda: NOW)
    for flood in range(3):
        for number in range(5_000):
            recorder.note(Action.SIGN_IN_FAILED, partner=f"p{number}", actor=f"c{flood}", details={"peer": "x"})
        recorder.note(Action.SIGN_IN_FAILED, partner="p1", actor=f"c{flood}")
        recorder.note(Action.PUBLISH, partner="p", actor="good", subject=str(flood))
        assert len(recorder._waiting) <= 202
        recorder._write()
    found = catalog.activity(10_000)
    failed = [each for each in found if each.action is Action.SIGN_IN_FAILED]
    assert sum(each.count for each in failed) == 15_003
    assert len(failed) <= 60 + 3 + 3
    assert sum(each.action is Action.PUBLISH for each in found) == 3
    assert max(each.details.get("callers", 0) for each in failed) > 100


def test_a_catalog_that_cannot_be_written_loses_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FullDiskError("no room")

    recorder = ActivityRecorder(catalog, lambda: NOW)
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "record_activity", full)
        for number in range(5):
            recorder.note(Action.EXPORT, partner="p", actor="a", subject=f"s{number % 2}", details={"kind": "usage"})
            recorder._write()
    recorder._write()
    found = {each.subject: (each.count, each.details) for each in catalog.activity(9)}
    assert found == {"s0": (3, {"kind": "usage"}), "s1": (2, {"kind": "usage"})}


def test_who_signed_in_and_who_failed_to(real: House) -> None:
    client_id, secret = real.client_of()
    form = {"scope": f"{OWN}/.default"}
    real.post(client_id=client_id, client_secret=secret, **form)
    for _ in range(12):
        real.post(client_id=client_id, client_secret="guess", **form)
    real.post(client_id="not an id", client_secret=secret, **form)
    real.http.get("/v1.0/reports/partners/billing")
    recorder = real.activity
    recorder._write()
    found = [each for each in real.catalog.activity(99) if each.action not in (Action.PARTNER_ADD, Action.CLIENT_ADD)]
    assert [(str(each.action), each.partner, each.actor, each.count) for each in found] == [
        ("sign-in", PARTNER, client_id, 1),
        ("sign-in-failed", PARTNER, client_id, 12),
        ("sign-in-failed", PARTNER, "-", 1),
        ("refused", "", "-", 1),
    ]
    assert "guess" not in str(found)
    assert secret not in str(found)


def test_a_blob_is_one_download_however_many_ranges_it_takes(link: Link) -> None:
    place, url = link.place, f"{link.root}/{link.name}?{link.token}"
    for each in ("bytes=0-9", "bytes=10-19", "bytes=20-"):
        assert place.client.get(url, headers={"Range": each}).status_code == 206
    place.client.head(url)
    place.export()
    found = written(place.catalog, 4)
    downloads = [each for each in found if each.action is Action.DOWNLOAD]
    assert [each.subject for each in downloads] == ["/".join(link.root.split("/")[-2:]) + f"/{link.name}"]
    assert link.token.partition("sig=")[2][:8] not in str(found)
