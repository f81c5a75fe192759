"""The same export over the same revision, asked for again within minutes, is the operation that is there already."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.server.serving import BILLED, BILLING, INVOICE, OTHER, Place, serving

LINES = b'{"Total":1}\n' * 3


def test_the_same_export_within_minutes_is_the_same_operation(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [LINES])
        first = place.export().headers["location"]
        place.travel(minutes=2)
        assert place.export(INVOICE.lower()).headers["location"] == first
        assert place.get(first).json()["status"] == "succeeded"
        place.travel(minutes=2)
        assert place.export().headers["location"] != first


def other_attributes(place: Place) -> httpx.Response:
    return place.export(attributeSet="basic")


def other_kind(place: Place) -> httpx.Response:
    return place.post(f"{BILLING}/usage/billed/export", {"invoiceId": INVOICE})


def other_partner(place: Place) -> httpx.Response:
    return place.export(partner=OTHER)


def other_revision(place: Place) -> httpx.Response:
    place.publish(BILLED, [LINES * 2])
    return place.export()


def withdrawn(place: Place) -> httpx.Response:
    revision = place.catalog.in_force(BILLED)
    assert revision is not None
    place.catalog.set_in_force(BILLED, None, revision.id, place.wall)
    return place.export()


def with_a_key(place: Place) -> httpx.Response:
    body = {"invoiceId": INVOICE}
    return place.post(f"{BILLING}/reconciliation/billed/export", body, **{"Idempotency-Key": "k"})


@pytest.mark.parametrize(
    "ask",
    [other_attributes, other_kind, other_partner, other_revision, with_a_key, withdrawn],
)
def test_anything_else_is_another_operation(tmp_path: Path, ask: Callable[[Place], httpx.Response]) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [LINES])
        first = place.export().headers["location"]
        answer = ask(place)
        assert answer.status_code == 202
        assert answer.headers["location"] != first


def test_the_month_that_is_meant_counts_and_not_its_name(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        path, body = f"{BILLING}/usage/unbilled/export", {"currencyCode": "USD", "billingPeriod": "current"}
        first = place.post(path, body).headers["location"]
        assert place.post(path, body).headers["location"] == first
        place.business += timedelta(days=31)
        assert place.post(path, body).headers["location"] != first


def test_where_exports_take_a_while_who_asks_anew_waits_anew(tmp_path: Path) -> None:
    with serving(tmp_path, operation_delay_s=30) as place:
        first = place.export().headers["location"]
        assert place.export().headers["location"] == first
        place.travel(seconds=31)
        second = place.export().headers["location"]
        assert second != first
        assert place.get(second).json()["status"] == "running"


def test_the_same_export_asked_for_at_once_is_one_operation(tmp_path: Path) -> None:
    with serving(tmp_path) as place, ThreadPoolExecutor(16) as threads:
        made = set(threads.map(lambda _: place.export().headers["location"], range(48)))
        assert len(made) == 1
        assert place.get(f"{BILLING}/operations/$count").text == "1"
