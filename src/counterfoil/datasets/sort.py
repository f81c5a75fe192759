"""Sorting more line items than memory holds.

Records gather until they fill a *run*; a full run is sorted and put on disk. At the end the runs are merged: each run
shows its next few hundred line items, and everything up to the smallest "last shown" key can be put in order and
passed on. Keys end in a digest, so the order is total, and equal keys mean equal line items.

What a newcomer would get wrong: memory. A run lies in one piece of it, is used again for the next run, and is never
moved as a whole, only looked at in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.datasets.located import offsets_of
from counterfoil.storage.failures import in_our_words

RUN_SIZE_BYTES = 64 << 20
SHOWN_ROWS = 512
_TOGETHER_ROWS = 16384  # put in order at once, however many runs there are
_RECORD, _KEY = "record", "key"
_SCHEMA = pa.schema([(_RECORD, pa.binary()), (_KEY, pa.binary())])


class Sorter:
    """Takes records, each with a sort key, gives them back in order. Its files begin with `path`'s name, beside it."""

    def __init__(self, path: Path, *, run_size_bytes: int = RUN_SIZE_BYTES) -> None:
        self._path = path
        self._run_size_bytes = run_size_bytes
        self._run = _Run()
        self._runs: list[Path] = []

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

    def sorted(self) -> Iterator[pa.Array]:
        """Yield all records in order. May be called once, after the last `add`."""
        sources = [_from_file(path) for path in self._runs]
        if self._run.size_bytes:
            sources.append(self._run.sorted())
        self._run = _Run()
        yield from _merge(sources)
        for path in self._runs:
            path.unlink()

    def _spill(self) -> None:
        path = self._path.with_name(f"{self._path.name}-{len(self._runs):05}")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with in_our_words(), pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, _SCHEMA, options=options) as file:
            for items in self._run.sorted():
                file.write_batch(items)
        self._run.clear()
        self._runs.append(path)


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
        """Yield the line items in order, a few at a time."""
        offsets = np.concatenate([np.zeros(1, dtype=np.int32), *self._ends])
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._data[: self.size_bytes])]
        records = pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)
        keys = pa.concat_arrays(self._keys)
        order = pc.sort_indices(keys)
        for begin in range(0, len(order), SHOWN_ROWS):
            some = order.slice(begin, SHOWN_ROWS)
            yield pa.record_batch([records.take(some), keys.take(some)], schema=_SCHEMA)


def _from_file(path: Path) -> Iterator[pa.RecordBatch]:
    number = 0
    while True:  # opened for each step: there may be more runs than a process may hold files open
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as run:
            if number == run.num_record_batches:
                return
            items = run.get_batch(number)
        yield items
        number += 1


def _merge(sources: list[Iterator[pa.RecordBatch]]) -> Iterator[pa.Array]:
    if len(sources) == 1:
        for items in sources[0]:
            yield items.column(_RECORD)
        return
    shown: dict[int, pa.RecordBatch] = {}
    waiting = dict(enumerate(sources))
    while True:
        for number, source in list(waiting.items()):
            if number not in shown:
                items = next(source, None)
                if items is None:
                    del waiting[number]
                else:
                    shown[number] = items
        if not shown:
            return
        # Up to this key nothing unseen can come: what a run has not shown lies above all that it shows. Taking all of
        # it at once would take memory for all runs twice, because in shuffled data all show about the same range.
        rows = max(1, _TOGETHER_ROWS // len(shown))
        limit = min(items.column(_KEY)[min(rows, items.num_rows) - 1].as_py() for items in shown.values())
        ready = []
        for number, items in list(shown.items()):
            count = _count_up_to(items.column(_KEY), limit)
            ready.append(items.slice(0, count))
            if count == items.num_rows:
                del shown[number]
            else:
                shown[number] = items.slice(count)
        together = [items for items in ready if items.num_rows]
        keys = pa.concat_arrays([items.column(_KEY) for items in together])
        records = pa.concat_arrays([items.column(_RECORD) for items in together])
        yield records if len(together) == 1 else records.take(pc.sort_indices(keys))


def _count_up_to(keys: pa.Array, limit: bytes) -> int:
    """Return how many of some keys in order are not above the limit."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle].as_py() <= limit:
            low = middle + 1
        else:
            high = middle
    return low
