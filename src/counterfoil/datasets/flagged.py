"""The entries of dictionaries that a check flags: each is looked at once, in the first batch that refers to it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from counterfoil.datasets.coded import Coder


class Flagged:
    """The flagged entries of a coder's dictionaries, by what was found, and the number of the column it was found in.

    The trap: an entry is new in one batch only. Whoever asks for the rows of new entries must look at all of them.
    """

    def __init__(self, coder: Coder, columns: Collection[int]) -> None:
        self._coder = coder
        of_column = {column: number for number, group in enumerate(coder.groups) for column in group.columns}
        self.group_of = np.zeros(max(of_column) + 1, dtype=np.int32)  # by the number of a column
        self.group_of[list(of_column)] = list(of_column.values())
        self._groups = sorted({of_column[column] for column in columns})
        self._flags: dict[tuple[str, int], np.ndarray] = {}
        self._forget()

    def _forget(self) -> None:
        self._flags.clear()
        self._seen = np.zeros((len(self._groups), 1), dtype=np.int64)
        self._times_cleared = self._coder.times_cleared

    def new_rows(self, codes: np.ndarray) -> np.ndarray:
        """Return the rows that refer to an entry, in the groups of these columns, which no batch before referred to."""
        if self._times_cleared != self._coder.times_cleared:
            self._forget()
        rows = np.flatnonzero((codes[self._groups] >= self._seen).any(axis=0))
        if len(rows):
            self._seen[:, 0] = [len(self._coder.dictionaries[group]) for group in self._groups]
        return rows

    def add(self, what: str, column: int, codes: np.ndarray) -> None:
        """Flag some entries of a column's group, by their codes."""
        size = len(self._coder.dictionaries[self.group_of[column]])
        flags = np.zeros(size, dtype=bool)
        if (known := self._flags.get((what, column))) is not None:
            flags[: len(known)] = known
        flags[codes] = True
        self._flags[what, column] = flags

    def rows(self, what: str, codes: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return, for each column in which this was found, whether it is so in each row."""
        found = []
        for (its, column), flags in sorted(self._flags.items(), key=lambda each: each[0]):
            if its == what:
                its_codes = codes[self.group_of[column]]
                found.append((column, flags.take(its_codes, mode="clip") & (its_codes < len(flags))))
        return found
