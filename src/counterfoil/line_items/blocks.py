"""Blocks of whole lines from a stream of bytes, in bounded memory, and gzip streams."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from counterfoil.line_items.values import Refused

LINE_SIZE_BYTES_MAX: Final = 4 << 20
BLANK_LINES_MAX: Final = 100_000
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# What reading a damaged gzip stream raises.
DAMAGED_GZIP: Final[Any] = (EOFError, zlib.error, isal_zlib.error, gzip.BadGzipFile)
BLOCK_SIZE_BYTES: Final = 4 << 20
_BLANK_LINES: Final = b"\n" * BLANK_LINES_MAX


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines: their bytes without the last newline, and the number of the first line.

    Valid until the next block is asked for: all blocks of a stream share their memory.
    """

    data: bytes | memoryview
    first_line: int

    def lines(self) -> list[bytes]:
        """Return copies of the lines."""
        return bytes(self.data).split(b"\n")


def _count_newlines(memory: bytearray, begin: int, end: int) -> int:
    count = 0  # bytearray.count looks at one byte after the other, where `find` takes many at once
    while begin := memory.find(b"\n", begin, end) + 1:
        count += 1
    return count


def blocks(
    read_into: Callable[[memoryview], int],
    head: bytes = b"",
    *,
    size_bytes: int = BLOCK_SIZE_BYTES,
    is_all: bool = False,
    count_newlines: Callable[[bytearray, int, int], int] = _count_newlines,
) -> Iterator[Block]:
    """Yield the lines of a stream, about `size_bytes` of them at a time; raises Refused for a line that does not end.

    `head` was read from the stream before; `is_all`: the stream holds nothing more. `read_into` fills the memory it is
    given, or as much of it as the stream has left, and returns how many bytes that was.
    """
    memory = bytearray(head) if is_all else bytearray(max(len(head), LINE_SIZE_BYTES_MAX + size_bytes))
    memory[: len(head)] = head
    begun, size, ended = 0, len(head), is_all  # `begun` bytes are the start of a line, and were searched before
    line, blank = 1, 0
    while True:
        cut = memory.rfind(b"\n", begun, size)
        end = size if ended and cut != size - 1 else cut  # below zero: no line is whole yet
        lines = count_newlines(memory, begun, size)
        if size - end - 1 > LINE_SIZE_BYTES_MAX:
            raise Refused(
                f"a line of more than {LINE_SIZE_BYTES_MAX >> 20} MiB",
                line=line + lines,
                remedy="Line items are one JSON object a line; is this another kind of file?",
            )
        blank = blank + lines if _is_blank(memory, size) else 0
        if blank > BLANK_LINES_MAX or (lines >= BLANK_LINES_MAX and memory.find(_BLANK_LINES, begun, size) >= 0):
            raise Refused(f"more than {BLANK_LINES_MAX:,} blank lines", line=line)
        if end > 0:
            yield Block(memoryview(memory)[:end], line)
        if ended:
            return
        line += lines
        begun = size - end - 1
        memory[:begun] = memory[end + 1 : size]
        count = read_into(memoryview(memory)[begun : begun + size_bytes])
        size, ended = begun + count, count < size_bytes


def _is_blank(memory: bytearray, size: int) -> bool:
    return not memory[: min(size, 64)].strip() and not memory[:size].strip()


def fill(stream: BinaryIO, memory: memoryview) -> int:
    """Fill the memory, or as much of it as the stream has left; returns how many bytes that was."""
    filled = 0
    while filled < len(memory) and (count := stream.readinto(memory[filled:])):  # type: ignore[attr-defined]
        filled += count
    return filled


def gunzip(stream: BinaryIO) -> BinaryIO:
    """Return what is in a gzip stream of one or several members; reading it raises `DAMAGED_GZIP`."""
    return cast("BinaryIO", igzip.IGzipFile(fileobj=stream, mode="rb"))  # type: ignore[no-untyped-call]


def is_utf8(data: object) -> bool:
    """Return whether bytes (anything with a buffer, less than 2 GiB) are UTF-8."""
    # Arrow is quicker than Python, which would also build a text.
    buffer = pa.py_buffer(data)
    ends = pa.py_buffer(struct.pack("=ii", 0, buffer.size))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, ends, buffer]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True
