"""A data folder of version 2 is opened, verified, served, restored, swept, published into and rebuilt as it was."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterfoil.client import Api
from counterfoil.datasets.check import Assertions
from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.gathering import Input
from counterfoil.datasets.publication_receipt import PublicationReceipt
from counterfoil.datasets.publishing import publish
from counterfoil.datasets.rebuild import rebuild
from counterfoil.datasets.restore import restore
from counterfoil.datasets.safeguards import Safeguards
from counterfoil.datasets.sweep import sweep
from counterfoil.datasets.verify import verify
from counterfoil.disk.documents import canonical
from counterfoil.errors import LostCatalogError
from counterfoil.lifetimes_and_sizes import UNBILLED_KEPT
from counterfoil.model import Dataset, Kind, Rendering
from counterfoil.server.identity.audiences import DEFAULT_AUDIENCE
from counterfoil.storage import sqlite, version_2
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.engines import open_store, open_to_rebuild
from counterfoil.storage.store import Store
from tests.datasets.line_items import raw_lines
from tests.stored.stored_folders import (
    INVOICE,
    LICENCES,
    NOVEMBER,
    NOW,
    PARTNER,
    SOURCE,
    USAGE,
    WITHDRAWN,
    Served,
    serving,
    texts_of,
    v1_texts_of,
)

pytestmark = pytest.mark.usefixtures("program")
Holds = dict[str, Any]
DAY = "2026-11-20"  # the segment of which there is a superseded one


ALLOWING = Safeguards(replace=True, allow_copies=True)


@pytest.fixture
def data_folder(data: Path) -> Iterator[DataFolder]:
    """The data folder, opened at the time it was made."""
    with open_store(data, create=False) as store:
        yield DataFolder(store, lambda: NOW)


def revisions_in(store: Store) -> dict[str, tuple[str, str, bool, dict[str, Any]]]:
    """Every revision: its dataset, eTag, whether it is in force, and its contents."""
    return {
        revision.id: (str(dataset), revision.etag, revision.in_force, json.loads(canonical(revision.contents)))
        for dataset, _ in store.catalog.datasets()
        for revision in store.catalog.revisions(dataset)
    }


def revisions_of(holds: Holds) -> dict[str, tuple[str, str, bool, dict[str, Any]]]:
    """The same, as it was listed."""
    return {
        said["revision"]: (said["dataset"], said["eTag"], said["inForce"], said["contents"])
        for said in holds["revisions"]
    }


def of(holds: Holds, dataset: Dataset, *, in_force: bool = True) -> dict[str, Any]:
    """What was listed of the newest revision of a dataset that is in force, or not."""
    found: list[dict[str, Any]] = [
        said for said in holds["revisions"] if (said["dataset"], said["inForce"]) == (str(dataset), in_force)
    ]
    return found[0]


def swept_revision(holds: Holds) -> dict[str, Any]:
    """What was listed of the revision whose renderings were swept."""
    [found] = [said for said in holds["revisions"] if not said["rendered"]]
    assert isinstance(found, dict)
    return found


def exported(served: Served, dataset: Dataset) -> list[dict[str, str]]:
    """Export a dataset; return the texts of its line items."""
    scope = dataset.scope
    which = "billed" if scope.is_billed else "unbilled"
    month = "current" if scope.period == str(NOVEMBER) else "last"
    body = {"invoiceId": scope.invoice} if scope.is_billed else {"currencyCode": scope.currency, "billingPeriod": month}
    path = f"/v1.0/reports/partners/billing/{dataset.kind}/{which}/export"
    answer = served.ask("POST", path, Api.GRAPH, json=body)
    assert answer.status_code == 202, answer.text
    return downloaded(served, answer.headers["location"])


def downloaded(served: Served, operation: str) -> list[dict[str, str]]:
    """Download the blobs of an operation; return the texts of their line items."""
    manifest = served.ask("GET", operation, Api.GRAPH).json()["resourceLocation"]
    found = []
    for blob in manifest["blobs"]:
        content = served.ask("GET", f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}", None)
        assert content.status_code == 200, content.text
        found += [texts_of(line) for line in gzip.decompress(content.content).splitlines()]
    return found


def walked(served: Served, dataset: Dataset) -> list[dict[str, str]]:
    """Walk through the pages of a dataset; return the texts of their line items."""
    is_usage = dataset.kind is Kind.USAGE
    month = "current" if dataset.scope.period == str(NOVEMBER) else "previous"
    url = (
        f"/v1/invoices/unbilled/lineitems?provider={'marketplace' if is_usage else 'onetime'}"
        f"&invoicelineitemtype={'usagelineitems' if is_usage else 'billinglineitems'}"
        f"&period={month}&currencycode={dataset.scope.currency}&size=4"
    )
    headers, found = dict[str, str](), []
    while True:
        page = served.ask("GET", url, Api.V1, headers=headers)
        assert page.status_code == 200, page.text
        found += v1_texts_of(page.content)
        following = page.json()["links"].get("next")
        if following is None:
            return found
        url = f"{SOURCE}/v1{following['uri'].removeprefix('/v1')}" if following["uri"][0] == "/" else following["uri"]
        headers = {header["key"]: header["value"] for header in following["headers"]}


def published(data_folder: DataFolder, content: bytes, path: Path, segment: str) -> PublicationReceipt:
    """Publish unbilled usage as a segment."""
    path.write_bytes(content)
    [receipt] = publish(
        data_folder,
        [Input(str(path), Assertions(period=NOVEMBER), segment)],
        safeguards=ALLOWING,
    )
    return receipt


def test_all_of_it_is_sound_and_is_what_was_listed(data_folder: DataFolder, holds: Holds) -> None:
    assert verify(data_folder.store)[1] == []
    assert data_folder.store.unlisted() == []
    assert revisions_in(data_folder.store) == revisions_of(holds)
    assert data_folder.catalog.in_force(WITHDRAWN) is None
    [client, revoked] = sorted(data_folder.catalog.clients(PARTNER), key=lambda client: client.revoked_at is not None)
    assert (client.id, revoked.id) == (holds["client"]["id"], holds["client"]["revoked"])
    assert revoked.revoked_at is not None


def test_it_holds_what_a_later_program_might_lose(data_folder: DataFolder, holds: Holds) -> None:
    """So that nobody makes the folder anew with less in it."""
    usage = of(holds, USAGE)["graph"]
    assert [item["Zone"] for item in usage if "Zone" in item] == ["1.50", '"1.50"']
    assert "0E-20" in {item.get("UnitPrice") for item in usage}
    assert "+05:30" in str(usage)
    assert max(usage.count(item) for item in usage) == 3
    current = data_folder.catalog.in_force(USAGE)
    assert current is not None
    segments = {segment.name: segment for segment in data_folder.catalog.segments(current.id)}
    parts = data_folder.catalog.files(current.id, Rendering.LAKE)
    assert {name: sum(part.segment_id == segments[name].id for part in parts) for name in segments} == {
        "2026-11-19": 2,
        DAY: 2,
    }
    assert segments[DAY].warnings["inexact BillingPreTaxTotal"] == 1
    assert of(holds, INVOICE, in_force=False)["rendered"]
    assert not swept_revision(holds)["inForce"]


def test_it_serves_the_same_texts_by_both_apis(data: Path, holds: Holds) -> None:
    with serving(data) as served:
        for said in holds["revisions"]:
            dataset = next(each for each, _ in served.service.catalog.datasets() if str(each) == said["dataset"])
            if said["inForce"]:
                assert exported(served, dataset) == said["graph"]
                if not dataset.scope.is_billed:
                    assert walked(served, dataset) == said["v1"]


def test_what_callers_had_begun_goes_on(data: Path, holds: Holds) -> None:
    """An operation, an idempotency key, a failed export."""
    succeeded, basic, failed = holds["operations"]
    with serving(data) as served:
        assert downloaded(served, succeeded) == of(holds, USAGE)["graph"]
        again = served.ask(
            "POST",
            "/v1.0/reports/partners/billing/reconciliation/billed/export",
            Api.GRAPH,
            json={"invoiceId": INVOICE.scope.invoice, "attributeSet": "basic"},
            headers={"Idempotency-Key": "stored"},
        )
        assert (again.status_code, again.headers["location"]) == (202, basic)
        assert served.ask("GET", failed, Api.GRAPH).json()["status"] == "failed"


def test_its_clients_sign_in_but_for_the_one_that_was_revoked(data: Path, holds: Holds) -> None:
    client = holds["client"]
    with serving(data, development=False) as served:
        for client_id, status in ((client["id"], 200), (client["revoked"], 401)):
            form = {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client["secret"],
                "scope": f"{DEFAULT_AUDIENCE}/.default",
            }
            answer = served.ask("POST", f"/{PARTNER}/oauth2/v2.0/token", None, data=form)
            assert answer.status_code == status, answer.text
            if status == 200:
                headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
                assert served.ask("GET", holds["operations"][0], None, headers=headers).status_code == 200


def test_a_swept_revision_and_a_withdrawn_one_are_restored_with_their_texts(data: Path, holds: Holds) -> None:
    restored = [swept_revision(holds), of(holds, WITHDRAWN, in_force=False), of(holds, INVOICE, in_force=False)]
    with serving(data) as served:
        data_folder = DataFolder(served.service.store, lambda: NOW)
        for said, dataset in zip(restored, (USAGE, WITHDRAWN, INVOICE), strict=True):
            restore(data_folder, data_folder.catalog.find_revision(said["revision"]))
            assert exported(served, dataset) == said["graph"]
            if not dataset.scope.is_billed:
                assert walked(served, dataset) == said["v1"]
            current = data_folder.catalog.in_force(dataset)
            assert current is not None
            assert (current.id, current.etag) == (said["revision"], said["eTag"])
        assert verify(data_folder.store)[1] == []


def test_it_is_swept_as_it_ages(data: Path, data_folder: DataFolder, holds: Holds) -> None:
    """First the renderings of what was superseded go, then superseded revisions of unbilled data, and nothing else."""
    for later, kept in ((timedelta(), 8), (timedelta(hours=49), 8), (UNBILLED_KEPT + timedelta(days=1), 5)):
        sweep(data_folder.store, NOW + later, trust_clock=True)
        assert verify(data_folder.store)[1] == []
        assert data_folder.store.unlisted() == []
        assert len(revisions_in(data_folder.store)) == kept
    with serving(data) as served:
        assert exported(served, USAGE) == of(holds, USAGE)["graph"]


def test_the_same_line_items_again_change_nothing(data_folder: DataFolder, holds: Holds) -> None:
    """Published from the lake's own Parquet, with all that is in it."""
    current = data_folder.catalog.in_force(USAGE)
    assert current is not None
    for segment in data_folder.catalog.segments(current.id):
        [receipt] = publish_again(data_folder, current, segment.id, segment.name)
        assert (receipt.changed, receipt.etag) == (False, of(holds, USAGE)["eTag"])


def publish_again(data_folder: DataFolder, revision: Revision, segment_id: int, name: str) -> list[PublicationReceipt]:
    """Publish the lake files of a segment."""
    root = data_folder.store.scratch.parent / "files"
    parts = [part for part in data_folder.catalog.files(revision.id, Rendering.LAKE) if part.segment_id == segment_id]
    asserted = Assertions(kind=Kind.USAGE, period=NOVEMBER)
    return publish(data_folder, [Input(str(root / part.path), asserted, name) for part in parts])[-1:]


def test_new_segments_and_datasets_are_published_into_it(
    data: Path, data_folder: DataFolder, holds: Holds, tmp_path: Path
) -> None:
    before = of(holds, USAGE)["graph"]
    more = published(data_folder, raw_lines(Kind.USAGE, {"Quantity": "7"}), tmp_path / "more.jsonl", "2026-11-21")
    assert (more.changed, more.contents.line_items) == (True, len(before) + 1)
    replaced = published(data_folder, raw_lines(Kind.USAGE, {"Quantity": "8"}), tmp_path / "again.jsonl", DAY)
    assert replaced.changed
    assert verify(data_folder.store)[1] == []
    restore(data_folder, data_folder.catalog.find_revision(of(holds, USAGE)["revision"]))
    assert verify(data_folder.store)[1] == []
    data_folder.catalog.close()
    with serving(data) as served:
        assert exported(served, USAGE) == before


def test_its_lost_catalog_is_rebuilt(data: Path, holds: Holds) -> None:
    for path in data.glob("catalog.sqlite*"):
        path.unlink()
    with pytest.raises(LostCatalogError):
        open_store(data)
    store, _ = open_to_rebuild(data)
    with store:
        rebuilt = rebuild(store, lambda: NOW)
        assert (rebuilt.incomplete, rebuilt.damaged, rebuilt.uncommitted) == ((), (), ())
        assert revisions_in(store) == revisions_of(holds)
        assert verify(store)[1] == []
    with serving(data) as served:
        for dataset in (USAGE, LICENCES, INVOICE):
            assert exported(served, dataset) == of(holds, dataset)["graph"]


def test_the_tables_of_version_2_are_those_of_the_stored_catalog(data: Path, tmp_path: Path) -> None:
    def schema_of(path: Path) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return sorted(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))

    engine = sqlite.engine_for(tmp_path / "made.sqlite")
    with engine.begin() as connection:
        version_2.create(connection)
    engine.dispose()
    assert schema_of(tmp_path / "made.sqlite") == schema_of(data / "catalog.sqlite")
