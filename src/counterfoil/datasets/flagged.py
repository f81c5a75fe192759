"""The values of a column that a check flags: each distinct one is looked at once, whatever number of lines have it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from counterfoil.columns import LineItemTable
from counterfoil.datasets.batch import names_of
from counterfoil.datasets.coded import Coder


class Flagged:
    """The entries of one column that a check flags."""

    def __init__(
        self, coder: Coder, table: LineItemTable, name: str, flag: Callable[[pa.StringArray], pa.BooleanArray]
    ) -> None:
        self.name = name
        self._coder, self._flag = coder, flag
        column = names_of(table).index(name)
        self._group = next(number for number, group in enumerate(coder.groups) if column in group.columns)
        self._column = column - coder.groups[self._group].columns[0]
        self._flags = np.zeros(0, dtype=bool)
        self._times_cleared = coder.times_cleared

    def rows(self, codes: np.ndarray) -> np.ndarray:
        """Return which rows have a flagged value, after looking at the entries that are new."""
        dictionary = self._coder.dictionaries[self._group]
        if self._times_cleared != self._coder.times_cleared:
            self._flags, self._times_cleared = self._flags[:0], self._coder.times_cleared
        if len(self._flags) < len(dictionary):
            new = dictionary.since(len(self._flags)).spans(len(dictionary.group.columns))
            flags = self._flag(new.columns([self._column])[0]).to_numpy(zero_copy_only=False)
            self._flags = np.concatenate([self._flags, flags])
        rows: np.ndarray = self._flags[codes[self._group]]
        return rows
