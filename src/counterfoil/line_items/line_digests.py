"""The hash of a set of line items: the SHA-256 of all their digests in ascending order.

Order does not matter and copies count, so two sets with one hash are the same set unless SHA-256 itself is broken. That
holds against an attacker who chooses the lines: a sum of digests, which would add up over segments, can be forged.

Memory stays flat: digests are sorted in runs of 8 MiB, which spill into one unnamed temporary file.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.line_items.canonical import DIGEST_SIZE_BYTES

DIGEST_TYPE: Final = pa.binary(DIGEST_SIZE_BYTES)
RUN_DIGESTS: Final = 1 << 18
_MERGED_DIGESTS: Final = 1 << 18  # of all runs together, in memory at once
_BLOCK_DIGESTS_MIN: Final = 256


def in_order(digests: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
    """Return digests in ascending order of their bytes."""
    return digests.take(pc.sort_indices(digests))


@dataclass(frozen=True, slots=True)
class DigestRun:
    """Digests in ascending order, one behind the other from some place on; `read` is given a place and a length."""

    count: int
    place: int
    read: Callable[[int, int], bytes]


class LineDigests:
    """Digests of line items (`DIGEST_TYPE`), given in any order; `hexdigest` names the set, `sorted` yields it.

    `scratch` is the folder of the temporary file (None: the system's); `sort` may be a quicker twin of `in_order`.
    Close it, or use it as a context. Not for several threads at once.
    """

    def __init__(
        self,
        scratch: Path | None = None,
        *,
        sort: Callable[[pa.FixedSizeBinaryArray], pa.FixedSizeBinaryArray] = in_order,
        run_digests: int = RUN_DIGESTS,
    ) -> None:
        self._scratch, self._sort, self._run_digests = scratch, sort, run_digests
        self._pending: list[pa.FixedSizeBinaryArray] = []
        self._pending_count = 0
        self._runs: list[DigestRun] = []
        self._cut_runs = 0  # so many of them were cut off already
        self._file: IO[bytes] | None = None

    def add(self, digests: pa.FixedSizeBinaryArray) -> None:
        """Add some digests."""
        while len(digests):
            taken = digests.slice(0, self._run_digests - self._pending_count)
            self._pending.append(taken)
            self._pending_count += len(taken)
            digests = digests.slice(len(taken))
            if self._pending_count == self._run_digests:
                self._spill()

    def add_run(self, run: DigestRun) -> None:
        """Add digests that are in ascending order already, and are read when they are needed."""
        self._runs.append(run)

    def cut(self) -> LineDigests:
        """Return what was added since the last cut as a set of its own, which is good while this one is open."""
        self._spill()
        part = LineDigests(self._scratch, sort=self._sort)
        for run in self._runs[self._cut_runs :]:
            part.add_run(run)
        self._cut_runs = len(self._runs)
        return part

    def __len__(self) -> int:
        return sum(run.count for run in self._runs) + self._pending_count

    def hexdigest(self) -> str:
        """Return the hash of the set as 64 hex digits."""
        digest = hashlib.sha256()
        for digests in self.sorted():
            digest.update(_bytes_of(digests))
        return digest.hexdigest()

    def sorted(self) -> Iterator[pa.FixedSizeBinaryArray]:
        """Yield all digests in ascending order, in arrays of some thousand; may be called again."""
        if self._runs:
            self._spill()
            yield from self._merged()
        elif self._pending:
            self._pending = [self._sort(pa.concat_arrays(self._pending))]
            yield self._pending[0]

    def close(self) -> None:
        """Let go of the temporary file and of all digests."""
        self._pending, self._pending_count, self._runs, self._cut_runs = [], 0, [], 0
        if self._file is not None:
            with suppress(OSError):  # a full disk has no room for what is still to be written
                self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _spill(self) -> None:
        if not self._pending:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - lives as long as this object
        place = self._file.seek(0, io.SEEK_END)
        self._file.write(_bytes_of(self._sort(pa.concat_arrays(self._pending))))
        self._runs.append(DigestRun(self._pending_count, place, self._read))
        self._pending, self._pending_count = [], 0

    def _merged(self) -> Iterator[pa.FixedSizeBinaryArray]:
        """Merge the runs block by block: whatever is not above the lowest last digest of a block is complete."""
        block = max(_BLOCK_DIGESTS_MIN, _MERGED_DIGESTS // len(self._runs))
        unread = [run.count for run in self._runs]
        blocks = [pa.array([], DIGEST_TYPE)] * len(self._runs)
        while any(unread) or any(map(len, blocks)):
            for number, run in enumerate(self._runs):
                if unread[number] and not len(blocks[number]):
                    place = run.place + DIGEST_SIZE_BYTES * (run.count - unread[number])
                    blocks[number] = _digests(run.read(place, DIGEST_SIZE_BYTES * min(block, unread[number])))
                    unread[number] -= len(blocks[number])
            limit = min((blocks[number][-1].as_py() for number in range(len(blocks)) if unread[number]), default=None)
            counts = [len(each) if limit is None else _count_to(each, limit) for each in blocks]
            complete = [each.slice(0, count) for each, count in zip(blocks, counts, strict=True)]
            blocks = [each.slice(count) for each, count in zip(blocks, counts, strict=True)]
            yield self._sort(pa.concat_arrays(complete))

    def _read(self, place: int, length: int) -> bytes:
        assert self._file is not None
        self._file.seek(place)
        return self._file.read(length)


def _digests(data: bytes) -> pa.FixedSizeBinaryArray:
    return pa.FixedSizeBinaryArray.from_buffers(DIGEST_TYPE, len(data) // DIGEST_SIZE_BYTES, [None, pa.py_buffer(data)])


def _bytes_of(digests: pa.FixedSizeBinaryArray) -> memoryview:
    begin = DIGEST_SIZE_BYTES * digests.offset
    return memoryview(digests.buffers()[1])[begin : begin + DIGEST_SIZE_BYTES * len(digests)]


def _count_to(digests: pa.FixedSizeBinaryArray, limit: bytes) -> int:
    """Return how many of some digests in order are not above the limit."""
    return bisect_right(range(len(digests)), limit, key=lambda place: digests[place].as_py())
