"""What every store promises, whatever it is made of: see `STORES` in conftest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil.errors import DamagedError, LockedError, MovedError
from counterfoil.model import Rendering
from counterfoil.storage import sealed_records
from counterfoil.storage.files import Deleted, ReaderStream
from counterfoil.storage.places import change_path, listing_of
from counterfoil.storage.sealed_records import Change, Committed, SealedPublication
from counterfoil.storage.store import Store
from tests.committing import commit
from tests.storage.memory import Leases
from tests.storage.preparing import INVOICES, NOW, USAGE, paths, prepare, published


def test_a_file_is_counted_and_hashed_on_the_way_and_read_at_any_offset(store: Store) -> None:
    with store.begin(NOW) as publication:
        with publication.create(USAGE, "whole", Rendering.V1) as writer:
            assert writer.write(b"abc") == 3
            assert writer.write(memoryview(b"-def-")[1:4]) == 3
            assert writer.tell() == 6
        assert (writer.size_bytes, writer.sha256) == (6, hashlib.sha256(b"abcdef").hexdigest())
        reader = store.files.open(writer.path)
        assert (reader.size_bytes, reader.read(2, 3), reader.read(4, 9), reader.read(6, 1)) == (6, b"cde", b"ef", b"")
        assert ReaderStream(reader).read() == b"abcdef"


def test_a_file_is_made_only_once(store: Store) -> None:
    with store.begin(NOW) as publication:
        publication.create(USAGE, "whole", Rendering.LAKE).close()
        with pytest.raises(FileExistsError):
            publication.create(USAGE, "whole", Rendering.LAKE)


def test_a_missing_file_is_damage(store: Store) -> None:
    with pytest.raises(DamagedError, match="missing"):
        store.files.open(f"v1/{'a' * 32}-s0.v1")


def test_small_files_are_replaced_whole_and_found_by_their_folder(store: Store) -> None:
    for content in (b"old", b"new"):
        store.files.put("changes/1.json", content)
    assert store.files.get("changes/1.json") == b"new"
    assert store.files.get("changes/2.json") is None
    assert [(found.path, found.size_bytes) for found in store.files.find("changes/")] == [("changes/1.json", 3)]
    assert (store.files.paths("changes/"), store.files.paths("nothing/")) == (["changes/1.json"], [])
    store.files.move("changes/1.json", "unlisted/changes/1.json")
    store.files.move("changes/1.json", "unlisted/changes/1.json")
    assert [found.path for found in store.files.find("unlisted/")] == ["unlisted/changes/1.json"]
    assert store.files.delete(["unlisted/changes/1.json"]) == Deleted(1, 3)


def test_a_dataset_that_is_held_is_refused_by_name_and_others_are_free(store: Store) -> None:
    with store.hold([USAGE, INVOICES[0]]), store.hold(INVOICES[1:]):
        with pytest.raises(LockedError) as refused, store.hold([USAGE]):
            pass
        assert str(USAGE) in refused.value.message
        assert refused.value.exit_code == 4


def test_whoever_does_not_get_all_keeps_none(store: Store) -> None:
    with store.hold([INVOICES[2]]):
        with pytest.raises(LockedError), store.hold(INVOICES):
            pass
        with store.hold(INVOICES[:2]):
            pass
    with pytest.raises(RuntimeError), store.hold([USAGE, USAGE]):
        raise RuntimeError
    with store.hold([USAGE]):
        pass


def test_a_publication_that_was_committed_is_listed_beside_its_files(store: Store) -> None:
    revision = published(store, 1)
    [segment] = store.catalog.segments(revision.id)
    listing = sealed_records.read(store.files, listing_of(segment.publication), SealedPublication)
    [entry] = listing.segments
    assert {file.path for file in entry.files} == {file.path for file in store.catalog.files(revision.id)}
    change = sealed_records.read(store.files, change_path(1), Change)
    assert isinstance(change.what, Committed)
    assert [made.revision for made in change.what.revisions] == [revision]
    assert list(store.catalog.log.faults()) == []
    assert store.unlisted() == []


def test_a_publication_that_was_not_committed_leaves_nothing(store: Store) -> None:
    before = paths(store)
    with store.begin(NOW) as publication:
        (publication.scratch / "sorting").write_bytes(b"spilled")
    with store.begin(NOW) as publication:
        prepare(store, publication, 1)
    with suppress(BrokenPipeError), store.begin(NOW) as publication:
        publication.create(USAGE, "whole", Rendering.LAKE).write(b"begun")
        raise BrokenPipeError
    assert paths(store) == before
    assert store.catalog.publications_known() == set()
    assert not store.scratch.exists() or list(store.scratch.iterdir()) == []


def test_what_is_left_after_a_commit_stays_whatever_happens(store: Store) -> None:
    with suppress(BrokenPipeError), store.begin(NOW) as publication:
        segments, bases = prepare(store, publication, 1)
        commit(store.catalog, publication.id, segments, bases, NOW)
        raise BrokenPipeError
    revision = store.catalog.in_force(USAGE)
    assert revision is not None
    assert {file.path for file in store.catalog.files(revision.id)} <= paths(store)


def test_a_publication_says_where_its_line_items_came_from(store: Store) -> None:
    with store.begin(NOW) as publication:
        publication.sources = {"inputs": [{"name": "usage.jsonl"}]}
        segments, bases = prepare(store, publication, 1)
        commit(store.catalog, publication.id, segments, bases, NOW)
    assert store.catalog.sources(publication.id) == {"inputs": [{"name": "usage.jsonl"}]}
    assert store.catalog.sources("f" * 32) is None


def test_a_publication_at_work_is_left_alone(store: Store) -> None:
    with store.begin(NOW) as publication:
        segments, bases = prepare(store, publication, 1)
        assert store.clear_dead() == (Deleted(), 1)
        commit(store.catalog, publication.id, segments, bases, NOW)
    assert store.clear_dead() == (Deleted(), 0)


def test_a_dead_publication_is_condemned_and_then_deleted(store: Store) -> None:
    before = paths(store)
    publication = store.begin(NOW)
    segments, bases = prepare(store, publication, 1)
    (publication.scratch / "sorting").write_bytes(b"spilled")
    publication._held.release()  # as death does
    deleted, at_work = store.clear_dead()
    assert (deleted.files, at_work) == (5, 0)
    assert paths(store) == before
    assert list(store.scratch.iterdir()) == []
    with pytest.raises(MovedError, match="swept"):
        commit(store.catalog, publication.id, segments, bases, NOW)
    assert store.catalog.in_force(USAGE) is None


def test_files_of_a_publication_that_was_committed_are_kept_where_an_older_catalog_takes_it_for_open(
    store: Store,
) -> None:
    published(store, 1)
    publication = store.begin(NOW)
    prepare(store, publication, 2)
    publication._held.release()
    lost = Change("c" * 32, 2, Committed(publication.id, ()))  # the catalog has lost its commit
    store.files.put(lost.path, sealed_records.encode(lost))
    before = paths(store)
    assert store.catalog.unfinished_publications() == [publication.id]
    assert store.clear_dead() == (Deleted(), 0)
    assert store.catalog.unfinished_publications() == []
    assert paths(store) == before


def test_a_sealed_publication_is_kept_while_a_change_that_may_name_it_cannot_be_read(store: Store) -> None:
    published(store, 1)
    store.files.put(change_path(1), b"{")
    publication = store.begin(NOW)
    prepare(store, publication, 2)
    publication._held.release()  # as death does
    before = paths(store)
    assert store.clear_dead() == (Deleted(), 0)
    assert paths(store) == before


def test_a_publication_that_is_condemned_cannot_commit_and_one_that_committed_cannot_be_condemned(store: Store) -> None:
    """So trying to condemn settles what became of a commit whose answer was lost."""
    with store.begin(NOW) as publication:
        segments, bases = prepare(store, publication, 1)
        assert store.catalog.condemn(publication.id)
        with pytest.raises(MovedError):
            commit(store.catalog, publication.id, segments, bases, NOW)
    assert store.catalog.condemn("f" * 32), "one that was never begun never commits"
    with store.begin(NOW) as publication:
        segments, bases = prepare(store, publication, 1)
        commit(store.catalog, publication.id, segments, bases, NOW)
        assert not store.catalog.condemn(publication.id)
        with pytest.raises(MovedError):
            commit(store.catalog, publication.id, segments, bases, NOW)


def test_a_lease_that_ends_in_mid_publication_fails_it_and_the_old_revision_stays(store: Store) -> None:
    if not isinstance(store.locks, Leases):
        pytest.skip("a lock of a file cannot be lost")
    old = published(store, 1)
    before = paths(store)
    with store.hold([USAGE]) as held, store.begin(NOW) as publication:
        writer = publication.create(USAGE, "whole", Rendering.LAKE)
        store.locks.end_all()
        assert all(each.is_lost for each in held)
        writer.close()
        with pytest.raises(LockedError, match="lost its lock"):
            publication.seal([])
    with store.begin(NOW) as publication:  # and where it ends between sealing and committing, and somebody sweeps
        segments, bases = prepare(store, publication, 2)
        store.locks.end_all()
        assert store.clear_dead()[0].files == 5
        with pytest.raises(MovedError):
            commit(store.catalog, publication.id, segments, bases, NOW)
    assert (store.catalog.in_force(USAGE), paths(store)) == (old, before)


def test_a_commit_whose_answer_is_lost_is_settled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it happened or not: it is done and said so, or not done, and its files are gone."""
    database, really = store.catalog.log.database, store.catalog.log.database.writing
    lost = LockedError("The connection was lost.")

    def committed() -> object:
        return _Lossy(really(), lost, undo=False)

    def undone() -> object:
        return _Lossy(really(), lost, undo=True)

    for meanwhile, expected in ((undone, None), (committed, 1)):
        with store.begin(NOW) as publication:
            segments, bases = prepare(store, publication, 1)
            answers = iter([meanwhile])
            monkeypatch.setattr(database, "writing", lambda answers=answers: next(answers, really)())
            if expected is None:
                with pytest.raises(LockedError):
                    commit(store.catalog, publication.id, segments, bases, NOW)
            else:
                [revision] = commit(store.catalog, publication.id, segments, bases, NOW)
                assert revision.number == expected
    assert store.catalog.in_force(USAGE) == revision
    assert store.unlisted() == []


class _Lossy:
    """A write transaction whose end is not heard of."""

    def __init__(self, transaction: object, error: Exception, *, undo: bool) -> None:
        self._transaction = transaction
        self._error = error
        self._undo = undo

    def __enter__(self) -> object:
        return self._transaction.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._transaction.__exit__(kind, error, trace)  # type: ignore[attr-defined]
        elif self._undo:
            with suppress(type(self._error)):
                self._transaction.__exit__(type(self._error), self._error, None)  # type: ignore[attr-defined]
                raise self._error
        else:
            self._transaction.__exit__(None, None, None)  # type: ignore[attr-defined]
        if error is None:
            raise self._error


def test_forgotten_files_are_deleted_and_what_a_crash_left_of_it_by_the_next_sweep(store: Store) -> None:
    first = published(store, 1)
    files = {file.path for file in store.catalog.files(first.id)}
    [segment] = store.catalog.segments(first.id)
    published(store, 2)
    store.catalog.forget_revisions(NOW + timedelta(days=91))
    assert set(store.catalog.files_to_delete()) == files | {listing_of(segment.publication), change_path(1)}
    assert store.delete_forgotten().files == 6
    assert not files & paths(store)
    assert (store.catalog.files_to_delete(), store.unlisted()) == ([], [])


def test_a_superseded_revision_was_never_superseded_before_it_was_published(store: Store) -> None:
    first = published(store, 1)
    published(store, 2, NOW - timedelta(hours=1))
    again = store.catalog.revision(first.id)
    assert again is not None
    assert again.superseded_at == NOW


def test_what_is_not_listed_is_kept_until_an_operator_deletes_it(store: Store) -> None:
    revision = published(store, 1)
    listed = paths(store)
    lost = [f"lake/kind=usage/{'e' * 32}-s0-p00000.parquet", listing_of("e" * 32), change_path(9), "notes.txt"]
    for path in lost:
        store.files.put(path, b"precious")
    assert {found.path for found in store.unlisted()} == set(lost)
    assert store.clear_dead() == (Deleted(), 0)
    assert store.delete_forgotten() == Deleted()
    assert {found.path for found in store.set_aside()} == {f"unlisted/{path}" for path in lost}
    assert paths(store) == listed | {f"unlisted/{path}" for path in lost}
    assert {found.path for found in store.unlisted()} == {f"unlisted/{path}" for path in lost}
    assert store.delete_unlisted() == Deleted(4, 32)
    assert paths(store) == listed
    assert store.catalog.in_force(USAGE) == revision


def test_a_scratch_folder_is_no_place_of_stored_files(store: Store, tmp_path: Path) -> None:
    with store.begin(NOW) as publication:
        path = publication.scratch / "sorting"
        path.write_bytes(b"spilled")
        assert path.is_relative_to(store.scratch)
        assert not any("sorting" in found.path for found in store.files.find())
    assert not path.exists()
