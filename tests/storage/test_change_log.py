"""The mark beside the files tells a catalog that was lost, exchanged or set back from one that a crash left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from counterfoil.disk import documents, file_lock
from counterfoil.errors import LockedError, LostCatalogError, NewerDataError
from counterfoil.model import Rendering
from counterfoil.storage import change_log, changes, sealed_records
from counterfoil.storage.change_log import mark_of, refuse_without_catalog
from counterfoil.storage.places import CATALOG_MARK, UNLISTED, change_path
from counterfoil.storage.sealed_records import Change, Committed, Mark, SealedPublication
from counterfoil.storage.store import Store
from tests.storage.preparing import NOW, PARTNER, USAGE, published


def mark(store: Store) -> Mark:
    """The mark beside the files of a store."""
    found = mark_of(store.files)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("another", "told"),
    [
        (Mark("f" * 32, 1, 1), "do not belong together"),
        (Mark("", 2, 2), "went back in time"),
        (None, "is missing"),
    ],
)
def test_a_catalog_that_is_not_that_of_the_files_is_refused(
    open_again: Callable[[], Store], another: Mark | None, told: str
) -> None:
    store = open_again()
    published(store, 1)
    log, own = store.catalog.log, mark(store)
    if another is None:
        store.files.delete([CATALOG_MARK])
    else:
        lying = Mark(another.catalog or own.catalog, another.counter, another.remembered)
        store.files.put(CATALOG_MARK, sealed_records.encode(lying))
    with pytest.raises(LostCatalogError, match=told) as refused:
        log.check()
    assert "counterfoil rebuild" in refused.value.remedy
    log.keep()
    log.check()
    assert mark(store) == Mark(own.catalog, another.counter if another and another.counter > 1 else 1, 1)


def test_a_catalog_that_went_back_together_with_its_mark_is_refused_and_writes_over_no_change(store: Store) -> None:
    published(store, 1)
    log, own = store.catalog.log, mark(store)
    lost = sealed_records.encode(Change(own.catalog, 3, Committed("f" * 32, ())))
    store.files.put(change_path(3), lost)  # of the future that the catalog lost
    with pytest.raises(LostCatalogError, match="went back in time"):
        log.check()
    published(store, 2)
    with pytest.raises(LostCatalogError, match="went back in time"):
        published(store, 3)
    assert store.files.get(change_path(3)) == lost
    log.keep()
    log.check()
    assert mark(store) == Mark(own.catalog, 3, 3)
    assert store.files.get(UNLISTED + change_path(3)) == lost, "kept aside, where no rebuild takes it up again"
    assert store.files.get(change_path(3)) not in {None, lost}, "the catalog's own change is there"
    published(store, 4)
    assert mark(store) == Mark(own.catalog, 4, 4)
    assert list(log.faults()) == []


def test_what_is_set_aside_twice_under_one_name_is_kept_twice(store: Store) -> None:
    published(store, 1)
    for content in (b"first", b"second"):
        store.files.put(change_path(7), content)
        store.catalog.log.keep()
    assert store.files.get(f"{UNLISTED}{change_path(7)}") == b"first"
    assert store.files.get(f"{UNLISTED}older/{change_path(7)}") == b"second"


def test_a_change_that_is_there_already_is_written_again_in_silence(store: Store) -> None:
    published(store, 1)
    content = store.files.get(change_path(1))
    assert content is not None
    store.files.delete([CATALOG_MARK])
    store.catalog.log.record()
    assert store.files.get(change_path(1)) == content
    assert mark(store).counter == 1


def test_the_document_of_a_change_is_emptied_by_the_next_change(store: Store, open_again: Callable[[], Store]) -> None:
    def unwritten() -> list[int]:
        with store.catalog.log.database.reading() as connection:
            return [change.counter for change in changes.unwritten(connection)]

    published(store, 1)
    assert unwritten() == [1]
    open_again().catalog.close()
    open_again().catalog.log.check()
    published(store, 2)
    assert unwritten() == [2]


@pytest.mark.parametrize("damage", ["missing", "bit", "other catalog", "other number"])
@pytest.mark.parametrize("path", ["changes", "publications"])
def test_every_record_beside_the_files_that_is_missing_or_another_is_named(
    store: Store, path: str, damage: str
) -> None:
    published(store, 1)
    published(store, 2)
    [first, second] = sorted(found.path for found in store.files.find(f"{path}/"))
    content = store.files.get(first)
    assert content is not None
    if damage == "missing":
        store.files.delete([first])
    else:
        kind: type[Change] | type[SealedPublication] = Change if path == "changes" else SealedPublication
        record = sealed_records.read(store.files, first, kind)
        changed = {
            "bit": content[:40] + bytes([content[40] ^ 1]) + content[41:],
            "other catalog": documents.encode(replace(record, catalog="f" * 32), 2),
            "other number": store.files.get(second) or b"",
        }
        store.files.put(first, changed[damage])
    assert [found for found, _ in store.catalog.log.faults()] == [first]


def test_a_change_whose_revisions_are_forgotten_is_forgotten_and_the_mark_counts_one_less(store: Store) -> None:
    published(store, 1)
    published(store, 2)
    assert mark(store).remembered == 2
    forgotten = store.catalog.forget_revisions(NOW + timedelta(days=900), keep_unbilled=timedelta(days=1))
    assert len(forgotten) == 1
    assert mark(store).remembered == 1, "before the file is deleted: a crash between the two loses nothing"
    assert store.files.get(change_path(1)) is not None
    store.delete_forgotten()
    assert store.files.get(change_path(1)) is None
    assert list(store.catalog.log.faults()) == []


def document(**members: object) -> bytes:
    """Return a document with the digest of these members."""
    return json.dumps({**members, "digest": documents.digest_of(members)}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[]",
        b"\xff",
        *(
            document(version=2, catalog="x", counter=counter, remembered=0)
            for counter in (None, [1], "1", "1e", float("inf"), {"a": 1}, 1.5, -1)
        ),
        document(version=2, catalog=None, counter=1, remembered=0),
        document(version=2),
        document(version=1, catalog="x", counter=1, remembered=1),
    ],
)
def test_a_mark_that_cannot_be_read_is_a_lost_catalog(store: Store, content: bytes) -> None:
    store.files.put(CATALOG_MARK, content)
    with pytest.raises(LostCatalogError, match="is damaged"):
        store.catalog.log.check()


def test_a_mark_of_a_newer_program_is_left_alone(store: Store) -> None:
    store.files.put(CATALOG_MARK, documents.encode(Mark("c" * 32, 1, 1), 3))
    with pytest.raises(NewerDataError, match="A newer Counterfoil wrote"):
        store.catalog.log.check()


def test_files_of_any_publication_without_mark_and_catalog_are_those_of_a_lost_catalog(store: Store) -> None:
    refuse_without_catalog(store.files)
    own = store.begin(NOW)
    with own.create(USAGE, "whole", Rendering.LAKE) as writer:
        writer.write(b"lake")
    store.files.delete([CATALOG_MARK])
    store.catalog.log.check()  # those of its own publications raise no alarm
    own._clean()
    store.files.delete([CATALOG_MARK])
    store.files.put(f"lake/kind=usage/{'e' * 32}-s0-p00000.parquet", b"lake")
    for refuse in (store.catalog.log.check, lambda: refuse_without_catalog(store.files)):
        with pytest.raises(LostCatalogError, match="its sealed files are there"):
            refuse()


def test_a_crash_between_catalog_and_mark_raises_no_alarm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    published(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr(store.catalog.log, "record_now_or_later", die)
        with pytest.raises(Died):
            published(store, 2)
    before = mark(store)
    assert before.counter == 1
    store.catalog.log.check()
    assert mark(store) == Mark(before.catalog, 2, 2)
    assert store.files.get(change_path(2)) is not None


def test_a_process_that_was_stopped_while_it_wrote_a_change_holds_up_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed is in force; whoever comes next writes it beside the files."""
    published(store, 1)
    monkeypatch.setattr(file_lock, "PATIENCE_S", 0.05)
    with store.locks.wait(change_log.LOCK):
        published(store, 2)
        store.catalog.log.check()
        with pytest.raises(LockedError, match="Another process holds"):
            store.catalog.log.keep()
    assert mark(store).counter == 1
    store.catalog.log.check()
    assert mark(store).counter == 2
    assert store.files.get(change_path(2)) is not None


def test_every_change_that_must_not_be_lost_is_counted_beside_the_files(store: Store) -> None:
    def counter() -> int:
        assert len(list(store.files.find("changes/"))) == mark(store).counter, "each has a file"
        return mark(store).counter

    catalog = store.catalog
    revision = published(store, 1)
    assert counter() == 1
    assert published(store, 1) == revision
    assert counter() == 1, "nothing was changed"
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.set_in_force(USAGE, revision.id, None, NOW)
    assert counter() == 3
    client, _ = catalog.add_client(PARTNER, "tool", NOW)
    catalog.revoke_client(PARTNER, client.id, NOW)
    assert counter() == 4
    catalog.set_in_force(USAGE, None, revision.id, NOW)
    catalog.remove_partner(PARTNER)
    assert counter() == 6
