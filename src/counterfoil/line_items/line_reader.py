"""Lines of JSON become columns of text: quickly where the lines are plain, by the reference where they are not.

This is how a pull reads, and how publishing reads the lines that its compiled scanner is not sure of.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from counterfoil.columns import table_of
from counterfoil.line_items.fast_reader import CutLines, FastReader
from counterfoil.line_items.lake import text_schema
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
        cuts, doubtful = self._fast_reader.cut(lines)
        return self._judged(cuts, doubtful, lines, on_refused, first_line, coded=coded)

    def read_block(
        self, block: bytes, on_refused: OnRefused, *, first_line: int = 1, coded: bool = False
    ) -> pa.RecordBatch:
        """Return the same as `read` for the lines of a block, somewhat quicker."""
        block = block.removesuffix(b"\n")
        cuts, doubtful = self._fast_reader.cut_block(block)
        lines = block.split(b"\n") if doubtful else []
        return self._judged(cuts, doubtful, lines, on_refused, first_line, coded=coded)

    def _judged(
        self,
        cuts: list[CutLines],
        doubtful: list[int],
        lines: Sequence[bytes],
        on_refused: OnRefused,
        first_line: int,
        *,
        coded: bool,
    ) -> pa.RecordBatch:
        read = []
        if doubtful:
            more, doubtful = self._cut_compacted(lines, doubtful)
            cuts = cuts + more
            numbered = ((first_line + at, lines[at]) for at in doubtful)
            read = list(read_lines(self._table, numbered, on_refused))
        if len(cuts) == 1 and not read:
            return self._batch(cuts[0], coded=coded)
        batches = [self._batch(cut, coded=False) for cut in cuts]
        batches.append(pa.RecordBatch.from_pylist([item for _, item in read], schema=self._schema))
        places = [at for cut in cuts for at in cut.places] + [number - first_line for number, _ in read]
        order = pa.array(sorted(range(len(places)), key=places.__getitem__), pa.int64())
        return _one(pa.Table.from_batches(batches, schema=self._schema).take(order))

    def _cut_compacted(self, lines: Sequence[bytes], doubtful: Sequence[int]) -> tuple[list[CutLines], list[int]]:
        """Cut the lines that only have white space between their parts; returns them and, in order, the rest."""
        spaced: list[int] = []
        compacted: list[bytes] = []
        for at in sorted(doubtful):
            try:
                line = msgspec.json.format(lines[at], indent=-1)
            except (msgspec.MsgspecError, RecursionError):
                continue
            if line != lines[at]:
                spaced.append(at)
                compacted.append(line)
        cuts, _ = self._fast_reader.cut(compacted)
        cuts = [CutLines([spaced[at] for at in cut.places], cut.columns) for cut in cuts]
        return cuts, sorted({*doubtful}.difference(*(cut.places for cut in cuts)))

    def _batch(self, cut: CutLines, *, coded: bool) -> pa.RecordBatch:
        arrays = []
        for name in self._schema.names:
            array = cut.columns.get(name)
            if array is None:
                array = pa.nulls(len(cut.places), pa.string())
            arrays.append(array if coded else array.cast(pa.string()))
        return pa.RecordBatch.from_arrays(arrays, self._schema.names)


def _one(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
