"""Sorting more line items than memory holds: they gather as codes, and what fills a run is put in order and written."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from counterfoil.columns import LineItemTable
from counterfoil.datasets.coded import Coder
from counterfoil.datasets.dictionary import Group, groups_of
from counterfoil.datasets.order import Ordered, in_order
from counterfoil.datasets.runs import Run, RunFolder, write_run
from counterfoil.datasets.sizes import Sizes


class Sorter:
    """Takes line items, which `coder` codes, and makes runs of them."""

    def __init__(self, table: LineItemTable, folder: RunFolder, sizes: Sizes) -> None:
        self._table, self._folder, self._sizes = table, folder, sizes
        self.coder = Coder(*_groups_of(table))
        self._runs: list[Run] = []

    def add(self, codes: np.ndarray, digests: np.ndarray) -> None:
        """Take line items that `coder` has coded."""
        self.coder.add(codes, digests)
        if self.coder.size_bytes >= self._sizes.run_bytes:
            self._spill()

    def rest(self) -> None:
        """Give memory back: another sorter is about to work."""
        if len(self.coder):
            self._spill()
        self.coder.clear(keep_memory=False)

    def runs(self) -> list[Run]:
        """Return all line items as runs."""
        self.rest()
        return self._runs

    def in_memory(self) -> Ordered | None:
        """Return all line items in order, unless there were more than a run holds."""
        return None if self._runs else in_order(self._table, self.coder)

    def adopt(self, runs: list[Run]) -> None:
        """Take line items that were sorted elsewhere."""
        self._runs += runs

    def _spill(self) -> None:
        self.coder.expect_many()
        self._runs.append(
            write_run(self._folder, self._table, in_order(self._table, self.coder), self._sizes.piece_bytes)
        )
        self.coder.clear()


@lru_cache(maxsize=8)
def _groups_of(table: LineItemTable) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Return the groups of many line items and those of few."""
    return groups_of(table.columns), groups_of(table.columns, together=True)
