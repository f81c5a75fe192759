"""The settings of one client: its source, and the bounds of its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.retries import Patience
from counterfoil.errors import UsageError
from counterfoil.lifetimes_and_sizes import PAGE_LINE_ITEMS_MAX
from counterfoil.wire.graph import VERSIONS

PARALLEL_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The source and the bounds; see `Options`. Raises UsageError for what cannot be right."""

    base: Base
    version: str = "v1.0"
    wait_s_max: float = 3600.0
    parallel: int = 4
    page_size_items: int = PAGE_LINE_ITEMS_MAX
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise UsageError(f"Microsoft Graph has the versions {' and '.join(VERSIONS)}, and not {self.version!r}.")
        if not 1 <= self.page_size_items <= PAGE_LINE_ITEMS_MAX:
            raise UsageError(f"A page has 1 to {PAGE_LINE_ITEMS_MAX} line items, not {self.page_size_items}.")
        if not 1 <= self.parallel <= PARALLEL_MAX:
            raise UsageError(f"1 to {PARALLEL_MAX} blobs can be fetched side by side, not {self.parallel}.")
        if not self.wait_s_max >= 0:  # which a NaN is not either
            raise UsageError(f"The longest wait for an export is a number of seconds, not {self.wait_s_max}.")
