"""The contract of a file store: immutable files with paths of the store's own, written once and read at an offset.

Nothing outside this room sees where a file really is. Another store implements `Files` and a subclass of `FileWriter`;
the tests in `tests/storage` then check it against this contract.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from counterfoil.disk.hashing import HashedWriter
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


class FileWriter(HashedWriter):
    """One new file of a store, written once. It is durable once it is closed and `Files.sync` was told of it.

    Nothing is buffered here, so give it large pieces. A store implements `_put` and `_end`; what they raise becomes
    FullDiskError or DataFolderError.
    """

    def __init__(self, path: str) -> None:
        """Use `Files.create`."""
        super().__init__()
        self.path = path

    def write(self, data: ReadableBuffer, /) -> int:
        """Append all of `data`."""
        with translated_errors():
            return super().write(data)

    def close(self) -> None:
        """Close the file; a large one is made durable, unless it was given up."""
        with translated_errors():
            super().close()


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
        """Make closed files durable, their bytes and their names."""

    def open(self, path: str) -> Reader:
        """Open a file for reading; raises DamagedError where there is none."""

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step, durably: a reader sees the old content, or all of the new."""

    def get(self, path: str) -> bytes | None:
        """Return a small file's content, None where there is none."""

    def find(self, prefix: str = "") -> Iterator[Found]:
        """Yield every file whose path begins so (a prefix ends in `/`), also what `put` left half-written."""

    def paths(self, folder: str) -> list[str]:
        """Return the paths of the files in one folder (`x/`), in any order: quicker than `find`."""

    def move(self, path: str, to: str) -> None:
        """Give a file another path, durably; one that is not there is left so."""

    def delete(self, paths: Iterable[str]) -> Deleted:
        """Delete files; those that are not there are passed over."""


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

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; returns how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._reader.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
