"""Retention: what may be forgotten is, what can still be reached never."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from counterfoil.errors import MovedError
from counterfoil.model import AttributeSet, Dataset, Kind, Rendering, Scope
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewFile, Operation, Revision

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
INVOICE = Dataset(Kind.RECONCILIATION, PARTNER, Scope(invoice="G012345678"))
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)

Publish = Callable[..., Revision]


def all_paths(catalog: Catalog) -> set[str]:
    return {file.path for file in catalog.all_files()}


def paths(catalog: Catalog, revision: Revision) -> set[str]:
    return {file.path for file in catalog.files(revision.id)}


def export(catalog: Catalog, revision: Revision, expires_at: datetime) -> None:
    catalog.add_operation(
        Operation(
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            revision.dataset,
            AttributeSet.FULL,
            revision.id,
            expires_at - DAY,
            expires_at - DAY,
            expires_at,
        ),
        None,
        "digest",
    )


def test_renderings_go_48_hours_after_they_were_superseded_and_the_lake_stays(
    catalog: Catalog, publish: Publish
) -> None:
    first = publish(USAGE, {"whole": [1]})
    its_paths = paths(catalog, first)
    second = publish(USAGE, {"whole": [2]})
    assert catalog.drop_renderings(NOW + 48 * HOUR - HOUR) == []
    dropped = catalog.drop_renderings(NOW + 48 * HOUR + HOUR)
    [lake] = catalog.files(first.id)
    assert lake.rendering is Rendering.LAKE
    assert sorted(dropped) == sorted(its_paths - {lake.path})
    assert len(dropped) == 3
    assert not catalog.segments(first.id)[0].rendered
    assert len(catalog.files(second.id)) == 4
    assert catalog.drop_renderings(NOW + 49 * HOUR) == []


def test_what_is_in_force_keeps_its_renderings_for_ever(catalog: Catalog, publish: Publish) -> None:
    publish(USAGE, {"whole": [1]})
    assert catalog.drop_renderings(NOW + 9999 * DAY) == []


def test_a_shared_segment_keeps_its_renderings(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"a": [1], "b": [2]})
    shared = {segment.id for segment in catalog.segments(first.id) if segment.name == "a"}
    publish(USAGE, {"b": [3]})
    catalog.drop_renderings(NOW + 49 * HOUR)
    assert {file.segment_id for file in catalog.files(first.id, Rendering.GRAPH_FULL)} == shared


def test_a_segment_shared_with_a_revision_superseded_lately_keeps_its_renderings(
    catalog: Catalog, publish: Publish
) -> None:
    publish(USAGE, {"a": [1], "b": [2]})
    second = publish(USAGE, {"b": [3]}, NOW)
    publish(USAGE, {"whole": [4]}, NOW + 24 * HOUR)
    assert len(catalog.drop_renderings(NOW + 49 * HOUR)) == 3  # those of the first b
    assert all(segment.rendered for segment in catalog.segments(second.id))


def test_renderings_stay_while_an_operation_or_its_last_link_lives(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    publish(USAGE, {"whole": [2]})
    late = NOW + 60 * HOUR
    export(catalog, first, expires_at=late)
    assert catalog.drop_renderings(late + 12 * HOUR - MOMENT) == []
    assert len(catalog.drop_renderings(late + 12 * HOUR)) == 3


def test_the_time_counts_from_when_it_was_superseded_last(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    catalog.set_in_force(USAGE, first.id, second.id, NOW + HOUR)
    catalog.set_in_force(USAGE, second.id, first.id, NOW + 40 * HOUR)
    assert catalog.drop_renderings(NOW + 49 * HOUR) == []


def test_dropped_renderings_are_made_again_before_a_restore(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    catalog.drop_renderings(NOW + 49 * HOUR)
    with pytest.raises(MovedError, match="rendered again"):
        catalog.set_in_force(USAGE, first.id, second.id, NOW)
    [segment] = catalog.segments(first.id)
    again = [NewFile(Rendering.V1, 0, f"v1/{'b' * 32}-again.v1", 3, "cd" * 32, 1)]
    for publication in ("b" * 32, "c" * 32, "d" * 32):
        catalog.begin_publication(publication, NOW)
    catalog.record_renderings("b" * 32, {segment.id: again})
    late = msgspec.structs.replace(again[0], path=f"v1/{'c' * 32}-again.v1")
    catalog.record_renderings("c" * 32, {segment.id: [late]})
    of_nothing = msgspec.structs.replace(again[0], path=f"v1/{'d' * 32}-again.v1")
    catalog.record_renderings("d" * 32, {999: [of_nothing]})
    assert {late.path, of_nothing.path} <= set(catalog.files_to_delete())
    catalog.set_in_force(USAGE, first.id, second.id, NOW)
    assert [file.path for file in catalog.files(first.id, Rendering.V1)] == [again[0].path]
    assert "b" * 32 in catalog.publications_known()
    assert "c" * 32 not in catalog.publications_known()


def test_unbilled_revisions_go_after_90_days_and_billed_ones_stay(catalog: Catalog, publish: Publish) -> None:
    first, invoice = publish(USAGE, {"whole": [1]}), publish(INVOICE, {"whole": [1]})
    first_paths = paths(catalog, first)
    for dataset in (USAGE, INVOICE):
        publish(dataset, {"whole": [2]})
    assert catalog.forget_revisions(NOW + 90 * DAY - MOMENT) == []
    listed = all_paths(catalog)
    forgotten = catalog.forget_revisions(NOW + 90 * DAY)
    assert [revision.id for revision in forgotten] == [first.id]
    assert listed - all_paths(catalog) == first_paths
    assert first_paths <= set(catalog.files_to_delete())
    assert catalog.revision(first.id) is None
    assert catalog.forget_revisions(NOW + 9999 * DAY) == []
    gone = catalog.forget_revisions(NOW + 9999 * DAY, keep_billed=DAY, keep_unbilled=None)
    assert [revision.id for revision in gone] == [invoice.id]


def test_a_shared_segment_outlives_a_forgotten_revision(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"a": [1], "b": [2]})
    both = paths(catalog, first)
    second = publish(USAGE, {"b": [3]})
    kept = paths(catalog, second)
    catalog.forget_revisions(NOW + 90 * DAY)
    assert all_paths(catalog) == kept
    assert both - kept <= set(catalog.files_to_delete())
    assert paths(catalog, second) == kept


def test_retention_however_short_leaves_48_hours_and_live_operations(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    publish(USAGE, {"whole": [2]})
    export(catalog, first, expires_at=NOW + 50 * HOUR)
    for hours in (0, 47, 61):
        assert catalog.forget_revisions(NOW + hours * HOUR, keep_unbilled=timedelta(0)) == []
    assert len(catalog.forget_revisions(NOW + 62 * HOUR, keep_unbilled=timedelta(0))) == 1


def test_a_withdrawn_dataset_is_forgotten_when_its_time_is_over(catalog: Catalog, publish: Publish) -> None:
    only = publish(USAGE, {"whole": [1]})
    catalog.set_in_force(USAGE, None, only.id, NOW + DAY)
    assert catalog.forget_revisions(NOW + 91 * DAY - MOMENT) == []
    listed = all_paths(catalog)
    assert len(listed) == 4
    assert len(catalog.forget_revisions(NOW + 91 * DAY)) == 1
    assert listed <= set(catalog.files_to_delete())
    assert (catalog.datasets(), list(catalog.all_files()), catalog.publications_known()) == ([], [], set())


def test_no_number_comes_twice_in_a_dataset(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    catalog.set_in_force(USAGE, first.id, second.id, NOW)
    assert [each.id for each in catalog.forget_revisions(NOW + 90 * DAY)] == [second.id]
    assert publish(USAGE, {"whole": [3]}).number == 3


def test_many_revisions_are_forgotten_at_once(
    catalog: Catalog, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.storage.retention._IDS_PER_STATEMENT", 2)
    for amount in range(6):
        last = publish(USAGE, {"whole": [amount]})
    assert len(catalog.drop_renderings(NOW + 49 * HOUR)) == 5 * 3
    listed = all_paths(catalog)
    assert len(catalog.forget_revisions(NOW + 90 * DAY)) == 5
    assert len(listed - all_paths(catalog)) == 5
    assert [revision.id for revision in catalog.revisions(USAGE)] == [last.id]
