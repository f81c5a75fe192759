"""Parts: what 250,000 line items of a segment become, files that are never written again.

A part is a lake file and the wire forms - `graph-full`, `graph-basic` and, for unbilled data, `v1`. The forms are a
function of what the lake file holds, so that they can be dropped and made again from it with equal contents. Nothing
here decides whether a segment is published.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from counterfoil.columns import LineItemTable
from counterfoil.datasets import bulk_numbers
from counterfoil.datasets.coded import Coded, joined, of_columns
from counterfoil.datasets.cuts import parts_of, portions_of
from counterfoil.datasets.digest import digest_array
from counterfoil.datasets.order import Ordered
from counterfoil.datasets.render import Renderer
from counterfoil.datasets.runs import Run
from counterfoil.datasets.sizes import Sizes
from counterfoil.line_items.lake import lake_arrays
from counterfoil.line_items.lake_files import LakeReader, LakeWriter
from counterfoil.model import Rendering, Scope
from counterfoil.storage.catalog_rows import NewFile
from counterfoil.storage.files import Files, FileWriter, Reader, ReaderStream
from counterfoil.storage.v1_blocks import BlockWriter

_ROW_GROUP_SIZE_BYTES_MAX = 64 << 20
_BUFFER_SIZE_BYTES = 1 << 20


def renderings_of(scope: Scope) -> tuple[Rendering, ...]:
    """Return the wire forms a dataset of this scope has; v1 serves unbilled data only."""
    graph = (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC)
    return graph if scope.is_billed else (*graph, Rendering.V1)


# Makes the file of one rendering of a part.
Create = Callable[[Rendering], FileWriter]
SortedItems = Ordered | Sequence[Run]


@dataclass(frozen=True, slots=True)
class BlobPart:
    """A part that is to be written: its line items, and the path of the file of each rendering."""

    number: int
    table: LineItemTable
    items: SortedItems
    files: Files
    paths: Mapping[Rendering, str]
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """The files of a part, synced, and how many decimals of each number the lake rounded."""

    files: list[NewFile]
    inexact: Mapping[str, int]

    @property
    def line_items(self) -> int:
        """How many line items it holds."""
        return self.files[0].line_items


def items_of_parts(table: LineItemTable, items: SortedItems, sizes: Sizes) -> Sequence[SortedItems]:
    """Return the line items of each part."""
    if isinstance(items, Ordered):
        every = sizes.part_line_items
        return [items.between(begin, begin + every) for begin in range(0, len(items), every)]
    return parts_of(table, items, sizes.part_line_items)


def write_part(part: BlobPart, tell: Callable[[int], None]) -> WrittenPart:
    """Write the files of a part; `tell` is given how many more line items were written."""
    with _created(part.files, part.paths) as writers:
        lake_writer = writers.pop(Rendering.LAKE)
        forms = _Forms(writers, part.number, part.table)
        lake = _LakeFile(lake_writer, part.table)
        try:
            for items in _row_groups(part.items, part.table, part.sizes):
                lake.write(items)
                forms.write(items)
                tell(len(items))
            lake.finish()
        except BaseException:
            lake.abandon()
            raise
        lake_file = _new_file(Rendering.LAKE, part.number, lake_writer, forms.line_items)
        return WrittenPart([lake_file, *forms.finish()], lake.inexact)


@contextmanager
def _created(files: Files, paths: Mapping[Rendering, str]) -> Iterator[dict[Rendering, FileWriter]]:
    """Make files; where not all goes well, what is still written to them is dropped."""
    writers: dict[Rendering, FileWriter] = {}
    try:
        for rendering, path in paths.items():
            writers[rendering] = files.create(path)
        yield dict(writers)
    except BaseException:
        for writer in writers.values():
            writer.give_up()
            writer.close()
        raise


def _row_groups(items: SortedItems, table: LineItemTable, sizes: Sizes) -> Iterator[Coded]:
    """Yield line items as they go into row groups, which depend on the line items alone, not on how they came."""
    pending: list[Coded] = []
    rows = size_bytes = 0
    for portion in [items] if isinstance(items, Ordered) else portions_of(table, items, sizes.run_bytes):
        begin = 0
        while begin < len(portion):
            its = portion.sizes(begin, begin + sizes.row_group_line_items - rows)
            count = int(np.searchsorted(np.cumsum(its), _ROW_GROUP_SIZE_BYTES_MAX - size_bytes, side="right"))
            if not pending:
                count = max(1, count)
            if count:
                pending.append(portion.coded(begin, begin + count))
                rows, size_bytes, begin = rows + count, size_bytes + int(its[:count].sum()), begin + count
            if count < len(its) or rows == sizes.row_group_line_items:
                yield joined(pending)
                pending, rows, size_bytes = [], 0, 0
    if pending:
        yield joined(pending)


def inexact_in(table: LineItemTable, items: SortedItems, sizes: Sizes) -> Counter[str]:
    """Count what writing these line items would round: how many decimals of each number."""
    inexact = Counter[str]()
    for some in _row_groups(items, table, sizes):
        inexact.update(lake_arrays(table.kind, list(some.texts()), bulk_numbers.decimals)[1])
    return inexact


def render_part(
    create: Create, table: LineItemTable, lake_file: Reader, part: int, renderings: Collection[Rendering]
) -> list[NewFile]:
    """Render one lake file into wire forms: the attributes that it was written with, in one pass over it."""
    with LakeReader(ReaderStream(lake_file), table.kind) as lake:
        writers = {rendering: create(rendering) for rendering in renderings}
        forms = _Forms(writers, part, replace(table, columns=lake.columns))
        for batch in lake.batches():
            forms.write(of_columns(batch.columns))
    return forms.finish()


class _LakeFile:
    """The lake file of a part while it is written."""

    def __init__(self, writer: FileWriter, table: LineItemTable) -> None:
        self._writer = writer
        self._buffer = pa.BufferedOutputStream(pa.PythonFile(writer, mode="w"), _BUFFER_SIZE_BYTES)
        self._lake = LakeWriter(
            self._buffer, table.kind, digests=True, dictionaries=True, decimals=bulk_numbers.decimals
        )

    @property
    def inexact(self) -> Mapping[str, int]:
        """How many decimals of each number were rounded."""
        return self._lake.inexact

    def write(self, items: Coded) -> None:
        """Write a row group."""
        self._lake.write(list(items.texts()), digest_array(items.digests))
        self._lake.end_row_group()

    def finish(self) -> None:
        """Close the file, synced."""
        self._lake.finish()
        self._buffer.flush()
        self._writer.close()

    def abandon(self) -> None:
        """Give up: a Parquet writer would write its file's end when it is forgotten, and may not be able to."""
        self._writer.give_up()
        self._lake.abandon()
        with suppress(Exception):
            self._buffer.close()


class _Forms:
    """The wire forms of one part while they are written."""

    def __init__(self, writers: Mapping[Rendering, FileWriter], part: int, table: LineItemTable) -> None:
        self._writers, self._part = writers, part
        self._renderer = Renderer(table, writers.keys())
        # One gzip member each, no more: common clients stop in silence after the first.
        graph = [rendering for rendering in writers if rendering is not Rendering.V1]
        self._gzips = {rendering: isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31) for rendering in graph}
        self._blocks = BlockWriter(v1) if (v1 := writers.get(Rendering.V1)) else None
        self.line_items = 0

    def write(self, items: Coded) -> None:
        """Render line items and write them."""
        self.line_items += len(items)
        credit = self._renderer.credit(items).tobytes() if self._blocks is not None else b""
        done = 0
        for rendered in self._renderer.render(items):
            if rendered.rendering is Rendering.V1:
                assert self._blocks is not None
                lengths = np.diff(rendered.ends, prepend=0) - 1
                count = len(lengths)
                self._blocks.add(
                    rendered.text, array("I", lengths.astype(np.uintc).tobytes()), credit[done : done + count]
                )
                done += count
            else:
                self._writers[rendered.rendering].write(self._gzips[rendered.rendering].compress(rendered.text))

    def finish(self) -> list[NewFile]:
        """Close the files, synced."""
        for rendering, gzip in self._gzips.items():
            self._writers[rendering].write(gzip.flush())
        if self._blocks is not None:
            self._blocks.finish()
        for writer in self._writers.values():
            writer.close()
        return [
            _new_file(rendering, self._part, writer, self.line_items) for rendering, writer in self._writers.items()
        ]


def _new_file(rendering: Rendering, part: int, writer: FileWriter, line_items: int) -> NewFile:
    return NewFile(rendering, part, writer.path, writer.size_bytes, writer.sha256, line_items)
