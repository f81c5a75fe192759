"""Opening input files: plain or gzip, from disk or standard input, as chunks of whole lines.

Nothing here believes a file name: gzip is known by its first two bytes. Memory is bounded whatever comes - a gzip
bomb meets the limit on a line's length (or on blank lines) long before it meets the end of memory.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from isal import igzip, igzip_lib

from counterfoil.errors import DamagedInputError, InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_SIZE_BYTES = 8 << 20  # a line that is too long must show in it
CHUNK_SIZE_BYTES = 4 << 20
LINE_SIZE_BYTES_MAX = 4 << 20
BLANK_LINES_MAX = 100_000
_BLANK_LINES = b"\n" * BLANK_LINES_MAX
_NEWLINE = ord("\n")
STANDARD_INPUT = "-"
_GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some whole lines: their bytes without the final newline, and the number of the first one.

    `begun` stands before `rest`: the beginning of the first line, which was read with the chunk before. Joining the
    two copies megabytes, so whoever copies them anyway should take them as they are.
    """

    rest: bytes | memoryview
    first_line: int
    begun: bytes = b""

    @property
    def data(self) -> bytes:
        """The lines in one piece."""
        return b"".join((self.begun, self.rest))


class Source:
    """One input file. Iterate `chunks()` once; `head`, its first megabytes, may be looked at before."""

    def __init__(self, name: str) -> None:
        self.name = "standard input" if name == STANDARD_INPUT else name
        self._given = name
        self._stack = ExitStack()
        self._stream: BinaryIO | None = None
        self.head = b""

    def __enter__(self) -> Source:
        try:
            self._stream = self._open()
            self.head = self._read(HEAD_SIZE_BYTES)
            self.head = self.head.removeprefix(BYTE_ORDER_MARK)
        except BaseException:
            self._stack.close()
            raise
        if not self.head.strip():
            self._stack.close()
            raise InputError("the file is empty", file=self.name, remedy="Nothing was published.")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> BinaryIO:
        try:
            raw: BinaryIO
            if self._given == STANDARD_INPUT:
                raw = sys.stdin.buffer
            else:
                raw = self._stack.enter_context(Path(self._given).open("rb"))  # noqa: SIM115 - the stack closes it
            magic = raw.read(len(_GZIP_MAGIC))
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror or error}", file=self.name, remedy="Check the path."
            ) from error
        if raw.seekable():
            raw.seek(-len(magic), io.SEEK_CUR)
            stream = raw
        else:
            stream = cast("BinaryIO", io.BufferedReader(_Rejoined(magic, raw), 1 << 20))
        if magic == _GZIP_MAGIC:
            unpacked = igzip.open(stream, "rb")  # type: ignore[no-untyped-call]
            return cast("BinaryIO", self._stack.enter_context(unpacked))
        return stream

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        pieces, left = [], size
        try:
            while left > 0:
                piece = self._stream.read(left)
                if not piece:
                    break
                pieces.append(piece)
                left -= len(piece)
        except (EOFError, gzip.BadGzipFile, igzip_lib.IsalError) as error:  # type: ignore[misc]
            raise DamagedInputError(
                f"the gzip data is cut or corrupt: {error}", file=self.name, remedy="Fetch the file again."
            ) from error
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", file=self.name) from error
        return b"".join(pieces)

    def whole(self, size_bytes_max: int) -> bytes | None:
        """Return everything that is left, or None if it is more than `size_bytes_max`."""
        rest = self._read(size_bytes_max - len(self.head) + 1)
        everything = self.head + rest
        self.head = everything
        return everything if len(everything) <= size_bytes_max else None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the lines in order, in chunks of a few megabytes; raises InputError on a line that never ends."""
        begun, line, blank = b"", 1, 0
        fresh, ended = self.head, False
        while True:
            cut = fresh.rfind(b"\n")
            whole = cut >= 0 or ended
            end = len(fresh) if ended and cut != len(fresh) - 1 else max(cut, 0)
            # Twelve times as quick as counting with the method of bytes.
            lines = int(np.count_nonzero(np.frombuffer(fresh, dtype=np.uint8) == _NEWLINE))
            chunk = Chunk(memoryview(fresh)[:end], line, begun)
            begun = fresh[end + 1 :] if whole else begun + fresh
            line += lines
            if len(begun) > LINE_SIZE_BYTES_MAX:
                raise InputError(
                    f"a line of more than {LINE_SIZE_BYTES_MAX >> 20} MiB",
                    file=self.name,
                    line=line,
                    remedy="Line items are one JSON object a line; is this another kind of file?",
                )
            blank = blank + lines if not chunk.begun.strip() and (not fresh or fresh.isspace()) else 0
            if blank > BLANK_LINES_MAX or (lines >= BLANK_LINES_MAX and _BLANK_LINES in fresh):
                raise InputError(f"more than {BLANK_LINES_MAX:,} blank lines", file=self.name, line=chunk.first_line)
            if whole and (chunk.begun or fresh):
                yield chunk
            if ended:
                return
            fresh = self._read(CHUNK_SIZE_BYTES)
            ended = len(fresh) < CHUNK_SIZE_BYTES


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already: a pipe cannot go back, and `peek` may see one byte only."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._first[: len(view)] or self._rest.read(len(view))
        self._first = self._first[len(view) :]
        view[: len(piece)] = piece
        return len(piece)
