"""The `v1` rendering: line items as v1 JSON, in blocks that can be served without being unpacked.

    file     magic, block, block, ..., index, trailer          (all numbers little endian)
    block    the items' JSON joined by commas, deflated; then the items' lengths (u32 each), zlib-compressed
    index    for each block: offset u64, deflated length u32, lengths' length u32, JSON length u32,
             CRC-32 of the JSON u32, item count u16, bitmap of the items that have partner earned credit
    trailer  index offset u64, index length u32, CRC-32 of the index u32, magic

A block is *raw* deflate that ends in a full flush and holds no final bit. It refers to nothing before it, ends on a
byte, and so can be in the middle of somebody else's gzip member: see `around_in_gzip`. Several gzip members one after
the other would look simpler, and httpx, curl and zlib would silently stop after the first one.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol, cast

from isal import isal_zlib

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import DamagedError, InputError

ITEMS_MAX: Final = lifetimes_and_sizes.BLOCK_LINE_ITEMS_MAX
BLOCK_SIZE_BYTES_MAX: Final = lifetimes_and_sizes.BLOCK_SIZE_BYTES_MAX
ITEM_SIZE_BYTES_MAX: Final = lifetimes_and_sizes.LINE_ITEM_SIZE_BYTES_MAX
ITEM_SIZE_BYTES_MIN: Final = 2  # {}

_MAGIC: Final = b"CFV1\x00\x01\x00\x00"
_TRAILER_MAGIC: Final = b"CFV1IDX\x00"
_ENTRY: Final = struct.Struct("<QIIIIH")
_TRAILER: Final = struct.Struct("<QII8s")
_GZIP_TRAILER: Final = struct.Struct("<II")
_STORED: Final = struct.Struct("<BHH")

# Full flush: an empty stored block. Whatever follows starts on a byte and refers to nothing before.
_FLUSHED: Final = b"\x00\x00\xff\xff"
# Method deflate, no name, no time, "fastest", unknown system: the same bytes on every machine.
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_STORED_MAX: Final = 0xFFFF
_IsalError = cast("type[Exception]", isal_zlib.IsalError)  # its stubs take the class for an instance
_LEVEL: Final = 1  # isal's level 1 gives the same bytes on every CPU; level 3 does not


def deflate(json: bytes | bytearray | memoryview) -> bytes:
    """Return `json` as raw deflate that ends in a full flush, without a final bit."""
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
    return bytes(compressor.compress(json) + compressor.flush(isal_zlib.Z_FULL_FLUSH))


def around_in_gzip(head: bytes, json_length: int, crc32: int, tail: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after a stored block in one gzip member of `head` + its JSON + `tail`.

    The block is not unpacked, not even read; head and tail go in as stored (uncompressed) deflate blocks, because
    they are small and compressing them would be most of the work.
    """
    checksum = isal_zlib.crc32_combine(isal_zlib.crc32(head), crc32, json_length)
    checksum = isal_zlib.crc32(tail, checksum)
    length = (len(head) + json_length + len(tail)) & 0xFFFFFFFF
    before = _GZIP_HEADER + _stored(head, final=False)
    return before, _stored(tail, final=True) + _GZIP_TRAILER.pack(checksum, length)


def to_gzip(head: bytes, json: bytes | memoryview, tail: bytes) -> tuple[bytes, bytes, bytes]:
    """Return three pieces which, joined, are one gzip member of `head` + `json` + `tail`."""
    before, behind = around_in_gzip(head, len(json), isal_zlib.crc32(json), tail)
    return before, deflate(json), behind


def _stored(data: bytes, *, final: bool) -> bytes:
    if len(data) <= _STORED_MAX:
        return _STORED.pack(final, len(data), len(data) ^ 0xFFFF) + data
    first = _STORED.pack(0, _STORED_MAX, 0) + data[:_STORED_MAX]
    return first + _stored(data[_STORED_MAX:], final=final)


class Sink(Protocol):
    """Where a file is written to: all of what it is given, or it raises."""

    def write(self, data: bytes, /) -> object:
        """Take the bytes."""


class BlockWriter:
    """Writes a `v1` file to `out`, which must be at its beginning.

    Same items in the same order give the same bytes, however they are spread over calls of `add`.
    """

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._offset = len(_MAGIC)
        self._index = bytearray()
        self._items = 0
        self._json = bytearray()  # of the block being filled: its items, joined by commas
        self._lengths = array("I")
        self._credit = bytearray()
        out.write(_MAGIC)

    def add(self, json: memoryview, lengths: array[int], credit: bytes) -> None:
        """Write line items, each one JSON object with a comma after it; `lengths` count no commas.

        `credit` has a 1 for each item that partner earned credit applies to, else a 0. Nothing of `json` is referred to
        after the call. Raises InputError for an item longer than 1 MiB.
        """
        if len(lengths) != len(credit):
            raise ValueError("each line item needs its flag of partner earned credit")
        if lengths and max(lengths) > ITEM_SIZE_BYTES_MAX:
            raise InputError("a line item of more than 1 MiB of JSON")
        assert not lengths or min(lengths) >= ITEM_SIZE_BYTES_MIN
        ends = [end + count for count, end in enumerate(accumulate(lengths), 1)]  # behind the commas
        begin = start = 0
        while begin < len(ends):
            comma = b"," if self._json else b""
            room = BLOCK_SIZE_BYTES_MAX - len(self._json) - len(comma)
            items_max = ITEMS_MAX - len(self._lengths)
            end = bisect_right(ends, start + room + 1, begin, min(begin + items_max, len(ends)))
            if end == begin:
                self._end_block()
                continue
            self._json += comma
            self._json += json[start : ends[end - 1] - 1]
            self._lengths.extend(lengths[begin:end])
            self._credit += credit[begin:end]
            begin, start = end, ends[end - 1]

    def finish(self) -> int:
        """Write what is left, the index and the trailer; returns the number of line items."""
        self._end_block()
        index = bytes(self._index)
        self._out.write(index)
        self._out.write(_TRAILER.pack(self._offset, len(index), zlib.crc32(index), _TRAILER_MAGIC))
        return self._items

    def _end_block(self) -> None:
        json = self._json
        if not json:
            return
        deflated = deflate(json)
        lengths = isal_zlib.compress(self._lengths.tobytes(), _LEVEL)
        self._out.write(deflated)
        self._out.write(lengths)
        self._index += _ENTRY.pack(
            self._offset, len(deflated), len(lengths), len(json), isal_zlib.crc32(json), len(self._lengths)
        )
        self._index += _bitmap(self._credit)
        self._offset += len(deflated) + len(lengths)
        self._items += len(self._lengths)
        self._json, self._lengths, self._credit = bytearray(), array("I"), bytearray()


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """One entry of the index. Bit n of `credit` says whether partner earned credit applies to item n."""

    offset: int
    deflated_length: int
    lengths_length: int
    json_length: int
    crc32: int
    items: int
    credit: int


Read = Callable[[int, int], bytes]  # offset and length to bytes, fewer only at the end


class BlockFile:
    """A `v1` file opened for reading: its index, and blocks on demand. Threads may share it."""

    def __init__(self, path: str, size_bytes: int, read: Read) -> None:
        """Read the index; raises DamagedError if the file is not what `BlockWriter` writes."""
        self.path = path
        self._read_at = read
        self.blocks = self._read_index(size_bytes)
        self.items = sum(block.items for block in self.blocks)

    def deflated(self, block: BlockEntry) -> bytes:
        """Return a block as it is stored. Not checked: the CRC in the gzip trailer lets the reader check it."""
        return self._read(block.offset, block.deflated_length)

    def json(self, block: BlockEntry) -> bytes:
        """Return a block's items, joined by commas; raises DamagedError unless every byte is as written."""
        deflated = self._read(block.offset, block.deflated_length)
        inflater = isal_zlib.decompressobj(-15)
        try:
            json: bytes = inflater.decompress(deflated, block.json_length + 1)
        except _IsalError as error:
            raise self._damaged("a block does not decompress") from error
        if inflater.eof or inflater.unconsumed_tail or not deflated.endswith(_FLUSHED):
            raise self._damaged("a block does not end where it should")
        if len(json) != block.json_length or isal_zlib.crc32(json) != block.crc32:
            raise self._damaged("a block does not hold what was written")
        return json

    def item_lengths(self, block: BlockEntry) -> array[int]:
        """Return the length of each item's JSON; raises DamagedError."""
        packed = self._read(block.offset + block.deflated_length, block.lengths_length)
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(packed, block.items * 4 + 1)
        except zlib.error as error:
            raise self._damaged("a list of lengths does not decompress") from error
        if len(data) != block.items * 4 or not inflater.eof or inflater.unused_data:
            raise self._damaged("a list of lengths is too long or too short")
        lengths = array("I", data)
        if sum(lengths) + block.items - 1 != block.json_length:
            raise self._damaged("a list of lengths does not fit its block")
        return lengths

    def _read(self, offset: int, length: int) -> bytes:
        data = self._read_at(offset, length)
        if len(data) != length:
            raise self._damaged("the file is shorter than it was")
        return data

    def _read_index(self, size_bytes: int) -> tuple[BlockEntry, ...]:
        if size_bytes < len(_MAGIC) + _TRAILER.size or self._read(0, len(_MAGIC)) != _MAGIC:
            raise self._damaged("not a file of v1 blocks")
        trailer = self._read(size_bytes - _TRAILER.size, _TRAILER.size)
        offset, length, crc32, magic = _TRAILER.unpack(trailer)
        if magic != _TRAILER_MAGIC or offset + length + _TRAILER.size != size_bytes:
            raise self._damaged("the end of the file is missing or damaged")
        index = self._read(offset, length)
        if zlib.crc32(index) != crc32:
            raise self._damaged("the index is damaged")
        blocks = _parse_index(index)
        if blocks is None or _end(blocks) != offset:
            raise self._damaged("the index does not describe the file")
        return blocks

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(f"{self.path}: {what}.")


def _parse_index(index: bytes) -> tuple[BlockEntry, ...] | None:
    """Return the blocks, or None where an entry cannot be right: blocks follow one another without gaps."""
    blocks: list[BlockEntry] = []
    position = 0
    while position < len(index):
        if position + _ENTRY.size > len(index):
            return None
        offset, deflated, lengths, json, crc32, items = _ENTRY.unpack_from(index, position)
        position += _ENTRY.size
        bitmap = index[position : position + (items + 7) // 8]
        position += (items + 7) // 8
        credit = int.from_bytes(bitmap, "little")
        sensible = (
            offset == _end(blocks)
            and 1 <= items <= ITEMS_MAX
            and items * (ITEM_SIZE_BYTES_MIN + 1) - 1 <= json <= BLOCK_SIZE_BYTES_MAX
            and position <= len(index)
            and credit.bit_length() <= items
        )
        if not sensible:
            return None
        blocks.append(BlockEntry(offset, deflated, lengths, json, crc32, items, credit))
    return tuple(blocks)


def _end(blocks: Sequence[BlockEntry]) -> int:
    if not blocks:
        return len(_MAGIC)
    return blocks[-1].offset + blocks[-1].deflated_length + blocks[-1].lengths_length


def _bitmap(flags: bytearray) -> bytes:
    """Pack bytes of 0 and 1 into bits, the first into the lowest."""
    digits = flags.translate(bytes((0x30, 0x31)) + bytes(254))
    return int(bytes(reversed(digits)), 2).to_bytes((len(flags) + 7) // 8, "little")
