"""Line items that come twice: in two files of one publication, or in two segments of one dataset.

Names say nothing: a file downloaded again, its packed twin, the same lines in another format or order have other names
and other bytes, and add up. So line items are compared, by the SHA-256 of their canonical forms. Copies within one file
are the issuer's own and count; and a few line items of one file may well be in another. But where half of either is,
one was taken from the other, or both from the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa

from counterfoil.datasets.digest import are_tied, digest_rows
from counterfoil.line_items.line_digests import LineDigests

_COMPARED_MAX: Final = 1 << 19  # line items of one set: the lowest digests stand for the others, as they are random
_SUSPECTS_MAX: Final = 64  # files that are compared with each other one


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many line items two sets share, of how many that were compared in each."""

    shared: int
    of_one: int
    of_other: int

    def __add__(self, more: Overlap) -> Overlap:
        """Add what the same set shares with further ones of the other."""
        return Overlap(self.shared + more.shared, self.of_one, self.of_other + more.of_other)

    @property
    def is_repetition(self) -> bool:
        """Whether one set was taken from the other, as far as anybody can tell."""
        return self.shared > 0 and min(self.of_one, self.of_other) <= 2 * self.shared

    @property
    def is_half_of_other(self) -> bool:
        """Whether at least half of the other set is shared."""
        return 0 < self.of_other <= 2 * self.shared


class Compared:
    """Some line items that others are compared with, by the lowest of their digests."""

    def __init__(self, rows: np.ndarray, *, is_all: bool) -> None:
        self._rows = rows
        self._firsts = _firsts(rows)
        self._is_all = is_all

    @classmethod
    def of(cls, ascending: Iterable[pa.FixedSizeBinaryArray], *, most: int = _COMPARED_MAX) -> Self:
        """Take the first line items of a set in ascending order."""
        taken, count = [np.empty((0, 32), dtype=np.uint8)], 0
        for some in ascending:
            taken.append(digest_rows(some)[: most - count])
            count += len(taken[-1])
            if len(taken[-1]) < len(some):
                return cls(np.concatenate(taken), is_all=False)
        return cls(np.concatenate(taken), is_all=True)

    def __len__(self) -> int:
        return len(self._rows)

    def overlap(self, others: Iterable[pa.FixedSizeBinaryArray]) -> Overlap:
        """Compare others, in any order, with these."""
        shared = compared = 0
        for some in others:
            rows = digest_rows(some)
            firsts = _firsts(rows)
            if not self._is_all:
                rows, firsts = rows[firsts <= self._firsts[-1]], firsts[firsts <= self._firsts[-1]]
            compared += len(rows)
            if len(self._rows) and len(rows):
                at = np.minimum(np.searchsorted(self._firsts, firsts), len(self._rows) - 1)
                alike = self._firsts[at] == firsts
                shared += int((self._rows[at[alike]] == rows[alike]).all(axis=1).sum())
        return Overlap(shared, len(self._rows), compared)


def repeated(files: Sequence[tuple[str, LineDigests]], together: LineDigests) -> tuple[str, str, int] | None:
    """Return two files of a segment one of which repeats the other, and how many line items; None if there are none.

    `together` holds the digests of all of them.
    """
    twice = Compared.of(_twice(together))
    if not len(twice):
        return None
    suspects = [each for each in files if twice.overlap(each[1].sorted()).is_half_of_other]
    for name, digests in suspects[:_SUSPECTS_MAX]:
        its = Compared.of(digests.sorted())
        for other, others in files:
            if other != name and (overlap := its.overlap(others.sorted())).is_repetition:
                return name, other, overlap.shared
    return None


def _twice(digests: LineDigests) -> Iterator[pa.FixedSizeBinaryArray]:
    for some in digests.sorted():  # those that are alike come together
        tied = are_tied(_firsts(digest_rows(some)))
        if tied.any():
            yield some.filter(pa.array(tied))


def _firsts(rows: np.ndarray) -> np.ndarray:
    """Return the first 64 bits of digests as numbers in their order."""
    return np.ascontiguousarray(rows[:, :8]).view(">u8")[:, 0].astype(np.uint64)
