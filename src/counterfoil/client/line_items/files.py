"""The files a pull leaves, and reading the blobs it fetched: streaming, so that memory stays flat.

What a newcomer would get wrong: a gzip file tells only at its very end whether it is whole, so a blob is believed
when it was read to the end, not before.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import pyarrow as pa
from isal import igzip, isal_zlib

from counterfoil.client.line_items.reading import LineReader
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.client.receipt import ReceiptFile
from counterfoil.errors import ProofError
from counterfoil.lake import text_schema
from counterfoil.lake_files import LakeWriter
from counterfoil.model import Kind

LINES_PER_FILE_MAX: Final = 250_000
LINE_BYTES_MAX: Final = 4 << 20
_READ_BYTES: Final = 8 << 20
_ROW_GROUP_LINES: Final = 50_000
_DAMAGED: Final[Any] = (EOFError, zlib.error, isal_zlib.error, gzip.BadGzipFile)


def read_blocks(path: Path, name: str) -> Iterator[bytes]:
    """Yield the text of a gzip blob in blocks of whole lines; raises ProofError if it is not whole.

    A byte order mark and a missing last newline are tolerated, as are several gzip members.
    """
    if not path.stat().st_size:  # gzip of nothing has some twenty bytes; its readers take no bytes for the same
        raise ProofError(f"The blob {name} is cut or corrupt: it has no bytes.", remedy=TRY_AGAIN)
    carry, first = b"", True
    with path.open("rb") as file, _gunzip(file) as stream:
        while True:
            try:
                fresh = stream.read(_READ_BYTES)
            except _DAMAGED as error:
                raise ProofError(f"The blob {name} is cut or corrupt: {error}.", remedy=TRY_AGAIN) from error
            if first:
                fresh, first = fresh.removeprefix(b"\xef\xbb\xbf"), False
            cut = fresh.rfind(b"\n") + 1
            if cut or not fresh:
                block = b"".join((carry, memoryview(fresh)[:cut]))
                carry = fresh[cut:]
                if block:
                    yield block
            else:
                carry += fresh
            if len(carry) > LINE_BYTES_MAX:
                raise ProofError(f"The blob {name} has a line of more than {LINE_BYTES_MAX >> 20} MiB.")
            if not fresh:
                return


def batches_of(path: Path, name: str, reader: LineReader, *, coded: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the line items of a gzip file as columns of text; raises ProofError."""
    for block in read_blocks(path, name):
        batch = reader.read_block(block, f"The blob {name}", coded=coded)
        if batch.num_rows:
            yield batch


def _gunzip(file: BinaryIO) -> Any:
    return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[no-untyped-call]


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
