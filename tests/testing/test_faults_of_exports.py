"""Faults of operations, manifests and blobs, each as its entry of the catalogue describes it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import pytest

from counterfoil.testing.faults.fault_plan import FAULTS
from tests.testing.fault_calls import LINE_ITEMS, Calls

MARK: Final = "@counterfoil."
GROUPS: Final = {"Operations", "Manifests", "Blobs"}


def statuses(calls: Calls, count: int) -> list[str]:
    return [calls.operation().json()["status"] for _ in range(count)]


def operation_slow(calls: Calls) -> None:
    calls.server.fail("operation-slow", times=3, wait="2")
    first = calls.operation()
    assert (first.status_code, first.json()["status"], first.headers["retry-after"]) == (200, "running", "2")
    assert first.json()["@odata.type"] == "#microsoft.graph.partners.billing.runningOperation"
    assert "resourceLocation" not in first.json()
    assert statuses(calls, 3) == ["running", "running", "succeeded"]


def operation_not_started(calls: Calls) -> None:
    calls.server.fail("operation-not-started", times=1)
    assert statuses(calls, 2) == ["notStarted", "succeeded"]


def operation_stuck(calls: Calls) -> None:
    calls.server.fail("operation-stuck")
    assert set(statuses(calls, 20)) == {"running"}


def operation_silent(calls: Calls) -> None:
    calls.server.fail("operation-silent")
    answer = calls.operation()
    assert (answer.json()["status"], "retry-after" in answer.headers) == ("running", False)


def operation_by_date(calls: Calls) -> None:
    calls.server.fail("operation-by-date")
    ahead = parsedate_to_datetime(calls.operation().headers["retry-after"]) - datetime.now(UTC)
    assert abs(ahead.total_seconds()) < 5


def operation_failed(calls: Calls) -> None:
    calls.server.fail("operation-failed")
    body = calls.operation().json()
    assert (body["status"], body["error"]) == ("failed", {"code": "5000", "message": "No data available"})
    assert body["@odata.type"] == "#microsoft.graph.partners.billing.failedOperation"
    calls.server.heal()
    calls.server.fail("operation-failed", code="InternalServerError", message="Out of luck")
    assert calls.operation().json()["error"] == {"code": "InternalServerError", "message": "Out of luck"}


def operation_completed(calls: Calls) -> None:
    calls.server.fail("operation-completed")
    body = calls.operation().json()
    assert (body["status"], body["resourceLocation"]["blobCount"]) == ("completed", 3)


def operation_unknown(calls: Calls) -> None:
    calls.server.fail("operation-unknown")
    assert statuses(calls, 2) == ["unknownFutureValue"] * 2


def operation_dates(calls: Calls) -> None:
    calls.server.fail("operation-dates")
    body = calls.operation().json()
    assert datetime.fromisoformat(body["createdDateTime"]).tzinfo is None
    assert body["lastActionDateTime"].endswith(".5046691Z")


def operation_lost(calls: Calls) -> None:
    calls.server.fail("operation-lost")
    assert [calls.operation().status_code for _ in range(2)] == [404, 200]


def submit_without_location(calls: Calls) -> None:
    calls.server.fail("submit-without-location")
    answer = calls.submit()
    assert (answer.status_code, "location" in answer.headers) == (202, False)


def submit_relative_location(calls: Calls) -> None:
    calls.server.fail("submit-relative-location")
    assert calls.submit().headers["location"].startswith("/v1.0/reports/partners/billing/operations/")


def submit_elsewhere(calls: Calls) -> None:
    calls.server.fail("submit-elsewhere")
    assert calls.submit().headers["location"].startswith("https://elsewhere.example/v1.0/reports/")


def submit_with_body(calls: Calls) -> None:
    calls.server.fail("submit-with-body")
    answer = calls.submit()
    assert answer.headers["location"].endswith(answer.json()["id"])
    assert answer.json()["status"] == "running"


def redirected(calls: Calls) -> None:
    calls.server.fail("redirected", on="operation", url="https://else.example")
    answer = calls.operation()
    assert (answer.status_code, answer.headers["location"][:32]) == (302, "https://else.example/v1.0/report")


def manifest_by_link(calls: Calls) -> None:
    calls.server.fail("manifest-by-link")
    body = calls.operation().json()
    assert "resourceLocation" not in body
    link = body["resourceLocation@odata.navigationLink"]
    assert calls.client.get(link, headers=calls.graph).json()["blobCount"] == 3


def manifest_by_address(calls: Calls) -> None:
    calls.server.fail("manifest-by-address")
    link = calls.operation().json()["resourceLocation"]
    assert calls.client.get(link, headers=calls.graph).json()["blobCount"] == 3


def manifest_by_id(calls: Calls) -> None:
    calls.server.fail("manifest-by-id")
    assert calls.operation().json()["resourceLocation"] == {"id": calls.root["id"]}


def manifest_as_in_the_example(calls: Calls) -> None:
    calls.server.fail("manifest-as-in-the-example")
    for manifest in (calls.manifest_now(), calls.manifest().json()):
        assert (manifest["dataFormat"], manifest["partitionType"]) == ("compressedJSON", "Default")


def manifest_punctuated(calls: Calls) -> None:
    calls.server.fail("manifest-punctuated")
    manifest = calls.manifest_now()
    assert (manifest["rootDirectory"][-1], manifest["sasToken"][0]) == ("/", "?")


def listed(calls: Calls) -> tuple[int, int]:
    manifest = calls.manifest_now()
    return len({blob["name"] for blob in manifest["blobs"]}), manifest["blobCount"]


def manifest_miscounted(calls: Calls) -> None:
    calls.server.fail("manifest-miscounted")
    assert listed(calls) == (2, 3)


def manifest_short(calls: Calls) -> None:
    calls.server.fail("manifest-short")
    assert listed(calls) == (2, 2)
    assert calls.manifest_now()["@counterfoil.lineItemCount"] == LINE_ITEMS


def manifest_doubled(calls: Calls) -> None:
    calls.server.fail("manifest-doubled")
    assert listed(calls) == (3, 4)


def manifest_empty(calls: Calls) -> None:
    calls.server.fail("manifest-empty")
    assert listed(calls) == (0, 0)


def manifest_elsewhere(calls: Calls) -> None:
    calls.server.fail("manifest-elsewhere")
    assert calls.manifest_now()["rootDirectory"].startswith("http://169.254.169.254/blobs/")


def manifest_climbing(calls: Calls) -> None:
    calls.server.fail("manifest-climbing")
    assert calls.manifest_now()["blobs"][0]["name"].startswith("../../part-")


def unannotated(calls: Calls) -> None:
    calls.server.fail("unannotated")
    for text in (calls.operation().text, calls.manifest().text):
        assert MARK not in text
        assert "part-00000" in text
    page = calls.page()
    assert not [name for name in page.headers if name.startswith("counterfoil-")]
    assert page.json()["totalCount"]


def blob_missing(calls: Calls) -> None:
    calls.server.fail("blob-missing", at=2)
    assert [calls.blob(number).status_code for number in (1, 2, 2, 3)] == [200, 404, 404, 200]
    assert calls.blob(2).headers["x-ms-error-code"] == "BlobNotFound"


def swapped(calls: Calls, name: str, **where: Any) -> list[bool]:
    right = [calls.blob(number).content for number in (1, 2, 3)]
    calls.server.fail(name, **where)
    calls.operation()
    return [calls.blob(number).content == right[other - 1] for number, other in ((1, 2), (1, 2), (3, 3))]


def blob_swapped(calls: Calls) -> None:
    assert swapped(calls, "blob-swapped") == [True, True, True]


def blob_swapped_once(calls: Calls) -> None:
    assert swapped(calls, "blob-swapped-once") == [True, False, True]


def link_expired(calls: Calls) -> None:
    calls.server.fail("link-expired", at=2)
    assert [calls.blob(number).status_code for number in (1, 2, 2, 1, 3)] == [200, 403, 403, 403, 403]
    assert "AuthenticationFailed" in calls.blob().text
    calls.manifest()
    assert [calls.blob(number).status_code for number in (1, 2, 3)] == [200, 200, 200]


def etag_changed(calls: Calls) -> None:
    calls.server.fail("etag-changed")
    first = calls.manifest_now()["eTag"]
    assert [calls.blob().status_code for _ in range(2)] == [403, 403]
    assert first == calls.root["eTag"]
    again = [calls.manifest_now()["eTag"], calls.manifest().json()["eTag"]]
    assert again == [again[0]] * 2 != [first] * 2
    assert calls.blob().status_code == 200


def range_ignored(calls: Calls) -> None:
    assert calls.blob(Range="bytes=10-19").status_code == 206
    calls.server.fail("range-ignored")
    answer = calls.blob(Range="bytes=10-19")
    assert (answer.status_code, answer.content) == (200, calls.blob().content)


def blob_replaced(calls: Calls) -> None:
    etag = calls.blob().headers["etag"]
    calls.server.fail("blob-replaced")
    conditions = {"If-Match": etag, "Range": "bytes=10-19"}
    assert [calls.client.get(calls.blob_url(), headers=conditions).status_code for _ in range(2)] == [412, 206]


TESTS: Final[dict[str, Callable[[Calls], None]]] = {
    test.__name__.replace("_", "-"): test
    for test in (
        *(operation_slow, operation_not_started, operation_stuck, operation_silent, operation_by_date),
        *(operation_failed, operation_completed, operation_unknown, operation_dates, operation_lost),
        *(submit_without_location, submit_relative_location, submit_elsewhere, submit_with_body, redirected),
        *(manifest_by_link, manifest_by_address, manifest_by_id, manifest_as_in_the_example, manifest_punctuated),
        *(manifest_miscounted, manifest_short, manifest_doubled, manifest_empty, manifest_elsewhere),
        *(manifest_climbing, unannotated, blob_missing, blob_swapped, blob_swapped_once, link_expired),
        *(etag_changed, range_ignored, blob_replaced),
    )
}


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS if fault.group in GROUPS])
def test_a_fault_of_exports_is_as_described(calls: Calls, name: str) -> None:
    TESTS[name](calls)


def test_a_server_that_was_healed_is_right_in_everything(calls: Calls) -> None:
    manifest = calls.manifest_now()
    assert (manifest["eTag"], manifest["blobs"]) == (calls.root["eTag"], calls.root["blobs"])
    assert sum(gzip.decompress(calls.blob(number).content).count(b"\n") for number in (1, 2, 3)) == LINE_ITEMS
