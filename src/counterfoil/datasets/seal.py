"""Sealing a segment: line items in order become files that are never written again.

Every 250,000 line items make one part: a lake file, and the wire forms rendered from it - `graph-full`,
`graph-basic` and, for unbilled data, `v1`. The forms are a function of the lake file alone, so that they can be
dropped and made again with equal bytes. Nothing here decides whether a segment is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import isal_zlib

from counterfoil.columns import EXTRA, LineItemTable, Type
from counterfoil.datasets.render import Renderer
from counterfoil.lake import lake_schema, table_to_lake
from counterfoil.model import Rendering, Scope
from counterfoil.storage.files import FileWriter, Publication
from counterfoil.storage.records import NewFile
from counterfoil.wire.v1_blocks import BlockWriter

PART_LINE_ITEMS = 250_000
ROW_GROUP_LINE_ITEMS = 25_000
_PIECE_SIZE_BYTES = 4 << 20
_ESCAPED = b"counterfoil:escaped"
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'
_SUFFIXES = {
    Rendering.LAKE: ".lake.parquet",
    Rendering.GRAPH_FULL: ".graph-full.json.gz",
    Rendering.GRAPH_BASIC: ".graph-basic.json.gz",
    Rendering.V1: ".v1",
}


def renderings_of(scope: Scope) -> tuple[Rendering, ...]:
    """Return the wire forms a dataset of this scope has; v1 serves unbilled data only."""
    graph = (Rendering.GRAPH_FULL, Rendering.GRAPH_BASIC)
    return graph if scope.is_billed else (*graph, Rendering.V1)


def rendered_name(prefix: str, part: int, rendering: Rendering) -> str:
    """Return the file name of one part's rendering; `prefix` tells segments of one publication apart."""
    return f"{prefix}-p{part:05}{_SUFFIXES[rendering]}"


class SegmentSealer:
    """Takes one segment's line items in order and writes its files into a publication."""

    def __init__(
        self,
        publication: Publication,
        number: int,
        table: LineItemTable,
        scope: Scope,
        stop: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publication = publication
        self._prefix = f"s{number}"
        self._table = table
        self._renderings = renderings_of(scope)
        self._stop = stop
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._part: _LakePart | None = None
        self._files: list[NewFile] = []
        self.inexact: Counter[str] = Counter()

    def write(self, items: pa.Table) -> None:
        """Take the next line items: text columns, in order."""
        self._pending.append(items)
        self._pending_rows += items.num_rows
        while self._pending_rows >= ROW_GROUP_LINE_ITEMS:
            self._write_row_group(ROW_GROUP_LINE_ITEMS)

    def finish(self) -> tuple[NewFile, ...]:
        """Write what is left and return the segment's files."""
        if self._pending_rows:
            self._write_row_group(self._pending_rows)
        if self._part is not None:
            self._end_part()
        return tuple(self._files)

    def _write_row_group(self, rows: int) -> None:
        waiting = pa.concat_tables(self._pending)
        group, rest = waiting.slice(0, rows).combine_chunks(), waiting.slice(rows)
        self._pending, self._pending_rows = [rest], rest.num_rows
        if self._part is None:
            name = rendered_name(self._prefix, self._parts(), Rendering.LAKE)
            self._part = _LakePart(self._publication, name, self._table)
        self.inexact.update(self._part.write(group))
        if self._part.line_items >= PART_LINE_ITEMS:
            self._end_part()

    def _end_part(self) -> None:
        assert self._part is not None
        part, self._part = self._part, None
        number = self._parts()
        lake = part.finish()
        self._files.append(_new_file(Rendering.LAKE, number, lake, part.line_items))
        self._stop("lake written")
        names = {rendering: rendered_name(self._prefix, number, rendering) for rendering in self._renderings}
        lake_path = self._publication.folder / rendered_name(self._prefix, number, Rendering.LAKE)
        self._files.extend(render_part(self._publication, self._table, lake_path, number, names))
        self._stop("rendered")

    def _parts(self) -> int:
        return sum(file.rendering is Rendering.LAKE for file in self._files)


def render_part(
    publication: Publication, table: LineItemTable, lake_path: Path, part: int, names: dict[Rendering, str]
) -> list[NewFile]:
    """Render one lake file into the named wire forms, all in one pass over it."""
    with pq.ParquetFile(lake_path) as lake:
        escaped = _escaped_columns(lake.metadata.metadata or {}, table)
        line_items = lake.metadata.num_rows
    writers = {rendering: publication.create(name) for rendering, name in names.items()}
    blobs = {rendering: GzipLines(writer) for rendering, writer in writers.items() if rendering is not Rendering.V1}
    blocks = BlockWriter(cast("BinaryIO", writers[Rendering.V1])) if Rendering.V1 in writers else None
    renderer = Renderer(table, names)
    try:
        for rendered in renderer.render(lake_path, escaped):
            for rendering, blob in blobs.items():
                blob.write(_text_bytes(rendered.texts[rendering]))
            if blocks is not None and rendered.credit is not None:
                blocks.add(_items(rendered.texts[Rendering.V1]), rendered.credit.to_pylist())
    finally:
        renderer.close()
    for blob in blobs.values():
        blob.finish()
    if blocks is not None:
        blocks.finish()
    for writer in writers.values():
        writer.close()
    return [_new_file(rendering, part, writer, line_items) for rendering, writer in writers.items()]


class GzipLines:
    """One gzip member, no more: common clients stop in silence after the first. Equal lines give equal bytes."""

    def __init__(self, out: FileWriter) -> None:
        self._out = out
        # Level 1 is fast and gives the same bytes on every processor; level 3 does not.
        self._gzip = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
        self._waiting = bytearray()

    def write(self, lines: memoryview) -> None:
        """Take whole lines. They are compressed in pieces of fixed size, whatever the sizes they come in."""
        self._waiting += lines
        while len(self._waiting) >= _PIECE_SIZE_BYTES:
            self._out.write(self._gzip.compress(bytes(self._waiting[:_PIECE_SIZE_BYTES])))
            del self._waiting[:_PIECE_SIZE_BYTES]

    def finish(self) -> None:
        """Write the end of the member."""
        self._out.write(self._gzip.compress(bytes(self._waiting)))
        self._out.write(self._gzip.flush())


class _LakePart:
    """One lake file being written. Notes which columns need escaping in JSON, for the renderer."""

    def __init__(self, publication: Publication, name: str, table: LineItemTable) -> None:
        self._table = table
        self._out = publication.create(name)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._out, mode="w"),
            lake_schema(table.kind),
            compression="zstd",
            compression_level=1,
        )
        self._escaped: set[str] = set()
        self.line_items = 0

    def write(self, items: pa.Table) -> dict[str, int]:
        """Append one row group; returns how many decimals of each number had to be rounded."""
        for column in self._table.columns:
            texts = items.column(column.name)
            if column.type is Type.TEXT and column.name not in self._escaped and _any_needs_escape(texts):
                self._escaped.add(column.name)
        lake, inexact = table_to_lake(self._table.kind, items)
        self._writer.write_table(lake, row_group_size=ROW_GROUP_LINE_ITEMS)
        self.line_items += items.num_rows
        return inexact

    def finish(self) -> FileWriter:
        """Close the file, synced."""
        self._writer.add_key_value_metadata({_ESCAPED: ",".join(sorted(self._escaped)).encode()})
        self._writer.close()
        self._out.close()
        return self._out


def _escaped_columns(metadata: dict[bytes, bytes], table: LineItemTable) -> Collection[str]:
    noted = metadata.get(_ESCAPED)
    if noted is None:
        return {column.name for column in table.columns} | {EXTRA}
    return set(noted.decode().split(","))


def _any_needs_escape(texts: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, _NEEDS_ESCAPE)).as_py())


def _new_file(rendering: Rendering, part: int, writer: FileWriter, line_items: int) -> NewFile:
    return NewFile(rendering, part, writer.stored, writer.size_bytes, writer.sha256, line_items)


def _text_bytes(texts: pa.Array) -> memoryview:
    """Return the bytes of all texts of an array, end to end; its buffer already is the file's content."""
    offsets, data = _buffers(texts)
    return data[offsets[0] : offsets[-1]]


def _items(texts: pa.Array) -> Sequence[memoryview]:
    offsets, data = _buffers(texts)
    return [data[a:z] for a, z in pairwise(offsets)]


def _buffers(texts: pa.Array) -> tuple[list[int], memoryview]:
    assert texts.type == pa.string()
    _, offsets, data = texts.buffers()
    view = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return view.tolist(), memoryview(data or b"").cast("b").cast("B")
