"""Line items in the order of their places: whether they are, and how they become so.

What nobody published comes in any order. It is sorted in runs, which go to disk where there are several; together they
are read as several parts of one side are, so nothing has to be merged. Only the place counts, and it counts byte for
byte, as it does where Counterfoil publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterfoil.reconcile.matching.windows import Place, Section

RUN_LINES: Final = 200_000
SECTION_LINES: Final = 25_000
_NUMBER: Final = "#"  # no attribute is called that
_DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())
_ROOM: Final = 1 << 62

Run = Callable[[int], Iterator[Section]]  # is given how many lines to read at once


class OrderCheck:
    """Tells of batches, given one after the other, whether their lines are in the order of their places."""

    def __init__(self) -> None:
        self.in_order = True
        self._last: Place = ()

    def add(self, places: Sequence[pa.Array]) -> None:
        """Look at the columns of the place of some lines."""
        rows = len(places[0])
        if not self.in_order or not rows:
            return
        ranks = _ranks(places)
        first, last = (tuple(column[row].as_py() or "" for column in places) for row in (0, rows - 1))
        sorted_ = pc.all(pc.less_equal(ranks[:-1], ranks[1:]), min_count=0).as_py()
        self.in_order = bool(sorted_) and self._last <= first
        self._last = last


def sorted_runs(
    batches: Iterable[pa.RecordBatch], width: int, alone: frozenset[str], folder: Path, *, run_lines: int
) -> list[Run]:
    """Return runs that hold all lines of the batches, numbered from 0 as they came.

    The first `width` columns are the place; the columns `alone` hardly repeat, so they are kept as plain texts. With
    more lines than `run_lines` the runs are files in `folder`.
    """
    runs: list[Run] = []
    waiting: list[pa.RecordBatch] = []
    first = lines = 0
    for batch in batches:
        waiting.append(_typed(batch, alone))
        lines += batch.num_rows
        if lines >= run_lines:
            runs.append(_written(_sorted(waiting, width, first), folder / f"{len(runs)}.parquet"))
            waiting, first, lines = [], first + lines, 0
    if waiting:
        last = _sorted(waiting, width, first)
        runs.append(_written(last, folder / f"{len(runs)}.parquet") if runs else _held(last))
    return runs


def _typed(batch: pa.RecordBatch, alone: frozenset[str]) -> pa.RecordBatch:
    """Return plain texts where they hardly repeat, and dictionaries of them elsewhere."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        wanted = pa.string() if name in alone else _DICTIONARY
        if column.type == wanted:
            columns.append(column)
        elif name in alone or pa.types.is_dictionary(column.type):
            columns.append(column.cast(wanted))
        else:
            columns.append(column.cast(pa.string()).dictionary_encode())
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _sorted(batches: Sequence[pa.RecordBatch], width: int, first: int) -> pa.Table:
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    order = pc.sort_indices(_ranks([table.column(at).combine_chunks() for at in range(width)]))
    numbers = pc.add(order.cast(pa.int64()), pa.scalar(first, pa.int64()))
    return table.take(order).append_column(_NUMBER, numbers)


def _ranks(places: Sequence[pa.Array]) -> pa.Int64Array:
    """Return numbers in the order of the places."""
    ranks, kinds = pa.repeat(pa.scalar(0, pa.int64()), len(places[0])), 1
    for texts in places:
        coded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        entries = coded.dictionary.fill_null("")
        of_entry = pc.rank(pa.concat_arrays([entries, pa.array([""])]), tiebreaker="dense").cast(pa.int64())
        codes = coded.indices.cast(pa.int64()).fill_null(len(entries))
        if kinds * (len(entries) + 2) > _ROOM:
            ranks = pc.rank(ranks, tiebreaker="dense").cast(pa.int64())
            kinds = len(ranks) + 1
        ranks = pc.add(pc.multiply(ranks, pa.scalar(len(entries) + 2, pa.int64())), of_entry.take(codes))
        kinds *= len(entries) + 2
    return ranks


def _sections(batches: Iterable[pa.RecordBatch]) -> Iterator[Section]:
    for batch in batches:
        last = batch.num_columns - 1
        yield Section(batch.select(range(last)), batch.column(last))


def _written(table: pa.Table, path: Path) -> Run:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, table.schema, compression="lz4", write_statistics=False) as writer:
        for batch in table.to_batches(max_chunksize=SECTION_LINES):
            writer.write_batch(_compact(batch))

    def read(line_items: int) -> Iterator[Section]:
        with pq.ParquetFile(path) as file:
            yield from _sections(file.iter_batches(line_items, use_threads=False))

    return read


def _held(table: pa.Table) -> Run:
    def read(line_items: int) -> Iterator[Section]:
        for batch in table.to_batches(max_chunksize=max(line_items, SECTION_LINES)):
            yield from _sections([_compact(batch)])

    return read


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose dictionaries hold what it uses, and not what all of the run does."""
    columns = []
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            used = column.indices.dictionary_encode()
            columns.append(pa.DictionaryArray.from_arrays(used.indices, column.dictionary.take(used.dictionary)))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)
