"""Sorting more line items than memory holds.

Batches gather until they fill a *run*; a full run is sorted and put on disk. At the end the runs are merged: each run
shows its next few thousand line items, and everything up to the smallest "last shown" key can be put in order and
passed on. Keys end in a digest, so the order is total, and equal keys mean equal line items.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterfoil.datasets.digest import SORT_KEY
from counterfoil.storage.failures import in_our_words

RUN_SIZE_BYTES = 160 << 20
SHOWN_ROWS = 2048


class Sorter:
    """Takes tables with a sort key, gives them back in order. Its files begin with `path`'s name, beside it.

    Every column is moved twice or more, so there should be few.
    """

    def __init__(self, path: Path, *, run_size_bytes: int = RUN_SIZE_BYTES) -> None:
        self._path = path
        self._run_size_bytes = run_size_bytes
        self._gathered: list[pa.Table] = []
        self._gathered_bytes = 0
        self._runs: list[Path] = []

    def add(self, items: pa.Table) -> None:
        """Take some line items; their columns include SORT_KEY."""
        self._gathered.append(items)
        self._gathered_bytes += items.nbytes
        if self._gathered_bytes >= self._run_size_bytes:
            self._spill()

    def rest(self) -> None:
        """Give memory back: another sorter is about to work."""
        if self._gathered:
            self._spill()

    def sorted(self) -> Iterator[pa.Table]:
        """Yield everything in order, without the key. May be called once, after the last `add`."""
        last = self._take_gathered()
        sources = [_shown_from_file(path) for path in self._runs]
        if last is not None:
            sources.append(_shown_from_memory(last))
        del last
        yield from _merge(sources)
        for path in self._runs:
            path.unlink()

    def _take_gathered(self) -> pa.Table | None:
        if not self._gathered:
            return None
        run = _in_order(self._gathered)
        self._gathered, self._gathered_bytes = [], 0
        return run

    def _spill(self) -> None:
        run = self._take_gathered()
        assert run is not None
        path = self._path.with_name(f"{self._path.name}-{len(self._runs):05}")
        with in_our_words():
            pq.write_table(
                run, path, row_group_size=SHOWN_ROWS, compression="lz4", use_dictionary=False, write_statistics=False
            )
        self._runs.append(path)


def _in_order(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    order = pc.sort_indices(table.column(SORT_KEY))
    return table.take(order).combine_chunks()


def _shown_from_file(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as run:
        for number in range(run.num_row_groups):
            yield run.read_row_group(number, use_threads=False)


def _shown_from_memory(run: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, run.num_rows, SHOWN_ROWS * 4):
        yield run.slice(start, SHOWN_ROWS * 4)


def _merge(sources: list[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    shown: dict[int, pa.Table] = {}
    waiting = dict(enumerate(sources))
    while True:
        for number, source in list(waiting.items()):
            if number not in shown:
                table = next(source, None)
                if table is None:
                    del waiting[number]
                else:
                    shown[number] = table
        if not shown:
            return
        # Below this key nothing unseen can come: what a run has not shown lies above the last it has.
        limit = min(_last_key(table) for table in shown.values())
        ready = []
        for number, table in list(shown.items()):
            count = pc.sum(pc.less_equal(table.column(SORT_KEY), limit)).as_py()
            ready.append(table.slice(0, count))
            if count == table.num_rows:
                del shown[number]
            else:
                shown[number] = table.slice(count)
        ready = [table for table in ready if table.num_rows]
        merged = ready[0] if len(ready) == 1 else _in_order(ready)
        yield merged.drop_columns([SORT_KEY])


def _last_key(table: pa.Table) -> bytes:
    return bytes(table.column(SORT_KEY)[table.num_rows - 1].as_py())
