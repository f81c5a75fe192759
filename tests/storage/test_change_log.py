"""The mark beside the files tells a catalog that was lost, exchanged or set back from one that a crash left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from counterfoil.errors import LostCatalogError
from counterfoil.model import Rendering
from counterfoil.storage.change_log import refuse_without_catalog, sealed, unsealed
from counterfoil.storage.changes import Mark
from counterfoil.storage.places import change_path
from counterfoil.storage.store import Store
from tests.storage.preparing import NOW, PARTNER, USAGE, published


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (Mark("f" * 32, 1), "do not belong together"),
        (Mark("", 2), "went back in time"),
        (None, "is missing"),
    ],
)
def test_a_catalog_that_is_not_that_of_the_files_is_refused(
    open_again: Callable[[], Store], mark: Mark | None, told: str
) -> None:
    store = open_again()
    published(store, 1)
    log = store.catalog.log
    own = log.mark()
    assert own is not None
    if mark is None:
        store.files.delete(["catalog.json"])
    else:
        log.write(Mark(mark.catalog or own.catalog, mark.counter), {})
    with pytest.raises(LostCatalogError, match=told) as refused:
        log.check()
    assert "counterfoil rebuild" in refused.value.remedy
    log.keep()
    log.check()
    assert log.mark() == Mark(own.catalog, mark.counter if mark and mark.counter > 1 else 1)


def test_a_catalog_that_went_back_together_with_its_mark_is_refused_and_writes_over_no_change(store: Store) -> None:
    published(store, 1)
    log = store.catalog.log
    own = log.mark()
    assert own is not None
    lost = sealed({"publication": "f" * 32})
    store.files.put(change_path(3), lost)  # of the future that the catalog lost
    with pytest.raises(LostCatalogError, match="went back in time"):
        log.check()
    published(store, 2)
    with pytest.raises(LostCatalogError, match="went back in time"):
        published(store, 3)
    assert store.files.get(change_path(3)) == lost
    log.keep()
    log.check()
    assert log.mark() == Mark(own.catalog, 3)
    published(store, 4)
    assert log.mark() == Mark(own.catalog, 4)
    assert store.files.get(change_path(3)) == lost


def test_a_change_that_is_there_already_is_written_again_in_silence(store: Store) -> None:
    published(store, 1)
    log = store.catalog.log
    mark, content = log.mark(), store.files.get(change_path(1))
    assert mark is not None
    assert content is not None
    log.write(mark, {1: unsealed(content, "")})
    assert store.files.get(change_path(1)) == content


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[]",
        b"\xff",
        *(
            sealed({"catalog": "x", "counter": counter})
            for counter in (None, [1], "1", "1e", float("inf"), {"a": 1}, 1.5)
        ),
        sealed({"catalog": None, "counter": 1}),
        sealed({}),
    ],
)
def test_a_mark_that_cannot_be_read_is_a_lost_catalog(store: Store, content: bytes) -> None:
    store.files.put("catalog.json", content)
    with pytest.raises(LostCatalogError, match="is damaged"):
        store.catalog.log.check()


def test_files_of_any_publication_without_mark_and_catalog_are_those_of_a_lost_catalog(store: Store) -> None:
    refuse_without_catalog(store.files)
    own = store.begin(NOW)
    with own.create(USAGE, "whole", Rendering.LAKE) as writer:
        writer.write(b"lake")
    store.files.delete(["catalog.json"])
    store.catalog.log.check()  # those of its own publications raise no alarm
    own._clean()
    store.files.delete(["catalog.json"])
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
        patch.setattr(store.catalog.log, "record", die)
        with pytest.raises(Died):
            published(store, 2)
    mark = store.catalog.log.mark()
    assert mark is not None
    assert mark.counter == 1
    store.catalog.log.check()
    assert store.catalog.log.mark() == Mark(mark.catalog, 2)
    assert store.files.get(change_path(2)) is not None


def test_every_change_that_must_not_be_lost_is_counted_beside_the_files(store: Store) -> None:
    def counter() -> int:
        mark = store.catalog.log.mark()
        return mark.counter if mark else 0

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
