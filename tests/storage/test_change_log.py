"""The mark beside the files tells a catalog that was lost, exchanged or set back from one that a crash left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from counterfoil.errors import LostCatalogError
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
