"""Writing the files of a pull and reading the blobs it fetched: streaming, so that memory stays flat.

A gzip file shows only at its very end whether it is whole, so a blob counts as read only when it was read to the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import pyarrow as pa
from isal import igzip

from counterfoil.client.protocol.addresses import shown
from counterfoil.client.protocol.promised_totals import TRY_AGAIN
from counterfoil.client.receipt import ReceiptFile
from counterfoil.disk.hashing import HashedFile
from counterfoil.errors import ProofError
from counterfoil.line_items.blocks import BYTE_ORDER_MARK, DAMAGED_GZIP, Block, blocks, fill, gunzip
from counterfoil.line_items.lake_files import LakeWriter
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.reference import OnRefused
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind

LINES_PER_FILE_MAX: Final = 250_000
_READ_BYTES: Final = 2 << 20
_ROW_GROUP_LINES: Final = 50_000
_ROW_GROUP_SIZE_BYTES: Final = 24 << 20


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
            _fail(refused, f"The blob {name}, line {refused.line}")


def batches_of(path: Path, name: str, reader: LineReader, *, coded: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the line items of a gzip file as columns of text, see `LineReader`; raises ProofError."""
    for batch in reader.read_blocks(read_blocks(path, name), _refusing(f"The blob {name}"), coded=coded):
        if batch.num_rows:
            yield batch


def made_ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """Yield batches, each of them made by a thread while the one before is in use. Close it."""
    with ThreadPoolExecutor(1, "counterfoil-ahead") as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def read_all(reader: LineReader, lines: Sequence[bytes], where: str) -> pa.RecordBatch:
    """Return lines as columns of text; raises ProofError for the first bad one.

    `where` names the page in errors.
    """
    return reader.read(lines, _refusing(where))


def _refusing(where: str) -> OnRefused:
    return lambda line, refused: _fail(refused, f"{where}, line item {line:,}")


def _fail(refused: Refused, where: str) -> NoReturn:
    """Raise the ProofError for what was refused at a place."""
    attribute = f", {shown(refused.attribute)}" if refused.attribute else ""
    value = f" ({shown(refused.value)!r})" if refused.value is not None else ""
    raise ProofError(f"{where}{attribute}: {refused.reason}{value}.")


def receipt_of(file: HashedFile, line_items: int) -> ReceiptFile:
    """Return what a receipt says of a file that was written."""
    return ReceiptFile(file.path.name, file.size_bytes, file.measured.sha256, line_items)


class _OutputFile:
    """A file of a pull while it is written. As a context it is closed whatever happens."""

    def __init__(self, path: Path) -> None:
        self._file = HashedFile(path)
        self.inexact: Mapping[str, int] = {}  # how many decimals of each number were rounded

    def close(self) -> None:
        """Let go of the file, finished or not; raises OSError if it cannot be written to its end."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        self._file.give_up()  # the error on its way is the one to tell
        with suppress(OSError, ValueError, pa.ArrowException):
            self.close()


class LakeFile(_OutputFile):
    """One Parquet file with the lake's columns."""

    def __init__(self, path: Path, kind: Kind) -> None:
        super().__init__(path)
        self._writer = LakeWriter(pa.PythonFile(self._file, mode="w"), kind, digests=False, dictionaries=True)
        self.inexact = self._writer.inexact
        self._waiting_size_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add some line items, as the columns of `lake.text_schema`."""
        self._writer.write(batch.columns)
        self._waiting_size_bytes += batch.nbytes
        if self._writer.waiting_line_items >= _ROW_GROUP_LINES or self._waiting_size_bytes >= _ROW_GROUP_SIZE_BYTES:
            self._waiting_size_bytes = 0
            self._writer.end_row_group()

    def finish(self) -> ReceiptFile:
        """Bring the file to the disk and return what the receipt says of it."""
        self._writer.finish()
        self._file.close()
        return receipt_of(self._file, self._writer.line_items)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._writer.abandon()
        self._file.close()


class LinesFile(_OutputFile):
    """One gzip file of JSON lines; the same line items give the same bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # No name and no time in the header: they are not of the data.
        self._stream: Any = igzip.IGzipFile("", "wb", 1, self._file, mtime=0)  # type: ignore[no-untyped-call]
        self.line_items = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Add some line items; none of them holds a newline."""
        self._stream.write(b"".join(line + b"\n" for line in lines))
        self.line_items += len(lines)

    def finish(self) -> ReceiptFile:
        """Bring the file to the disk and return what the receipt says of it."""
        self.close()
        return receipt_of(self._file, self.line_items)

    def close(self) -> None:
        """Close the file, finished or not; raises OSError if it cannot be written to its end."""
        try:
            self._stream.close()
        finally:
            self._file.close()
