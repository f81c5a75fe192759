"""Lines of JSON become columns of text: quickly where the lines are plain, by the reference where they are not.

This is how a pull reads, and how publishing reads the lines that its compiled scanner is not sure of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.line_items.blocks import Block
from counterfoil.line_items.fast_reader import LINES_HELD_MAX, FastReader
from counterfoil.line_items.lake import text_schema
from counterfoil.line_items.line_shapes import CutLines
from counterfoil.line_items.reference import OnRefused, read_lines
from counterfoil.model import Kind


class LineReader:
    """Reads line items of one kind, in any spelling. Not thread-safe; what it learns of lines serves later ones."""

    def __init__(self, kind: Kind) -> None:
        self._table = table_of(kind)
        self._schema = text_schema(kind)
        self._fast_reader = FastReader(self._table)

    def read(
        self, lines: Sequence[bytes], on_refused: OnRefused, *, first_line: int = 1, coded: bool = False
    ) -> pa.RecordBatch:
        """Return the good lines in their order, as the columns of `lake.text_schema`; blank lines are passed over.

        The others go to `on_refused` with their numbers, counted from `first_line`. With `coded`, a column may come
        as a dictionary of its distinct texts.
        """
        self._fast_reader.clear()
        data = b"".join([line + b"\n" for line in lines])
        self._fast_reader.add(data, [*accumulate(len(line) + 1 for line in lines)], first_line)
        return self._taken(on_refused, coded=coded)

    def read_blocks(self, blocks: Iterable[Block], on_refused: OnRefused, *, coded: bool) -> Iterator[pa.RecordBatch]:
        """Yield the same as `read` for the lines of blocks; with `coded`, of several blocks together."""
        self._fast_reader.clear()
        for block in blocks:
            for data, ends, first_line in _pieces(block):
                self._fast_reader.add(data, ends, first_line)
                if not coded or self._fast_reader.is_full:
                    yield self._taken(on_refused, coded=coded)
        yield self._taken(on_refused, coded=coded)

    def _taken(self, on_refused: OnRefused, *, coded: bool) -> pa.RecordBatch:
        cuts, doubtful = self._fast_reader.take()
        read = list(read_lines(self._table, doubtful.items(), on_refused)) if doubtful else []
        batches = [self._batch(cut, coded=coded) for cut in cuts]
        if len(batches) == 1 and not read:
            return batches[0]
        batches.append(pa.RecordBatch.from_pylist([item for _, item in read], schema=self._schema))
        if coded:  # in all batches alike, so that they can be joined
            batches = [
                pa.RecordBatch.from_arrays([_encoded(column) for column in batch.columns], self._schema.names)
                for batch in batches
            ]
        numbers = [number for cut in cuts for number in cut.numbers] + [number for number, _ in read]
        order = pa.array(sorted(range(len(numbers)), key=numbers.__getitem__), pa.int64())
        return _one(pa.Table.from_batches(batches).take(order))

    def _batch(self, cut: CutLines, *, coded: bool) -> pa.RecordBatch:
        arrays = []
        for name in self._schema.names:
            array = cut.columns.get(name)
            if array is None:
                array = pa.nulls(len(cut.numbers), pa.string())
            arrays.append(array if coded else array.cast(pa.string()))
        return pa.RecordBatch.from_arrays(arrays, self._schema.names)


def _pieces(block: Block) -> Iterator[tuple[bytes, list[int], int]]:
    """Yield the lines of a block, where each ends, and the first one's number; no more than may be held at once.

    The shortest line has three bytes, and takes hundreds of them as an object.
    """
    data, ends, end = b"".join((block.data, b"\n")), [], 0
    while end := data.find(b"\n", end) + 1:
        ends.append(end)
    if len(ends) <= LINES_HELD_MAX:
        yield data, ends, block.first_line
        return
    for at in range(0, len(ends), LINES_HELD_MAX):
        begin, some = ends[at - 1] if at else 0, ends[at : at + LINES_HELD_MAX]
        yield data[begin : some[-1]], [end - begin for end in some], block.first_line + at


def _encoded(array: pa.Array) -> pa.Array:
    return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()


def _one(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
