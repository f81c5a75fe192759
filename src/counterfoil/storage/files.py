"""The contract of a file store: immutable files with paths of the store's own, written once and read at an offset.

Nothing outside this room sees where a file really is. Another store implements `Files` and a subclass of `FileWriter`;
the tests in `tests/storage` then check it against this contract.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from counterfoil.storage.failures import translated_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many files were deleted, and their bytes."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(self.files + other.files, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there, listed or not."""

    path: str
    size_bytes: int


class FileWriter(io.RawIOBase):
    """One new file, written once: counted and hashed on the way. After `close` has returned, its bytes are durable.

    Nothing is buffered here, so give it large pieces. A store implements `_put` and `_end`.
    """

    def __init__(self, path: str) -> None:
        """Use `Files.create`."""
        super().__init__()
        self.path = path
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._whole = True

    @property
    def sha256(self) -> str:
        """The SHA-256 of all that was written, in hex."""
        return self._hash.hexdigest()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data`; raises FullDiskError.

        After a failed write or `give_up`, later writes (say from a buffer that is garbage-collected) are dropped: an
        error there could not be handled.
        """
        view = memoryview(data).cast("B")
        if not self._whole:
            return len(view)
        try:
            with translated_errors():
                self._put(view)
        except BaseException:
            self._whole = False
            raise
        self._hash.update(view)
        self.size_bytes += len(view)
        return len(view)

    def give_up(self) -> None:
        """Make no promise for this file any more, whatever is still written to it."""
        self._whole = False

    def writable(self) -> bool:
        """Writing is all it is for."""
        return True

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self.size_bytes

    def close(self) -> None:
        """Make the file durable and close it; one that was given up is only closed."""
        if self.closed:
            return
        super().close()
        with translated_errors():
            self._end(whole=self._whole)

    def _put(self, view: memoryview) -> None:
        """Write all of the bytes, or raise."""
        raise NotImplementedError

    def _end(self, *, whole: bool) -> None:
        """Close; make the bytes durable if the file is whole."""
        raise NotImplementedError


class Reader(Protocol):
    """A stored file opened for reading; threads may share it. It closes itself when nobody refers to it any more."""

    @property
    def size_bytes(self) -> int:
        """Its size."""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end of the file."""

    def read_cached(self, offset: int, length: int) -> bytes | bytearray | None:
        """Return at least one byte that can be had without waiting, or None: then `read` on another thread."""


class Files(Protocol):
    """A store of files. All methods raise DataFolderError and FullDiskError, and DamagedError for a path not ours."""

    def create(self, path: str) -> FileWriter:
        """Make a file; raises FileExistsError where there is one."""

    def sync(self, paths: Iterable[str]) -> None:
        """Make the names of closed files durable."""

    def open(self, path: str) -> Reader:
        """Open a file for reading; raises DamagedError where there is none."""

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step, durably: a reader sees the old content, or all of the new."""

    def get(self, path: str) -> bytes | None:
        """Return a small file's content, None where there is none."""

    def find(self, prefix: str = "") -> Iterator[Found]:
        """Yield every file whose path begins so (a prefix ends in `/`), also what `put` left half-written."""

    def move(self, path: str, to: str) -> None:
        """Give a file another path, durably; one that is not there is left so."""

    def delete(self, paths: Iterable[str]) -> Deleted:
        """Delete files; those that are not there are passed over."""


def arrow_file(reader: Reader) -> pa.NativeFile:
    """Return a reader as a file of Arrow's."""
    return pa.PythonFile(ReaderStream(reader), mode="r")


class ReaderStream(io.RawIOBase):
    """A reader as a seekable file, for libraries that want one."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        """Reading is all it is for."""
        return True

    def seekable(self) -> bool:
        """It can be read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reader.size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; returns how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._reader.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
