"""The entries of dictionaries that a check flags: each is looked at once, in the first batch that refers to it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from counterfoil.datasets.coded import Coder


class Flagged:
    """The flagged entries of a coder's dictionaries, by what was found, and the number of the column it was found in.

    The trap: an entry is new once only. Whoever asks for the rows of new entries must look at all of them.
    """

    def __init__(self, coder: Coder, columns: Collection[int]) -> None:
        self._coder, self._columns = coder, sorted(columns)
        self._begin()

    def _begin(self) -> None:
        of_column = [number for number, group in enumerate(self._coder.groups) for _ in group.columns]
        self.group_of = np.array(of_column, dtype=np.int32)  # by the number of a column
        self._groups = sorted({of_column[column] for column in self._columns})
        self._seen = [np.zeros(0, dtype=bool) for _ in self._groups]  # of each group, whether each entry was
        self._flags: dict[tuple[str, int], np.ndarray] = {}
        self._times_cleared = self._coder.times_cleared

    def new_rows(self, codes: np.ndarray) -> np.ndarray:
        """Return the rows that refer to an entry, in the groups of these columns, which none before referred to."""
        if self._times_cleared != self._coder.times_cleared:
            self._begin()
        new = np.zeros(codes.shape[1], dtype=bool)
        for number, group in enumerate(self._groups):
            size = len(self._coder.dictionaries[group])
            if len(self._seen[number]) < size:
                self._seen[number] = _longer(self._seen[number], 2 * size)
            new |= ~self._seen[number][codes[group]]
            self._seen[number][codes[group]] = True
        return np.flatnonzero(new)

    def add(self, what: str, column: int, codes: np.ndarray) -> None:
        """Flag some entries of a column's group, by their codes."""
        size = len(self._coder.dictionaries[self.group_of[column]])
        flags = _longer(self._flags.get((what, column), np.zeros(0, dtype=bool)), size)
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


def _longer(flags: np.ndarray, size: int) -> np.ndarray:
    longer = np.zeros(max(size, len(flags)), dtype=bool)
    longer[: len(flags)] = flags
    return longer
