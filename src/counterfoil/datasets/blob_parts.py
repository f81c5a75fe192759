"""Where line items are cut into blobs: those of a segment, in order, become files that are never written again.

Every 250,000 line items make one part: a lake file and the wire forms - `graph-full`, `graph-basic` and, for unbilled
data, `v1`. The forms are a function of what the lake file holds, so that they can be dropped and made again from it
with equal contents. Nothing here decides whether a segment is published.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Self

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from counterfoil.columns import LineItemTable, table_of
from counterfoil.datasets import bulk_numbers
from counterfoil.datasets.coded import Coded, joined, of_columns
from counterfoil.datasets.digest import digest_array
from counterfoil.datasets.render import Renderer
from counterfoil.datasets.sort import Ordered
from counterfoil.lifetimes_and_sizes import PART_LINE_ITEMS
from counterfoil.line_items.lake import lake_arrays
from counterfoil.line_items.lake_files import LakeReader, LakeWriter
from counterfoil.model import Dataset, Rendering, Scope
from counterfoil.storage.catalog_rows import NewFile
from counterfoil.storage.files import FileWriter, Reader, ReaderStream
from counterfoil.storage.store import Publication
from counterfoil.storage.v1_blocks import BlockWriter

ROW_GROUP_LINE_ITEMS = 25_000
_ROW_GROUP_SIZE_BYTES_MAX = 64 << 20
_BUFFER_SIZE_BYTES = 1 << 20


def renderings_of(scope: Scope) -> tuple[Rendering, ...]:
    """Return the wire forms a dataset of this scope has; v1 serves unbilled data only."""
    graph = (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC)
    return graph if scope.is_billed else (*graph, Rendering.V1)


# Makes the file of one rendering and part of a segment.
Create = Callable[[Rendering, int], FileWriter]


class SegmentWriter:
    """Takes one segment's line items in order and writes its files into a publication.

    As a context it lets go of a part that was not finished.
    """

    def __init__(
        self,
        publication: Publication,
        number: int,
        dataset: Dataset,
        segment: str,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._create = creating(publication, number, dataset, segment)
        self._table = table_of(dataset.kind)
        self._renderings = renderings_of(dataset.scope)
        self._at_point = at_point
        self._part: _Part | None = None
        self._parts = 0
        self._files: list[NewFile] = []
        self.inexact: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            self._part.abandon()

    def write(self, items: Ordered) -> None:
        """Take the next line items, in order."""
        begin = 0
        while begin < len(items):
            if self._part is None:
                self._part = _Part(self._create, self._parts, self._table, self._renderings)
                self._parts += 1
            begin += self._part.add(items, begin)
            if self._part.line_items >= PART_LINE_ITEMS:
                self._end_part()

    def finish(self) -> tuple[NewFile, ...]:
        """Write what is left and return the segment's files."""
        if self._part is not None:
            self._end_part()
        return tuple(self._files)

    def _end_part(self) -> None:
        assert self._part is not None
        part = self._part
        self._files.append(part.finish_lake())
        self._part = None
        self.inexact.update(part.lake.inexact)
        self._at_point("lake written")
        self._files.extend(part.forms.finish())
        self._at_point("rendered")


def creating(publication: Publication, number: int, dataset: Dataset, segment: str) -> Create:
    """Return what makes the files of one segment; `number` distinguishes the segments of a publication."""
    return lambda rendering, part: publication.create(dataset, segment, rendering, number=number, part=part)


def inexact_in(table: LineItemTable, pieces: Iterable[Ordered]) -> Counter[str]:
    """Count what sealing these line items would round: how many decimals of each number."""
    inexact = Counter[str]()
    for items in pieces:
        for begin in range(0, len(items), ROW_GROUP_LINE_ITEMS):
            texts = list(items.coded(begin, begin + ROW_GROUP_LINE_ITEMS).texts())
            inexact.update(lake_arrays(table.kind, texts, bulk_numbers.decimals)[1])
    return inexact


def render_part(
    create: Create, table: LineItemTable, lake_file: Reader, part: int, renderings: Collection[Rendering]
) -> list[NewFile]:
    """Render one lake file into wire forms: the attributes that it was written with, in one pass over it."""
    with LakeReader(ReaderStream(lake_file), table.kind) as lake:
        forms = _Forms(create, part, replace(table, columns=lake.columns), renderings)
        for batch in lake.batches():
            forms.write(of_columns(batch.columns))
    return forms.finish()


class _Part:
    """The files of one part while they are written, a row group at a time.

    Where a row group ends depends on the line items alone, never on the pieces they come in.
    """

    def __init__(self, create: Create, number: int, table: LineItemTable, renderings: Collection[Rendering]) -> None:
        self._number = number
        self.forms = _Forms(create, number, table, renderings)
        self._lake_file = create(Rendering.LAKE, number)
        self._buffer = pa.BufferedOutputStream(pa.PythonFile(self._lake_file, mode="w"), _BUFFER_SIZE_BYTES)
        # Last, because a Parquet writer must be abandoned, and of a part that was never made nobody could.
        self.lake = LakeWriter(
            self._buffer, table.kind, digests=True, dictionaries=True, decimals=bulk_numbers.decimals
        )
        self._pending: list[Coded] = []
        self._pending_rows = self._pending_size_bytes = 0
        self.line_items = 0

    def add(self, items: Ordered, begin: int) -> int:
        """Take some of the next line items, perhaps none; returns how many."""
        rows = min(ROW_GROUP_LINE_ITEMS - self._pending_rows, PART_LINE_ITEMS - self.line_items)
        sizes = items.sizes(begin, begin + rows)
        room = _ROW_GROUP_SIZE_BYTES_MAX - self._pending_size_bytes
        count = int(np.searchsorted(np.cumsum(sizes), room, side="right"))
        if not self._pending:
            count = max(1, count)
        if count:
            self._pending.append(items.coded(begin, begin + count))
            self._pending_rows += count
            self._pending_size_bytes += int(sizes[:count].sum())
            self.line_items += count
        if count < len(sizes) or count == rows:
            self._write()
        return count

    def _write(self) -> None:
        """Write what is pending as one row group."""
        if self._pending:
            items = self._pending[0] if len(self._pending) == 1 else joined(self._pending)
            self._pending, self._pending_rows, self._pending_size_bytes = [], 0, 0
            self.lake.write(list(items.texts()), digest_array(items.digests))
            self.lake.end_row_group()
            self.forms.write(items)

    def finish_lake(self) -> NewFile:
        """Write what is left and close the lake file, synced."""
        self._write()
        self.lake.finish()
        self._buffer.flush()
        self._lake_file.close()
        return _new_file(Rendering.LAKE, self._number, self._lake_file, self.line_items)

    def abandon(self) -> None:
        """Give up: a Parquet writer would write its file's end when it is forgotten, and may not be able to."""
        self.lake.abandon()
        with suppress(Exception):
            self._buffer.close()


class _Forms:
    """The wire forms of one part while they are written."""

    def __init__(self, create: Create, part: int, table: LineItemTable, renderings: Collection[Rendering]) -> None:
        self._part = part
        self._renderer = Renderer(table, renderings)
        self._writers = {rendering: create(rendering, part) for rendering in renderings}
        # One gzip member each, no more: common clients stop in silence after the first.
        graph = [rendering for rendering in renderings if rendering is not Rendering.V1]
        self._gzips = {rendering: isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31) for rendering in graph}
        self._blocks = BlockWriter(v1) if (v1 := self._writers.get(Rendering.V1)) else None
        self._line_items = 0

    def write(self, items: Coded) -> None:
        """Render line items and write them."""
        self._line_items += len(items)
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
            _new_file(rendering, self._part, writer, self._line_items) for rendering, writer in self._writers.items()
        ]


def _new_file(rendering: Rendering, part: int, writer: FileWriter, line_items: int) -> NewFile:
    return NewFile(rendering, part, writer.path, writer.size_bytes, writer.sha256, line_items)
