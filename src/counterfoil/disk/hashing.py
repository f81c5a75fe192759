"""SHA-256 of files: of those that exist, and of those that are being written."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_WRITE_BYTES_MAX: Final = 1 << 30  # systems write at most 2 GiB at once


class Measured(NamedTuple):
    """The size of a file in bytes and its SHA-256 in hex."""

    size_bytes: int
    sha256: str


def measured(path: Path) -> Measured:
    """Read a file to its end and return its size and SHA-256; raises OSError."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Measured(file.tell(), sha256)


class HashedFile(io.RawIOBase):
    """A new file that is written from start to end; it counts and hashes what is written, and is synced when closed.

    After a write that failed, such as on a full disk, further writes are dropped and `close` does not sync: the error
    was raised once, and a compressor or Parquet writer that is closed or garbage-collected later must not raise it
    again.
    """

    def __init__(self, path: Path) -> None:
        """Create the file; raises FileExistsError if there is one of that name."""
        super().__init__()
        self.path = path
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._whole = True
        self._descriptor = -1  # `close` is called even where there is no file to open
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # Windows alone has O_BINARY
        self._descriptor = os.open(path, flags, 0o666)

    @property
    def measured(self) -> Measured:
        """The size and SHA-256 of what was written so far."""
        return Measured(self.size_bytes, self._hash.hexdigest())

    def write(self, data: ReadableBuffer, /) -> int:
        """Append all of `data`; raises OSError."""
        view = memoryview(data).cast("B")
        if not self._whole:
            return len(view)
        written = 0
        try:
            while written < len(view):
                written += os.write(self._descriptor, view[written : written + _WRITE_BYTES_MAX])
        except BaseException:
            self._whole = False
            raise
        self._hash.update(view)
        self.size_bytes += written
        return written

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

    def fileno(self) -> int:
        """Return the descriptor of the open file."""
        return self._descriptor

    def close(self) -> None:
        """Sync the file and close it; closing again does nothing. Raises OSError if the bytes cannot be synced."""
        if self.closed:
            return
        super().close()
        if self._descriptor < 0:
            return
        try:
            if self._whole:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
