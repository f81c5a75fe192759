"""Commit, restore and withdraw: what is in force, and who may change it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from counterfoil.errors import MissingError, MovedError, UsageError
from counterfoil.model import Dataset, Kind, Rendering, Scope, etag
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import NewSegment, Revision
from tests.committing import commit

PARTNER = "0e195b37-4574-4539-bc42-0e539b9684c0"
USAGE = Dataset(Kind.USAGE, PARTNER, Scope(period="2026-11", currency="EUR"))
INVOICE = Dataset(Kind.RECONCILIATION, PARTNER, Scope(invoice="G012345678"))
NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)

Publish = Callable[..., Revision]
MakeSegment = Callable[..., NewSegment]


def names(catalog: Catalog, revision: Revision) -> dict[str, int]:
    """Segment names and ids."""
    return {segment.name: segment.id for segment in catalog.segments(revision.id)}


def test_a_first_publication_is_in_force_as_it_was_given(catalog: Catalog, make_segment: MakeSegment) -> None:
    segment = make_segment("a" * 32, USAGE, "whole", [1, 2, 3])
    catalog.begin_publication("a" * 32, NOW)
    [revision] = commit(catalog, "a" * 32, [segment], {USAGE: None}, NOW)
    assert (revision.number, revision.base_id, revision.in_force, revision.superseded_at) == (1, None, True, None)
    assert (revision.published_at, revision.etag) == (NOW, etag(USAGE, segment.contents))
    assert revision.contents == segment.contents
    assert catalog.in_force(USAGE) == catalog.revision(revision.id) == revision
    [stored] = catalog.segments(revision.id)
    assert (stored.name, stored.publication, stored.issuer) == ("whole", "a" * 32, PARTNER)
    assert (stored.contents, stored.warnings, stored.rendered) == (segment.contents, segment.warnings, True)
    assert {(file.rendering, file.path) for file in catalog.files(revision.id)} == {
        (file.rendering, file.path) for file in segment.files
    }
    assert [file.rendering for file in catalog.files(revision.id, Rendering.V1)] == [Rendering.V1]
    assert catalog.publications_known() == {"a" * 32}
    assert {file.path for file in catalog.all_files()} == {file.path for file in segment.files}


def test_publishing_registers_the_partner(catalog: Catalog, publish: Publish) -> None:
    assert not catalog.has_partner(PARTNER)
    publish(USAGE, {"whole": [1]})
    assert [(partner.tenant, partner.added_at) for partner in catalog.partners()] == [(PARTNER, NOW)]


def test_a_new_revision_supersedes_and_keeps_the_old(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]}, LATER)
    assert (second.number, second.base_id) == (2, first.id)
    assert catalog.revisions(USAGE) == [second, replace(first, superseded_at=LATER)]
    assert [each.in_force for each in catalog.revisions(USAGE)] == [True, False]
    assert catalog.in_force(USAGE) == second


def test_equal_contents_are_no_new_revision_and_leave_no_trace(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1, 2]})
    known = catalog.publications_known()
    assert publish(USAGE, {"whole": [2, 1]}, LATER) == first
    assert catalog.revisions(USAGE) == [first]
    assert catalog.publications_known() == known


def test_publishing_again_after_a_lost_answer_gives_the_same_revision(catalog: Catalog, publish: Publish) -> None:
    """The commit was made and its answer was lost: whoever tries again still has the old base in hand."""
    first = publish(USAGE, {"whole": [1]}, base=None)
    assert publish(USAGE, {"whole": [1]}, base=None) == first


def test_an_older_content_is_a_new_revision(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    publish(USAGE, {"whole": [2]})
    third = publish(USAGE, {"whole": [1]})
    assert (third.number, third.etag) == (3, first.etag)
    assert third.id != first.id


def test_a_named_segment_replaces_its_namesake_and_shares_the_others(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"2026-11-01": [1], "2026-11-02": [2]})
    second = publish(USAGE, {"2026-11-02": [20, 21], "2026-11-03": [3]})
    assert second.contents.plain_totals() == {"Total": "45"}
    assert second.contents.line_items == 4
    before, after = names(catalog, first), names(catalog, second)
    assert sorted(after) == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert after["2026-11-01"] == before["2026-11-01"]
    assert after["2026-11-02"] != before["2026-11-02"]
    lake = catalog.files(second.id, Rendering.LAKE)
    assert [file.segment_id for file in lake] == [after[name] for name in sorted(after)]


def test_an_unchanged_segment_beside_a_changed_one_is_not_recorded_again(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"a": [1], "b": [2]})
    second = publish(USAGE, {"a": [1], "b": [3]})
    assert names(catalog, second)["a"] == names(catalog, first)["a"]


def test_whole_replaces_all_segments(catalog: Catalog, publish: Publish) -> None:
    publish(USAGE, {"a": [1], "b": [2]})
    assert list(names(catalog, publish(USAGE, {"whole": [1, 2]}))) == ["whole"]


def test_a_named_segment_cannot_join_a_whole(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    with pytest.raises(UsageError, match="as a whole"):
        publish(USAGE, {"a": [2]})
    assert catalog.revisions(USAGE) == [first]


def test_whole_and_named_segments_do_not_go_together(publish: Publish) -> None:
    with pytest.raises(UsageError, match="at once"):
        publish(USAGE, {"whole": [1], "a": [2]})


def test_a_segment_given_twice_is_refused(catalog: Catalog, make_segment: MakeSegment) -> None:
    twice = [make_segment("a" * 32, USAGE, "a", [amount]) for amount in (1, 2)]
    catalog.begin_publication("a" * 32, NOW)
    with pytest.raises(UsageError, match="twice"):
        commit(catalog, "a" * 32, twice, {USAGE: None}, NOW)


def test_two_currencies_in_one_dataset_are_refused(catalog: Catalog, make_segment: MakeSegment) -> None:
    euros, dollars = make_segment("a" * 32, INVOICE, "a", [1]), make_segment("a" * 32, INVOICE, "b", [2])
    dollars = replace(dollars, contents=replace(dollars.contents, currency="USD"))
    catalog.begin_publication("a" * 32, NOW)
    with pytest.raises(UsageError, match="EUR and USD"):
        commit(catalog, "a" * 32, [euros, dollars], {INVOICE: None}, NOW)
    assert catalog.datasets() == []


def test_a_moved_base_is_refused_naming_both_revisions(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    with pytest.raises(MovedError, match=f"{first.id} to {second.id}"):
        publish(USAGE, {"whole": [3]}, base=first.id)
    assert catalog.in_force(USAGE) == second


def test_publications_of_different_segments_rebase(catalog: Catalog, publish: Publish) -> None:
    base = publish(USAGE, {"a": [1]})
    second = publish(USAGE, {"b": [2]}, base=base.id)
    third = publish(USAGE, {"c": [3]}, base=base.id)
    assert sorted(names(catalog, third)) == ["a", "b", "c"]
    assert third.base_id == second.id


def test_publications_of_the_same_segment_do_not_rebase(publish: Publish) -> None:
    base = publish(USAGE, {"a": [1]})
    publish(USAGE, {"a": [2]}, base=base.id)
    with pytest.raises(MovedError):
        publish(USAGE, {"a": [3]}, base=base.id)
    with pytest.raises(MovedError):
        publish(USAGE, {"whole": [4]}, base=base.id)


def test_nothing_is_built_on_a_dataset_that_was_withdrawn_meanwhile(catalog: Catalog, publish: Publish) -> None:
    base = publish(USAGE, {"a": [1]})
    catalog.set_in_force(USAGE, None, base.id, NOW)
    with pytest.raises(MovedError):
        publish(USAGE, {"b": [2]}, base=base.id)


def test_one_refused_dataset_refuses_the_whole_publication(catalog: Catalog, make_segment: MakeSegment) -> None:
    both = [make_segment("a" * 32, dataset, "whole", [1]) for dataset in (INVOICE, USAGE)]
    catalog.begin_publication("a" * 32, NOW)
    with pytest.raises(MovedError):
        commit(catalog, "a" * 32, both, {INVOICE: None, USAGE: "f" * 32}, NOW)
    assert (catalog.datasets(), catalog.partners(), list(catalog.all_files())) == ([], [], [])


def test_several_datasets_are_committed_in_the_order_given(catalog: Catalog, make_segment: MakeSegment) -> None:
    both = [make_segment("a" * 32, dataset, "whole", [1]) for dataset in (USAGE, INVOICE)]
    catalog.begin_publication("a" * 32, NOW)
    made = commit(catalog, "a" * 32, both, {INVOICE: None, USAGE: None}, NOW)
    assert [revision.dataset for revision in made] == [USAGE, INVOICE]
    assert catalog.datasets() == [(INVOICE, made[1]), (USAGE, made[0])]
    assert catalog.datasets(str(uuid.uuid4())) == []


def test_all_files_are_found_whatever_their_number(
    catalog: Catalog, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.storage.catalog._FILES_AT_A_TIME", 3)
    revision = publish(USAGE, {"a": [1], "b": [2], "c": [3]})
    assert sorted(file.path for file in catalog.all_files()) == sorted(file.path for file in catalog.files(revision.id))


def test_restore_puts_an_older_revision_in_force(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    catalog.set_in_force(USAGE, first.id, second.id, LATER)
    assert catalog.in_force(USAGE) == first
    assert catalog.revisions(USAGE)[0] == replace(second, superseded_at=LATER)
    assert not catalog.revisions(USAGE)[0].in_force
    assert publish(USAGE, {"whole": [3]}).number == 3


def test_withdraw_leaves_none_in_force_and_keeps_the_revision(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    catalog.set_in_force(USAGE, None, first.id, LATER)
    assert catalog.in_force(USAGE) is None
    assert catalog.datasets() == [(USAGE, None)]
    catalog.set_in_force(USAGE, first.id, None, LATER)
    assert catalog.in_force(USAGE) == first


def test_restore_and_withdraw_check_what_is_in_force(catalog: Catalog, publish: Publish) -> None:
    first = publish(USAGE, {"whole": [1]})
    second = publish(USAGE, {"whole": [2]})
    with pytest.raises(MovedError, match=f"{first.id} to {second.id}"):
        catalog.set_in_force(USAGE, None, first.id, NOW)
    with pytest.raises(MovedError):
        catalog.set_in_force(USAGE, first.id, None, NOW)
    assert catalog.in_force(USAGE) == second


def test_a_revision_of_another_dataset_cannot_be_restored(catalog: Catalog, publish: Publish) -> None:
    usage, invoice = publish(USAGE, {"whole": [1]}), publish(INVOICE, {"whole": [1]})
    for wrong in (invoice.id, "f" * 32):
        with pytest.raises(MissingError):
            catalog.set_in_force(USAGE, wrong, usage.id, NOW)


def test_a_revision_is_found_by_the_beginning_of_its_id(catalog: Catalog, publish: Publish) -> None:
    revision = publish(USAGE, {"whole": [1]})
    assert catalog.find_revision(revision.id[:6].upper()) == revision
    assert catalog.revision(revision.id[:6]) is None
    missing = "ffffff" if not revision.id.startswith("ffffff") else "eeeeee"
    with pytest.raises(MissingError):
        catalog.find_revision(missing)
    for bad in ("", revision.id[:5], "gggggg", "%%%%%%", revision.id + "0"):
        with pytest.raises(UsageError):
            catalog.find_revision(bad)


def test_a_beginning_that_two_revisions_share_is_refused(
    catalog: Catalog, make_segment: MakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = None
    for last in (1, 2):
        publication = f"{last:032x}"
        segment = make_segment(publication, USAGE, "whole", [last])
        catalog.begin_publication(publication, NOW)
        with monkeypatch.context() as patch:
            patch.setattr(uuid, "uuid4", lambda last=last: uuid.UUID(int=0xABCDEF << 104 | last))
            [revision] = commit(catalog, publication, [segment], {USAGE: base}, NOW)
        base = revision.id
    with pytest.raises(UsageError, match="Several"):
        catalog.find_revision("abcdef")
