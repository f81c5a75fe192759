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
import pyarrow.parquet as pq
from isal import igzip

from counterfoil.client.line_items.refusing import fail, read_all
from counterfoil.client.protocol.promises import TRY_AGAIN
from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import ProofError
from counterfoil.lake import batch_to_lake, lake_schema
from counterfoil.line_items.blocks import BYTE_ORDER_MARK, DAMAGED_GZIP, Block, blocks, fill, gunzip
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

LINES_PER_FILE_MAX: Final = 250_000
_READ_BYTES: Final = 8 << 20
_ROW_GROUP_LINES: Final = 50_000
# Whoever reads a part of the lines seeks by these; statistics of all columns cost a third of the writing.
_SOUGHT_BY: Final = frozenset(
    {"CustomerId", "SubscriptionId", "UsageDate", "ChargeStartDate", "ChargeEndDate", "InvoiceNumber", "EntitlementId"}
)


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
        self._kind = kind
        self._file = HashedFile(path)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._file, mode="w"),
            lake_schema(kind),
            compression="zstd",
            write_statistics=[name for name in lake_schema(kind).names if name in _SOUGHT_BY],
        )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_lines = 0
        self.line_items = 0
        self.inexact: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add some line items, as columns of text."""
        converted, inexact = batch_to_lake(self._kind, batch)
        for name, count in inexact.items():
            self.inexact[name] = self.inexact.get(name, 0) + count
        self._waiting.append(converted)
        self._waiting_lines += converted.num_rows
        self.line_items += converted.num_rows
        if self._waiting_lines >= _ROW_GROUP_LINES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=self._waiting_lines)
        self._waiting, self._waiting_lines = [], 0

    def finish(self) -> ReceiptFile:
        """Bring the file to the disk and return what the receipt says of it."""
        self._flush()
        self.close()
        return self._file.receipt(self.line_items)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._writer.close()
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
