"""Sorting more line items than memory holds.

Records gather until they fill a *run*; a full run is sorted and put on disk in small pieces. At the end all pieces, of
whatever run, are read in the order of their first keys. Keys below the first key of the next piece can be sorted and
passed on, because nothing unread comes before them. Keys end in the line item's digest. Line items with equal keys are
copies, or differ in what the digest takes for alike (absent and empty); their records put them in order, so the order
never depends on the input's.

Memory is the trap here. A run is one piece of memory, which is used again for the next run and never moved as a whole,
only looked at in another order. While merging, each run has about one piece in memory, so pieces are small. All runs
are in one file, because there may be more of them than files that a process may hold open.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.datasets.digest import digests_in
from counterfoil.datasets.value_spans import offsets_of
from counterfoil.storage.failures import translated_errors

RUN_SIZE_BYTES = 64 << 20
_PIECE_SIZE_BYTES = 64 << 10
_PIECES_TOGETHER = 64  # read and put in order at once
RECORD, KEY = "record", "key"
_SCHEMA = pa.schema([(RECORD, pa.binary()), (KEY, pa.binary())])


class Sorter:
    """Takes records, each with a sort key, gives them back in order. `path` is where its file will be."""

    def __init__(self, path: Path, *, run_size_bytes: int = RUN_SIZE_BYTES) -> None:
        self._run_size_bytes = run_size_bytes
        self._run = _Run()
        self._spilled = _Spilled(path)

    def add(self, records: pa.Array, keys: pa.Array) -> None:
        """Take some line items."""
        self._run.add(records, keys, self._run_size_bytes)
        if self._run.size_bytes >= self._run_size_bytes:
            self._spill()

    def rest(self) -> None:
        """Give memory back: another sorter is about to work."""
        if self._run.size_bytes:
            self._spill()
        self._run = _Run()

    def sorted(self) -> Iterator[pa.RecordBatch]:
        """Yield all line items in order, as columns RECORD and KEY. May be called once, after the last `add`."""
        if self._spilled:
            self.rest()
            yield from self._spilled.merged()
        elif self._run.size_bytes:
            yield from self._run.sorted()

    def _spill(self) -> None:
        self._spilled.add(self._run.sorted())
        self._run.clear()


class _Spilled:
    """The file of the runs that did not fit, one behind the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._first_keys: list[bytes] = []  # of each piece

    def __bool__(self) -> bool:
        return self._writer is not None

    def add(self, pieces: Iterator[pa.RecordBatch]) -> None:
        """Append a run."""
        with translated_errors():
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_file(str(self._path), _SCHEMA, options=options)
            for items in pieces:
                self._writer.write_batch(items)
                self._first_keys.append(items.column(KEY)[0].as_py())

    def merged(self) -> Iterator[pa.RecordBatch]:
        """Yield the line items of all runs in order, and delete the file; no more may be added."""
        assert self._writer is not None
        with translated_errors():
            self._writer.close()
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source) as file:
            order = sorted(range(len(self._first_keys)), key=self._first_keys.__getitem__)
            rest = _SCHEMA.empty_table()
            for begin in range(0, len(order), _PIECES_TOGETHER):
                end = begin + _PIECES_TOGETHER
                pieces = [file.get_batch(number) for number in order[begin:end]]
                items = pa.concat_tables([rest, pa.Table.from_batches(pieces)]).combine_chunks()
                [items] = items.take(_order(items.column(RECORD).chunk(0), items.column(KEY).chunk(0))).to_batches()
                keys = items.column(KEY)
                count = _count_below(keys, self._first_keys[order[end]]) if end < len(order) else len(keys)
                yield items.slice(0, count)
                rest = pa.Table.from_batches([items.slice(count)])
        self._path.unlink()


class _Run:
    """The line items of one run, in the order they came."""

    def __init__(self) -> None:
        self._data = np.empty(0, dtype=np.uint8)
        self._ends: list[np.ndarray] = []
        self._keys: list[pa.Array] = []
        self.size_bytes = 0

    def add(self, records: pa.Array, keys: pa.Array, size_bytes_expected: int) -> None:
        """Copy some line items to behind the others."""
        offsets = offsets_of(records)
        data = np.frombuffer(records.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
        begin, end = self.size_bytes, self.size_bytes + len(data)
        if end > len(self._data):
            # A tenth more than was asked for: what overflows a run is one batch. Unused memory costs nothing.
            room = np.empty(max(size_bytes_expected // 10 * 11, end, 2 * begin), dtype=np.uint8)
            room[:begin] = self._data[:begin]
            self._data = room
        self._data[begin:end] = data
        self._ends.append(offsets[1:] + (begin - offsets[0]))
        self._keys.append(keys)
        self.size_bytes = end

    def clear(self) -> None:
        """Forget all line items, but keep the memory."""
        self._ends, self._keys, self.size_bytes = [], [], 0

    def sorted(self) -> Iterator[pa.RecordBatch]:
        """Yield the line items in order, in pieces."""
        offsets = np.concatenate([np.zeros(1, dtype=np.int32), *self._ends])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._data[: self.size_bytes])]
        records = pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)
        keys = pa.concat_arrays(self._keys)
        order = _order(records, keys)
        rows = max(1, len(order) * _PIECE_SIZE_BYTES // max(1, self.size_bytes))
        for begin in range(0, len(order), rows):
            some = order.slice(begin, rows)
            yield pa.record_batch([records.take(some), keys.take(some)], schema=_SCHEMA)


def _order(records: pa.Array, keys: pa.Array) -> pa.Array:
    """Return the places of line items in order: by key, and where keys are equal by record."""
    order = pc.sort_indices(keys)
    starts = np.ascontiguousarray(digests_in(keys)[:, :8]).view(np.uint64).reshape(-1)[order.to_numpy()]
    alike = starts[1:] == starts[:-1]
    if not alike.any():
        return order
    places = order.to_numpy().copy()
    bounds = np.flatnonzero(np.concatenate([[True], ~alike, [True]]))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if end - begin > 1:
            some = places[begin:end]
            tied = zip(keys.take(some).to_pylist(), records.take(some).to_pylist(), some.tolist(), strict=True)
            places[begin:end] = [place for _, _, place in sorted(tied)]
    return pa.array(places)


def _count_below(keys: pa.Array, limit: bytes) -> int:
    """Return how many of some keys in order are below the limit."""
    return bisect_left(range(len(keys)), limit, key=lambda place: keys[place].as_py())
