"""A clock that was ahead for a moment, or a backup brought back, takes data away: nothing then answers 500."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from counterfoil.datasets.sweep import credible, sweep
from counterfoil.lifetimes_and_sizes import CLOCK_ERROR_MAX, LINK, OPERATION, RENDERINGS_KEPT, WALK
from counterfoil.model import Dataset, Scope
from counterfoil.wire import v1
from counterfoil.wire.tokens import Continuation, Position, encode_continuation
from tests.server.serving import BILLED, BILLING, INVOICE, NOW, PARTNER, Place, serving
from tests.server.v1_walks import LINE_ITEMS, USAGE, items, publish_v1

AHEAD = NOW + timedelta(days=3)
BESIDE = Dataset(BILLED.kind, PARTNER, Scope.billed("G2"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path) as place:
        place.publish(BILLED, [b'{"Total":1}\n'])
        place.publish(BESIDE, [b'{"Total":1}\n'])
        yield place


def swept_away(place: Place) -> tuple[str, str]:
    """Export, publish anew, and sweep with a clock that is days ahead; return what the export and its blob are at."""
    location = place.export().headers["location"]
    manifest = place.get(location).json()["resourceLocation"]
    blob = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
    place.export("G2")
    place.publish(BILLED, [b'{"Total":2}\n'])
    assert sweep(place.store, AHEAD, trust_clock=True).files > 0
    return location, blob


def test_an_export_whose_data_were_swept_is_gone_and_the_collections_go_on_without_it(place: Place) -> None:
    location, blob = swept_away(place)
    gone = place.get(location)
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "Gone")
    assert "not kept any more" in gone.json()["error"]["message"]
    for collection in ("operations", "manifests"):
        listed = place.get(f"{BILLING}/{collection}?$count=true&$top=1").json()
        assert (len(listed["value"]), listed["@odata.count"], "@odata.nextLink" in listed) == (1, 1, False)
        assert place.get(f"{BILLING}/{collection}/$count").text == "1"
        assert location.rpartition("/")[2] != listed["value"][0]["id"]
    assert place.client.get(blob).status_code == 404
    anew = place.get(place.export().headers["location"])
    assert anew.json()["status"] == "succeeded"


def test_the_manifest_of_such_an_export_is_gone_too(place: Place) -> None:
    operation = place.get(place.export().headers["location"]).json()
    place.publish(BILLED, [b'{"Total":2}\n'])
    sweep(place.store, AHEAD, trust_clock=True)
    assert place.get(f"{BILLING}/manifests/{operation['resourceLocation']['id']}").status_code == 410


def test_what_is_damaged_is_still_told_as_such(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    location = place.export().headers["location"]
    with place.catalog.log.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM files WHERE rendering = 'graph-full'")
    assert place.get(location).status_code == 500
    assert "are not all there" in caplog.text


def test_a_walk_whose_data_were_swept_is_told_to_start_over(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        revision = publish_v1(place, [items(30)], block_items=4)
        # As a server gave it that was restarted since: this one has none of the files open.
        query = v1.read_query(v1.read_path(LINE_ITEMS), USAGE.encode()).digest
        end = int((NOW + timedelta(hours=24)).timestamp())
        token = encode_continuation(place.keyring, Continuation(PARTNER, query, revision.id, Position(0, 1, 0), end))
        publish_v1(place, [items(30, name="new")], block_items=4)
        sweep(place.store, AHEAD, trust_clock=True)
        onwards = place.get(f"{LINE_ITEMS}?{USAGE}&seekOperation=Next", **{"MS-ContinuationToken": token})
        assert (onwards.status_code, onwards.json()["code"]) == (400, "3000")
        assert "no longer kept" in onwards.json()["description"]
        assert place.get(f"{LINE_ITEMS}?{USAGE}").status_code == 200


def test_a_clock_that_is_ahead_for_one_sweep_takes_nothing_that_is_in_use(place: Place) -> None:
    location = place.export().headers["location"]
    manifest = place.get(location).json()["resourceLocation"]
    place.publish(BILLED, [b'{"Total":2}\n'])
    for ahead in (timedelta(days=3), timedelta(days=400)):
        assert sweep(place.store, NOW + ahead).files == 0
        assert sweep(place.store, NOW + ahead, keep_billed=timedelta(days=1)).revisions == 0
    blob = f"{manifest['rootDirectory']}/{manifest['blobs'][0]['name']}?{manifest['sasToken']}"
    assert place.client.get(blob).status_code == 200
    # Once something has happened at that time, the time is believed.
    place.publish(BESIDE, [b'{"Total":3}\n'], now=AHEAD)
    assert sweep(place.store, AHEAD).files > 0


def test_the_newest_thing_of_any_kind_says_what_time_is_credible(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        catalog, far = place.catalog, NOW + timedelta(days=9)

        def believed() -> timedelta:
            return credible(catalog, far) - CLOCK_ERROR_MAX - NOW

        def withdraw(now: datetime) -> None:
            revision = catalog.in_force(BILLED)
            assert revision is not None
            catalog.set_in_force(BILLED, None, revision.id, now)

        def export(now: datetime) -> None:
            place.wall = now
            place.export(INVOICE)

        happenings: list[Callable[[datetime], object]] = [
            lambda now: catalog.add_client(PARTNER, "a", now),
            lambda now: place.publish(BILLED, [b"{}\n"], now=now),
            lambda now: catalog.add_partner("33333333-2222-3333-4444-555555555555", now),
            lambda now: catalog.revoke_client(PARTNER, catalog.clients(PARTNER)[0].id, now),
            withdraw,
            export,
        ]
        assert believed() == timedelta(0)  # the partners were added then
        for hours, happen in enumerate(happenings, 1):
            happen(NOW + timedelta(hours=hours))
            assert believed() == timedelta(hours=hours)
        assert credible(catalog, NOW - timedelta(days=1)) == NOW - timedelta(days=1)


def test_the_error_that_is_believed_is_less_than_what_is_kept_in_reserve() -> None:
    assert OPERATION + LINK + CLOCK_ERROR_MAX <= RENDERINGS_KEPT
    assert WALK + CLOCK_ERROR_MAX <= RENDERINGS_KEPT
