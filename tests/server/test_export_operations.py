"""The life of an operation, without HTTP: what is decided at submission, and what only time decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import BadRequestError, DamagedError, GoneError, MissingError, NotFoundError
from counterfoil.model import AttributeSet, Contents, Dataset, Kind, Rendering, Scope
from counterfoil.periods import Clocks
from counterfoil.server.export_operations import Exports
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewFile, NewSegment, Revision
from counterfoil.storage.engines import open_store
from counterfoil.wire.blob_links import LinkQuery, open_directory
from counterfoil.wire.graph import ExportRequest, OperationStatus, Period
from counterfoil.wire.tokens import Keyring
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
OTHER = "11111111-2222-3333-4444-555555555555"
BILLED = Dataset(Kind.USAGE, PARTNER, Scope.billed("G1"))
ASKED = ExportRequest(Kind.USAGE, AttributeSet.FULL, invoice="G1")
UNBILLED = ExportRequest(Kind.USAGE, AttributeSet.FULL, period=Period.LAST, currency="EUR")


class Desk:
    """Exports over a catalog, with two clocks to turn."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.wall = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.business = datetime(2026, 1, 1, tzinfo=UTC)
        self.keyring = Keyring.from_text(Keyring.fresh_text())
        clocks = Clocks(business=lambda: self.business, wall=lambda: self.wall)
        self.exports = Exports(catalog, self.keyring, clocks, operation_delay_s=2.5)

    def publish(self, *, line_items: int = 3, listed: int = 3, digest: int = 1) -> Revision:
        files = [
            NewFile(rendering, 0, f"graph/{digest:032x}-{rendering}", 10, f"{digest:064x}", listed)
            for rendering in (Rendering.LAKE, Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC)
        ]
        contents = Contents(line_items, f"{digest:064x}", "EUR", {})
        current = self.catalog.in_force(BILLED)
        segment = NewSegment(BILLED, "whole", PARTNER, contents, tuple(files), {})
        base = None if current is None else current.id
        self.catalog.begin_publication(f"{digest:032x}", self.wall)
        return commit(self.catalog, f"{digest:032x}", [segment], {BILLED: base}, self.wall)[0]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_store(tmp_path).catalog as catalog:
        catalog.add_partner(PARTNER, datetime(2026, 1, 1, tzinfo=UTC))
        catalog.add_partner(OTHER, datetime(2026, 1, 1, tzinfo=UTC))
        yield Desk(catalog)


def test_the_status_follows_from_the_row_and_the_wall_clock(desk: Desk) -> None:
    desk.publish()
    good, empty = desk.exports.submit(PARTNER, ASKED), desk.exports.submit(PARTNER, replace(ASKED, invoice="G2"))
    for operation, end in ((good, OperationStatus.SUCCEEDED), (empty, OperationStatus.FAILED)):
        began = desk.wall
        for passed, status, retry in (
            (0, OperationStatus.RUNNING, 3),
            (2.4, OperationStatus.RUNNING, 1),
            (2.5, end, 0),
        ):
            desk.wall = began + timedelta(seconds=passed)
            progress = desk.exports.progress(desk.exports.operation(PARTNER, operation.id))
            assert (progress.status, progress.retry_after_s) == (status, retry)
        desk.wall = began


def test_the_month_is_that_of_the_business_clock_when_it_was_asked_for(desk: Desk) -> None:
    operation = desk.exports.submit(PARTNER, UNBILLED)
    assert operation.dataset.scope.period == "2025-12"
    assert desk.exports.submit(PARTNER, replace(UNBILLED, period=Period.CURRENT)).dataset.scope.period == "2026-01"


def test_a_key_means_the_words_that_were_asked_not_the_month_they_became(desk: Desk) -> None:
    first = desk.exports.submit(PARTNER, UNBILLED, "key")
    desk.business += timedelta(days=40)
    assert desk.exports.submit(PARTNER, UNBILLED, "key") == first
    for other in (replace(UNBILLED, currency="USD"), replace(UNBILLED, attributes=AttributeSet.BASIC)):
        with pytest.raises(BadRequestError):
            desk.exports.submit(PARTNER, other, "key")


def test_an_operation_lives_a_day_and_its_links_half_of_one(desk: Desk) -> None:
    revision = desk.publish()
    operation = desk.exports.submit(PARTNER, ASKED)
    desk.wall += lifetimes_and_sizes.OPERATION - timedelta(seconds=1)
    manifest = desk.exports.manifest(desk.exports.operation(PARTNER, operation.id), "https://host")
    assert manifest.root_directory == f"https://host/blobs/{PARTNER}/{revision.id}/full"
    path = manifest.root_directory.removeprefix("https://host") + "/x"
    moment = desk.wall + lifetimes_and_sizes.LINK - timedelta(seconds=1)
    open_directory(desk.keyring, LinkQuery.parse(manifest.sas_token), path, now=moment)
    desk.wall += timedelta(seconds=1)
    with pytest.raises(GoneError):
        desk.exports.operation(PARTNER, operation.id)
    with pytest.raises(GoneError):
        desk.exports.operation_of_manifest(PARTNER, operation.manifest_id)
    assert desk.exports.operations(PARTNER, succeeded=False, limit=10) == []


def test_only_succeeded_operations_have_a_manifest(desk: Desk) -> None:
    desk.publish()
    running, failed = desk.exports.submit(PARTNER, ASKED), desk.exports.submit(PARTNER, replace(ASKED, invoice="G2"))
    with pytest.raises(NotFoundError):
        desk.exports.operation_of_manifest(PARTNER, running.manifest_id)
    desk.wall += timedelta(seconds=3)
    assert desk.exports.operation_of_manifest(PARTNER, running.manifest_id) == running
    assert desk.exports.operations(PARTNER, succeeded=True, limit=10) == [running]
    assert desk.exports.count(PARTNER, succeeded=True) == 1
    assert desk.exports.count(PARTNER, succeeded=False) == 2
    for partner, manifest_id in ((PARTNER, failed.manifest_id), (OTHER, running.manifest_id), (PARTNER, running.id)):
        with pytest.raises(NotFoundError):
            desk.exports.operation_of_manifest(partner, manifest_id)
    with pytest.raises(NotFoundError):
        desk.exports.operation(OTHER, running.id)


def test_blobs_belong_to_the_partner_of_their_revision(desk: Desk) -> None:
    revision = desk.publish()
    assert desk.exports.blob_set(PARTNER, revision.id, AttributeSet.BASIC).revision == revision
    for partner, revision_id in ((OTHER, revision.id), (PARTNER, "0" * 32)):
        with pytest.raises(MissingError):
            desk.exports.blob_set(partner, revision_id, AttributeSet.BASIC)


def test_blobs_that_do_not_add_up_are_never_offered(desk: Desk) -> None:
    revision = desk.publish(line_items=4, listed=3)
    with pytest.raises(DamagedError):
        desk.exports.blob_set(PARTNER, revision.id, AttributeSet.FULL)


def test_an_empty_revision_is_no_data(desk: Desk) -> None:
    desk.publish(line_items=0, listed=0)
    assert desk.exports.submit(PARTNER, ASKED).revision_id is None
