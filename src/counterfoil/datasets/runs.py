"""Runs: line items in order, in a file of small pieces, each of which can be read alone.

A run is written once and described by values, so that another process, which has the same files, can read it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from counterfoil.columns import LineItemTable
from counterfoil.datasets.coded import Coded, Coder
from counterfoil.datasets.dictionary import Group
from counterfoil.datasets.order import Ordered, SortKeys, in_order
from counterfoil.storage.files import Files

_PIECE_TEXT_BYTES_MAX: Final = 2 << 20  # where some line items are far larger than others


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the runs of one publication are."""

    files: Files
    name: str

    def path(self) -> str:
        """Return a path that nobody has used."""
        return f"{self.name}/{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some line items of a run: where they are in the file, and those from `begin` to `end` of them."""

    first: bytes  # the sort key of the first line item there
    place: int
    size_bytes: int
    line_items: int  # that are there
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Run:
    """Line items in order, or some that follow one another."""

    files: Files
    path: str
    groups: tuple[Group, ...]
    pieces: tuple[Piece, ...]

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    @property
    def size_bytes(self) -> int:
        """How many bytes the line items take, about."""
        return sum(piece.size_bytes * len(piece) // piece.line_items for piece in self.pieces)

    def between(self, begin: int, end: int) -> Self:
        """Return some of the line items."""
        pieces, at = [], 0
        for piece in self.pieces:
            low, high = max(0, begin - at), min(len(piece), end - at)
            if low < high:
                pieces.append(replace(piece, begin=piece.begin + low, end=piece.begin + high))
            at += len(piece)
        return replace(self, pieces=tuple(pieces))

    def only(self, place: int) -> Self:
        """Return the line items in one piece."""
        return replace(self, pieces=self.pieces[place : place + 1])

    def read(self) -> Iterator[Coded]:
        """Yield the line items."""
        reader = self.files.open(self.path)
        for piece in self.pieces:
            coded = Coded.decoded(reader.read(piece.place, piece.size_bytes), self.groups)
            yield coded.between(piece.begin, piece.end)


def write_run(folder: RunFolder, table: LineItemTable, items: Ordered, piece_bytes: int) -> Run:
    """Write line items as a run."""
    pieces: list[Piece] = []
    coder, rows = items.coder, items.rows
    keys = SortKeys(table, coder)
    most = max(1, len(rows) * piece_bytes // coder.size_bytes)
    texts = np.cumsum(coder.sizes(rows))
    with folder.files.create(folder.path()) as file:
        begin = before = 0
        while begin < len(rows):
            end = int(np.searchsorted(texts, before + _PIECE_TEXT_BYTES_MAX))
            end = min(max(end, begin + 1), begin + most, len(rows))
            data = coder.take(rows[begin:end]).encoded()
            pieces.append(Piece(keys.of(int(rows[begin])), file.size_bytes, len(data), end - begin, 0, end - begin))
            file.write(data)
            begin, before = end, int(texts[end - 1])
    return Run(folder.files, file.path, coder.groups, tuple(pieces))


def read_in_order(table: LineItemTable, runs: Sequence[Run]) -> Ordered:
    """Read all line items of some runs into memory."""
    coder = Coder(runs[0].groups)
    for run in runs:
        for coded in run.read():
            coder.add_coded(coded)
    return in_order(table, coder)
