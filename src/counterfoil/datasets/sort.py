"""Sorting more line items than memory holds.

Line items gather until they fill a *run*; a full run is sorted and put on disk in small pieces. At the end all pieces,
of whatever run, are read in the order of their first keys. What comes before the first key of the next piece can be
sorted and passed on, because nothing unread comes before it.

Memory is the trap here. While merging, each run has about one piece in memory, so pieces are small; and line items of
one key are passed on although more of them may follow, because they are copies. All runs are in one file, because there
may be more of them than files that a process may hold open.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np

from counterfoil.columns import LineItemTable
from counterfoil.datasets.coded import Coded, Coder
from counterfoil.datasets.dictionary import groups_of
from counterfoil.datasets.order import SortKey, SortKeys
from counterfoil.storage.failures import translated_errors

RUN_SIZE_BYTES: Final = 64 << 20
_PIECE_SIZE_BYTES: Final = 256 << 10
_PIECES_TOGETHER: Final = 64  # read and put in order at once, at least


@dataclass(frozen=True, slots=True)
class Ordered:
    """Line items in order: those of a coder at some places."""

    coder: Coder
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def sizes(self, begin: int, end: int) -> np.ndarray:
        """Return how many bytes the texts of some line items take."""
        return self.coder.sizes(self.rows[begin:end])

    def coded(self, begin: int, end: int) -> Coded:
        """Copy some line items."""
        return self.coder.take(self.rows[begin:end])


class Sorter:
    """Takes line items, which it codes, and gives them back in order. `scratch` is where its file will be."""

    def __init__(self, table: LineItemTable, scratch: Path, *, run_size_bytes: int = RUN_SIZE_BYTES) -> None:
        self._table = table
        self._run_size_bytes = run_size_bytes
        self.run = Coder(groups_of(table.columns))
        self._spilled = _Spilled(table, scratch)

    def add(self, codes: np.ndarray, digests: np.ndarray) -> None:
        """Take line items that `run` has coded."""
        self.run.add(codes, digests)
        if self.run.size_bytes >= self._run_size_bytes:
            self._spill()

    def rest(self) -> None:
        """Give memory back: another sorter is about to work."""
        if len(self.run):
            self._spill()
        self.run.clear(keep_memory=False)

    def sorted(self) -> Iterator[Ordered]:
        """Yield all line items in order. Whoever stops early closes the iterator, or keeps the file."""
        if self._spilled:
            self.rest()
            yield from self._spilled.merged()
        elif len(self.run):
            yield Ordered(self.run, SortKeys(self._table, self.run).sorted())

    def close(self) -> None:
        """Let go of the file."""
        self._spilled.close()

    def _spill(self) -> None:
        self._spilled.add(self.run)
        self.run.clear()


class _Spilled:
    """The file of the runs that did not fit, one behind the other."""

    def __init__(self, table: LineItemTable, scratch: Path) -> None:
        self._table, self._scratch = table, scratch
        self._groups = groups_of(table.columns)
        self._file: IO[bytes] | None = None
        self._pieces: list[tuple[SortKey, int]] = []  # the first key of each, and where it is in the file
        self._runs = 0

    def __bool__(self) -> bool:
        return self._file is not None

    def add(self, run: Coder) -> None:
        """Append a run."""
        with translated_errors():
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - lives as long as this object
            keys = SortKeys(self._table, run)
            rows = keys.sorted()
            step = max(1, len(rows) * _PIECE_SIZE_BYTES // run.size_bytes)
            for begin in range(0, len(rows), step):
                self._pieces.append((keys.of(int(rows[begin])), self._file.tell()))
                run.take(rows[begin : begin + step]).write(self._file)
            self._runs += 1

    def merged(self) -> Iterator[Ordered]:
        """Yield the line items of all runs in order."""
        pieces = sorted(self._pieces, key=lambda piece: piece[0].key)
        together = max(_PIECES_TOGETHER, self._runs)
        rest: Coded | None = None
        for begin in range(0, len(pieces), together):
            coder = Coder(self._groups)
            if rest is not None:
                coder.add_coded(rest)
            for _, place in pieces[begin : begin + together]:
                coder.add_coded(self._read(place))
            keys = SortKeys(self._table, coder)
            rows = keys.sorted()
            end = begin + together
            count = keys.up_to(pieces[end][0], rows) if end < len(pieces) else len(rows)
            yield Ordered(coder, rows[:count])
            rest = coder.take(rows[count:])

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            with suppress(OSError):  # a full disk has no room for what is still to be written
                self._file.close()
            self._file = None

    def _read(self, place: int) -> Coded:
        assert self._file is not None
        with translated_errors():
            self._file.seek(place)
            return Coded.read(self._file, self._groups)
