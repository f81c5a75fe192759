"""Rebuilding a lost catalog, up to the renderings that were swept before it was lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from counterfoil.datasets.data_folder import DataFolder
from counterfoil.datasets.restore import restore
from counterfoil.storage import rebuilding
from counterfoil.storage.rebuilding import Rebuilt
from counterfoil.storage.store import Store


def rebuild(store: Store, now: Callable[[], datetime]) -> Rebuilt:
    """Fill the empty catalog of a store from what is beside its files, see `engines.open_to_rebuild`."""
    rebuilt = rebuilding.rebuild(store.catalog.log, now())
    for revision in rebuilt.to_render:
        restore(DataFolder(store, now), revision)
    return rebuilt
