"""The files that a pull writes, and the blobs that it fetched, read as streams so that memory stays flat.

A gzip file shows only at its very end whether it is whole, so a blob counts as read when it was read to the end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
from isal import igzip

from counterfoil.client.line_items.refusing import fail, read_all
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import ProofError
from counterfoil.lake import text_schema
from counterfoil.lake_files import LakeWriter
from counterfoil.line_items.blocks import BYTE_ORDER_MARK, DAMAGED_GZIP, Block, blocks, fill, gunzip
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

LINES_PER_FILE_MAX: Final = 250_000
_READ_BYTES: Final = 8 << 20
_ROW_GROUP_LINES: Final = 50_000


def read_blocks(path: Path, name: str) -> Iterator[Block]:
    """Yield the lines of a gzip blob in blocks; raises ProofError if it is not whole.

    A byte order mark and a missing last newline are tolerated, as are several gzip members.
    """
    if not path.stat().st_size:  # gzip of nothing has some twenty bytes, but its readers accept no bytes as well
        raise ProofError(f"The blob {name} is cut or corrupt: it has no bytes.", remedy=TRY_AGAIN)
    with path.open("rb") as file, gunzip(file) as stream:

        def read_into(memory: memoryview) -> int:
            try:
                return fill(stream, memory)
            except DAMAGED_GZIP as error:
                raise ProofError(f"The blob {name} is cut or corrupt: {error}.", remedy=TRY_AGAIN) from error

        first = memoryview(bytearray(_READ_BYTES))
        head = bytes(first[: read_into(first)]).removeprefix(BYTE_ORDER_MARK)
        try:
            yield from blocks(read_into, head, size_bytes=_READ_BYTES)
        except Refused as refused:
            fail(refused, f"The blob {name}, line {refused.line}")


def batches_of(path: Path, name: str, reader: LineReader, *, coded: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the line items of a gzip file as columns of text; raises ProofError."""
    for block in read_blocks(path, name):
        batch = read_all(reader, block, f"The blob {name}", coded=coded)
        if batch.num_rows:
            yield batch


def _gzip(file: HashedFile) -> Any:
    return igzip.IGzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0)  # type: ignore[no-untyped-call]


class HashedFile:
    """A file that is written from start to end, and knows its size and SHA-256 when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, data: bytes) -> int:
        """Append some bytes."""
        self._digest.update(data)
        self.size_bytes += memoryview(data).nbytes
        return self._file.write(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self.size_bytes

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Bring everything to the disk; closing again does nothing."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def receipt(self, line_items: int) -> ReceiptFile:
        """Return what the receipt says of this file."""
        return ReceiptFile(self.path.name, self.size_bytes, self._digest.hexdigest(), line_items)


class LakeFile:
    """One Parquet file with the lake's columns."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self._names = text_schema(kind).names
        self._file = HashedFile(path)
        self._writer = LakeWriter(pa.PythonFile(self._file, mode="w"), kind, digests=False)

    @property
    def line_items(self) -> int:
        """How many line items were added."""
        return self._writer.line_items

    @property
    def inexact(self) -> dict[str, int]:
        """How many decimals of each number were rounded."""
        return dict(self._writer.inexact)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add some line items, as columns of text."""
        absent = pa.nulls(batch.num_rows, pa.string())
        self._writer.write([batch[name] if name in batch.schema.names else absent for name in self._names])
        if self._writer.waiting_line_items >= _ROW_GROUP_LINES:
            self._writer.end_row_group()

    def finish(self) -> ReceiptFile:
        """Bring the file to the disk and return what the receipt says of it."""
        self._writer.finish()
        self._file.close()
        return self._file.receipt(self.line_items)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._writer.abandon()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class LinesFile:
    """One gzip file of JSON lines; the same line items give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._file = HashedFile(path)
        # No name and no time in the header: they are not of the data.
        self._stream: Any = _gzip(self._file)
        self.line_items = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Add some line items; none of them holds a newline."""
        self._stream.write(b"".join(line + b"\n" for line in lines))
        self.line_items += len(lines)

    def finish(self) -> ReceiptFile:
        """Bring the file to the disk and return what the receipt says of it."""
        self.close()
        return self._file.receipt(self.line_items)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._stream.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
