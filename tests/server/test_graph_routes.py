"""The Graph routes over a socket: every spelling of the addresses, the life of an operation, and the collections."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from counterfoil.model import Dataset, Kind, Scope
from counterfoil.periods import BillingPeriod, timestamp
from tests.server.graph_answers import GUID, LINES, error_of
from tests.server.serving import BILLED, BILLING, INVOICE, NOW, OTHER, PARTNER, Place, serving


@pytest.mark.parametrize("version", ["v1.0", "beta"])
@pytest.mark.parametrize("action", ["export", "microsoft.graph.partners.billing.export", "partners.billing.export"])
@pytest.mark.parametrize("kind", ["reconciliation", "usage"])
@pytest.mark.parametrize("scope", ["billed", "unbilled"])
def test_every_export_is_accepted_under_each_of_its_names(
    graph: Place, version: str, action: str, kind: str, scope: str
) -> None:
    body = {"invoiceId": INVOICE} if scope == "billed" else {"currencyCode": "USD", "billingPeriod": "current"}
    answer = graph.post(f"/{version}/reports/partners/billing/{kind}/{scope}/{action}", body)
    assert answer.status_code == 202
    assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal;")
    assert int(answer.headers["retry-after"]) >= 0
    stem = f"{graph.url}/{version}/reports/partners/billing/operations/"
    assert answer.headers["location"].startswith(stem)
    assert GUID.fullmatch(answer.headers["location"].removeprefix(stem))
    assert answer.json() == {
        "@odata.context": f"{graph.url}/{version}/$metadata#reports/partners/billing/operations/$entity",
        "@odata.type": "#microsoft.graph.partners.billing.runningOperation",
        "id": answer.headers["location"].removeprefix(stem),
        "createdDateTime": timestamp(NOW),
        "lastActionDateTime": timestamp(NOW),
        "status": "running",
    }
    operation = graph.get(answer.headers["location"]).json()
    has_data = (kind, scope) in {("reconciliation", "billed"), ("usage", "unbilled")}
    assert operation["status"] == ("succeeded" if has_data else "failed")


def test_a_succeeded_operation_holds_its_manifest_with_all_that_proves_it(graph: Place) -> None:
    location = graph.export(attributeSet="full").headers["location"]
    answer = graph.get(location)
    assert "retry-after" not in answer.headers
    assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal;")
    operation = answer.json()
    manifest = operation.pop("resourceLocation")
    operation_id = location.rpartition("/")[2]
    assert operation == {
        "@odata.context": f"{graph.url}/v1.0/$metadata#reports/partners/billing/operations/$entity",
        "@odata.type": "#microsoft.graph.partners.billing.exportSuccessOperation",
        "id": operation_id,
        "createdDateTime": timestamp(NOW),
        "lastActionDateTime": timestamp(NOW),
        "status": "succeeded",
    }
    revision = graph.catalog.in_force(BILLED)
    assert revision is not None
    blobs = manifest.pop("blobs")
    assert manifest.pop("sasToken").startswith("sv=")
    assert GUID.fullmatch(manifest["id"])
    assert manifest.pop("id") != operation_id
    assert manifest == {
        "@odata.context": f"{graph.url}/v1.0/$metadata#reports/partners/billing/manifests/$entity",
        "schemaVersion": "1",
        "dataFormat": "compressedJSONLines",
        "createdDateTime": timestamp(NOW),
        "eTag": revision.etag,
        "partnerTenantId": PARTNER,
        "rootDirectory": f"{graph.url}/blobs/{PARTNER}/{revision.id}/full",
        "partitionType": "default",
        "blobCount": 2,
        "@counterfoil.lineItemCount": 3,
        "@counterfoil.totals": {"currency": "EUR", "Total": "12.340", "TaxTotal": "0.00000000000000000000"},
    }
    assert [blob["partitionValue"] for blob in blobs] == ["default", "default"]
    assert [blob["@counterfoil.lineItemCount"] for blob in blobs] == [2, 1]
    for number, blob in enumerate(blobs):
        assert blob["name"] == f"part-{number:05}-{blob['@counterfoil.sha256'][:32]}.json.gz"


def test_blobs_download_by_root_name_and_token_alone(graph: Place) -> None:
    manifest = graph.get(graph.export().headers["location"]).json()["resourceLocation"]
    urls = [f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}" for blob in manifest["blobs"]]
    assert b"".join(gzip.decompress(graph.client.get(url).content) for url in urls) == LINES + b'{"Total":0}\n'


def test_basic_is_another_set_of_blobs_of_the_same_data(graph: Place) -> None:
    full, basic = (
        graph.get(graph.export(attributeSet=name).headers["location"]).json()["resourceLocation"]
        for name in ("full", "basic")
    )
    assert full["eTag"] == basic["eTag"]
    assert basic["rootDirectory"] == full["rootDirectory"].removesuffix("full") + "basic"
    assert {blob["name"] for blob in full["blobs"]}.isdisjoint(blob["name"] for blob in basic["blobs"])


def test_without_data_the_operation_fails_with_the_documented_error(graph: Place) -> None:
    answer = graph.get(graph.export("G000000001").headers["location"])
    assert answer.status_code == 200
    assert "retry-after" not in answer.headers
    body = answer.json()
    assert body["@odata.type"] == "#microsoft.graph.partners.billing.failedOperation"
    assert (body["status"], body["error"]) == ("failed", {"code": "5000", "message": "No data available"})
    assert "resourceLocation" not in body


def test_with_a_delay_the_operation_runs_first_and_says_when_to_ask_again(tmp_path: Path) -> None:
    with serving(tmp_path, operation_delay_s=30) as place:
        place.publish(BILLED, [LINES])
        accepted = place.export()
        assert accepted.headers["retry-after"] == "30"
        place.travel(seconds=10.5)
        running = place.get(accepted.headers["location"])
        assert running.json()["@odata.type"] == "#microsoft.graph.partners.billing.runningOperation"
        assert (running.json()["status"], running.headers["retry-after"]) == ("running", "20")
        assert not place.get(f"{BILLING}/manifests").json()["value"]
        place.travel(seconds=19.5)
        done = place.get(accepted.headers["location"])
        assert done.json()["status"] == "succeeded"
        assert done.json()["lastActionDateTime"] == "2026-11-21T12:00:30Z"
        assert "retry-after" not in done.headers


def test_an_operation_keeps_the_revision_it_was_accepted_with(graph: Place) -> None:
    dataset = Dataset(Kind.USAGE, PARTNER, Scope.billed("G1"))
    first = graph.publish(dataset, [LINES])
    path = f"{BILLING}/usage/billed/export"
    location = graph.post(path, {"invoiceId": "g1"}).headers["location"]
    second = graph.publish(dataset, [LINES + LINES])
    assert graph.get(location).json()["resourceLocation"]["eTag"] == first.etag
    later = graph.post(path, {"invoiceId": "G1"}).headers["location"]
    assert graph.get(later).json()["resourceLocation"]["eTag"] == second.etag


def test_the_business_clock_decides_once_which_month_is_meant(graph: Place) -> None:
    october = graph.publish(Dataset(Kind.USAGE, PARTNER, Scope.unbilled(BillingPeriod(2026, 10), "USD")), [LINES])
    path, body = f"{BILLING}/usage/unbilled/export", {"currencyCode": "usd", "billingPeriod": "last"}
    location = graph.post(path, body).headers["location"]
    graph.business = NOW.replace(year=2027, month=5)
    assert graph.get(location).json()["resourceLocation"]["eTag"] == october.etag
    assert graph.get(graph.post(path, body).headers["location"]).json()["status"] == "failed"


def test_asking_again_renews_the_link_for_the_same_data(graph: Place) -> None:
    location = graph.export().headers["location"]
    first = graph.get(location).json()["resourceLocation"]
    graph.travel(hours=13)
    again = graph.get(location).json()["resourceLocation"]
    manifest = graph.get(f"{BILLING}/manifests/{first['id'].upper()}").json()
    assert manifest == again
    name = first["blobs"][0]["name"]
    old, new = (graph.client.get(f"{m['rootDirectory']}/{name}?{m['sasToken']}") for m in (first, again))
    assert (old.status_code, new.status_code) == (403, 200)
    del first["sasToken"], again["sasToken"]
    assert first == again


def test_operations_are_kept_for_a_day_then_gone_and_at_last_forgotten(graph: Place) -> None:
    location = graph.export().headers["location"]
    manifest_id = graph.get(location).json()["resourceLocation"]["id"]
    graph.travel(hours=24, seconds=-1)
    assert graph.get(location).status_code == 200
    graph.travel(seconds=1)
    for path in (location, f"{BILLING}/manifests/{manifest_id}"):
        assert error_of(graph.get(path), 410)["code"] == "Gone"
    assert graph.get(f"{BILLING}/operations").json()["value"] == []
    graph.catalog.forget_operations(graph.wall.replace(year=2027))
    assert error_of(graph.get(location), 404)["code"] == "NotFound"


def test_the_same_idempotency_key_finds_the_same_operation(graph: Place) -> None:
    path, key = f"{BILLING}/reconciliation/billed/export", {"Idempotency-Key": "one two"}
    first = graph.post(path, {"invoiceId": INVOICE}, **key)
    again = graph.post(path, {"InvoiceId": INVOICE.lower(), "AttributeSet": "Full"}, **key)
    assert again.status_code == 202
    assert again.headers["location"] == first.headers["location"]
    assert graph.post(path, {"invoiceId": INVOICE}).headers["location"] != first.headers["location"]
    other = graph.post(path, {"invoiceId": INVOICE}, OTHER, **key)
    assert other.headers["location"] != first.headers["location"]
    assert "Idempotency-Key" in error_of(graph.post(path, {"invoiceId": "G2"}, **key), 400)["message"]
    for bad in ("", "x" * 256):
        error_of(graph.post(path, {"invoiceId": INVOICE}, **{"Idempotency-Key": bad}), 400)


def test_nothing_in_the_query_string_changes_what_is_exported(graph: Place) -> None:
    path = f"{BILLING}/reconciliation/billed/export?kind=usage&billed=false&path=x&partner={OTHER}"
    location = graph.post(path, {"invoiceId": INVOICE}).headers["location"]
    operation = graph.catalog.operation(PARTNER, location.rpartition("/")[2])
    assert operation is not None
    assert operation.dataset == BILLED
    assert graph.get(f"{BILLING}/usage?path=elsewhere").json()["id"] == "usage"


def test_microsofts_sample_body_and_a_zipped_one_are_read(graph: Place) -> None:
    path = f"{graph.url}{BILLING}/reconciliation/billed/export"
    body = json.dumps({"InvoiceId": INVOICE, "AttributeSet": "Full", "attributeSet@odata.type": "x"}).encode()
    headers = graph.headers() | {"Content-Type": 'application/json; charset="UTF-8"', "Content-Encoding": "gzip"}
    assert graph.client.post(path, content=gzip.compress(body), headers=headers).status_code == 202


def test_any_spelling_of_an_address_leads_to_the_same_thing(graph: Place) -> None:
    location = graph.export().headers["location"]
    operation_id = location.rpartition("/")[2]
    for path in (
        f"{BILLING}/operations/{operation_id}/",
        f"//v1.0//reports/partners//billing/operations/{operation_id}",
        f"/V1.0/Reports/PARTNERS/Billing/Operations/{operation_id.upper()}",
        f"{BILLING}/operations('{operation_id}')",
        f"{BILLING}/operations(%27{operation_id}%27)",
        f"{BILLING}/operations/{operation_id}?$expand=resourceLocation&$select=id&$unknown=1",
    ):
        answer = graph.get(path)
        assert answer.status_code == 200, path
        assert answer.json()["id"] == operation_id


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_navigation_leads_to_every_action(graph: Place, version: str) -> None:
    for path in (
        "reports/partners",
        "reports/partners/billing",
        *(f"reports/partners/billing/{kind}{scope}" for kind in Kind for scope in ("", "/billed", "/unbilled")),
    ):
        body = graph.get(f"/{version}/{path}").json()
        assert body == {
            "@odata.context": f"{graph.url}/{version}/$metadata#{path}/$entity",
            "id": path.rpartition("/")[2],
        }


def test_collections_list_only_ones_own_and_count_them(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        place.publish(BILLED, [LINES])
        ids: list[str] = []
        for number in range(5):
            place.travel(minutes=4)  # the same export within three minutes is the same operation
            ids.insert(0, place.export("G9" if number == 2 else INVOICE).headers["location"].rpartition("/")[2])
        listed = place.get(f"{BILLING}/operations?$count=true").json()
        assert [each["id"] for each in listed["value"]] == ids
        assert listed["@odata.count"] == 5
        assert all(each["@odata.type"].startswith("#microsoft.graph.") for each in listed["value"])
        assert "@odata.context" not in listed["value"][0]
        first = place.get(f"{BILLING}/operations?$top=3").json()
        assert [each["id"] for each in first["value"]] == ids[:3]
        second = place.get(first["@odata.nextLink"]).json()
        assert [each["id"] for each in second["value"]] == ids[3:]
        assert "@odata.nextLink" not in second
        for whole in ("$top=5", "$top=6", "$skip=2&$top=3", "$skip=7&$top=1", "$top=0"):
            assert "@odata.nextLink" not in place.get(f"{BILLING}/operations?{whole}").json()
        assert [each["id"] for each in place.get(f"{BILLING}/operations?$skip=3").json()["value"]] == ids[3:]
        assert len(place.get(f"{BILLING}/manifests").json()["value"]) == 4
        for path, count in (("operations", "5"), ("manifests", "4")):
            answer = place.get(f"{BILLING}/{path}/$count")
            assert (answer.text, answer.headers["content-type"]) == (count, "text/plain")
            assert place.get(f"{BILLING}/{path}/$count", OTHER).text == "0"
        assert place.get(f"{BILLING}/operations", OTHER).json()["value"] == []
        error_of(place.get(f"{BILLING}/operations?$top=many"), 400)


def test_a_long_collection_goes_on_behind_its_next_link(tmp_path: Path) -> None:
    with serving(tmp_path) as place:
        for number in range(103):
            place.export(f"G{number}")
        seen: list[str] = []
        for option, size in (("", 100), ("?$top=102", 100), ("?$top=100", 100), ("?$top=7", 7), ("?$top=1", 1)):
            seen.clear()
            link = f"{place.url}{BILLING}/operations{option}"
            while link:
                page = place.get(link).json()
                assert 0 < len(page["value"]) <= size
                seen += [each["id"] for each in page["value"]]
                link = page.get("@odata.nextLink", "")
            assert len(set(seen)) == len(seen) == 103


def test_every_answer_bears_both_ids(graph: Place) -> None:
    sent = "7e3dd99e-e58e-11f1-87f0-02fc00000001"
    location = graph.export().headers["location"]
    for path in (location, f"{BILLING}/operations/$count", f"{BILLING}/nowhere", f"{BILLING}/manifests/1"):
        answer = graph.get(path, **{"client-request-id": sent})
        assert answer.headers["client-request-id"] == sent
        assert GUID.fullmatch(answer.headers["request-id"])
        assert graph.get(path).headers["client-request-id"]
    assert graph.get(location, **{"client-request-id": "x" * 500}).headers["client-request-id"] != "x" * 500
