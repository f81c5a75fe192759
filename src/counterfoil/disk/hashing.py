"""SHA-256 of files: of those that exist, and of those that are being written."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from counterfoil.disk.durability import close_file, write_all

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Measured(NamedTuple):
    """The size of a file in bytes and its SHA-256 in hex."""

    size_bytes: int
    sha256: str


def measured(path: Path) -> Measured:
    """Read a file to its end and return its size and SHA-256; raises OSError."""
    with path.open("rb") as file:
        return measured_stream(file)


def measured_stream(file: io.BufferedIOBase) -> Measured:
    """Read an open file from its start to its end, and return its size and SHA-256; raises OSError."""
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Measured(file.tell(), sha256)


class HashedWriter(io.RawIOBase):
    """A new file that is written from start to end, where `_put` and `_end` say; it counts and hashes what is written.

    After a write that failed, such as on a full disk, further writes are dropped and `close` does not sync: the error
    was raised once, and a compressor or Parquet writer that is closed or garbage-collected later must not raise it
    again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._whole = True

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written so far, in hex."""
        return self._hash.hexdigest()

    @property
    def measured(self) -> Measured:
        """The size and SHA-256 of what was written so far."""
        return Measured(self.size_bytes, self.sha256)

    def write(self, data: ReadableBuffer, /) -> int:
        """Append all of `data`; raises OSError."""
        view = memoryview(data).cast("B")
        if not self._whole:
            return len(view)
        try:
            self._put(view)
        except BaseException:
            self._whole = False
            raise
        self._hash.update(view)
        self.size_bytes += len(view)
        return len(view)

    def give_up(self) -> None:
        """Drop what is still written to this file, and do not sync it."""
        self._whole = False

    def flush(self) -> None:
        """Do nothing: there is no buffer. Also of a file that was given up and closed, as `write` does nothing then."""

    def writable(self) -> bool:
        """Return True: it can only be written."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self.size_bytes

    def close(self) -> None:
        """Sync the file and close it; closing again does nothing. Raises OSError if the bytes cannot be synced."""
        if not self.closed:
            super().close()
            self._end(whole=self._whole)

    def _put(self, view: memoryview) -> None:
        """Write all of the bytes, or raise."""
        raise NotImplementedError

    def _end(self, *, whole: bool) -> None:
        """Close the file; make its bytes durable if it is whole."""
        raise NotImplementedError


class DiskWriter(HashedWriter):
    """A `HashedWriter` to a file on a disk, which a subclass opens."""

    _descriptor = -1  # `close` is called even where there is no file to open

    def fileno(self) -> int:
        """Return the descriptor of the open file."""
        return self._descriptor

    def _put(self, view: memoryview) -> None:
        write_all(self._descriptor, view)

    def _end(self, *, whole: bool) -> None:
        if self._descriptor >= 0:
            close_file(self._descriptor, sync=whole)


class HashedFile(DiskWriter):
    """A `DiskWriter` to a path."""

    def __init__(self, path: Path) -> None:
        """Create the file, for its owner alone; raises FileExistsError if there is one of that name."""
        super().__init__()
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # Windows alone has O_BINARY
        self._descriptor = os.open(path, flags, 0o600)
