"""What every work on published data is given: the store, the time, and whom to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from counterfoil.datasets.sizes import STANDARD_SIZES, Sizes
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.store import Store


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The store a publication works with, and how it reports."""

    store: Store
    now: Callable[[], datetime]
    progress: Callable[[str, int], None] = lambda _what, _count: None  # what is done, and for how many line items
    at_point: Callable[[str], None] = lambda _: None  # called at each named point; tests end the process there
    sizes: Sizes = STANDARD_SIZES
    jobs: int = 1  # so many processes work on what is large; what is stored is the same

    @property
    def catalog(self) -> Catalog:
        """The store's catalog."""
        return self.store.catalog
