"""The v1 file gives back what was written, fits into anybody's gzip, and no damage to it goes unnoticed."""

import gc
import gzip
import io
import os
import random
import struct
import subprocess
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import DamagedError, InputError
from counterfoil.storage import v1_blocks
from counterfoil.storage.folder_files import FolderFiles
from counterfoil.storage.v1_blocks import BLOCK_SIZE_BYTES_MAX, ITEM_SIZE_BYTES_MAX, ITEMS_MAX, BlockFile, BlockWriter
from tests.storage.block_items import add_items

TRAILER = struct.Struct("<QII8s")


def item(number: int, size: int = 40) -> bytes:
    text = b'{"n":%d,"pad":"' % number
    return text + b"x" * max(0, size - len(text) - 2) + b'"}'


def written(items: list[bytes], credit: list[bool] | None = None) -> bytes:
    out = io.BytesIO()
    writer = BlockWriter(out)
    add_items(writer, items, credit or [number % 3 == 0 for number in range(len(items))])
    assert writer.finish() == len(items)
    return out.getvalue()


def opened(path: Path, data: bytes) -> BlockFile:
    path.write_bytes(data)
    return reopened(path)


def reopened(path: Path) -> BlockFile:
    reader = FolderFiles(path.parent).open(path.name)
    return BlockFile(path.name, reader.size_bytes, reader.read)


def everything(file: BlockFile) -> list[tuple[bytes, list[int], int]]:
    return [(file.json(block), list(file.item_lengths(block)), block.credit) for block in file.blocks]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s0-p00000.v1"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 60), st.booleans()), max_size=60),
    st.integers(1, 9),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_items_come_back_and_the_bytes_do_not_depend_on_how_they_were_handed_over(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, bool]], most: int, cuts: list[int]
) -> None:
    items = [item(number, size) for number, (size, _) in enumerate(sizes)]
    credit = [flag for _, flag in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v1_blocks, "ITEMS_MAX", most)
        data = written(items, credit)
        out = io.BytesIO()
        writer = BlockWriter(out)
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(items)], strict=True):
            add_items(writer, items[begin:end], credit[begin:end])
        assert writer.finish() == len(items)
        assert out.getvalue() == data
        file = opened(tmp_path_factory.mktemp("blocks") / "file", data)
    found: list[bytes] = []
    flags: list[bool] = []
    for block in file.blocks:
        json, begin = file.json(block), 0
        assert 1 <= block.items <= most
        for number, length in enumerate(file.item_lengths(block)):
            found.append(json[begin : begin + length])
            flags.append(bool(block.credit >> number & 1))
            begin += length + 1
    assert (found, flags, file.items) == (items, credit, len(items))


def test_a_file_without_line_items_has_no_blocks(path: Path) -> None:
    assert opened(path, written([])).blocks == ()


@pytest.mark.parametrize(("count", "blocks"), [(ITEMS_MAX, [2000]), (ITEMS_MAX + 1, [2000, 1])])
def test_a_block_holds_at_most_2000_items(path: Path, count: int, blocks: list[int]) -> None:
    file = opened(path, written([b"{}"] * count))
    assert [block.items for block in file.blocks] == blocks


def test_a_block_holds_at_most_8_mib_and_may_hold_just_that(path: Path) -> None:
    whole = [item(number, ITEM_SIZE_BYTES_MAX) for number in range(7)]
    rest = BLOCK_SIZE_BYTES_MAX - 7 * (ITEM_SIZE_BYTES_MAX + 1)
    fits = opened(path, written([*whole, item(7, rest)]))
    assert [(block.items, block.json_length) for block in fits.blocks] == [(8, BLOCK_SIZE_BYTES_MAX)]
    over = opened(path, written([*whole, item(7, rest + 1)]))
    assert [block.items for block in over.blocks] == [7, 1]


def test_an_item_of_more_than_1_mib_is_refused() -> None:
    with pytest.raises(InputError, match="1 MiB"):
        add_items(BlockWriter(io.BytesIO()), [item(0, ITEM_SIZE_BYTES_MAX + 1)], [False])


@pytest.mark.parametrize("size", [2, 900, 70_000])
def test_head_block_and_tail_are_one_gzip_member_for_every_reader(path: Path, tmp_path: Path, size: int) -> None:
    file = opened(path, written([item(number) for number in range(3000)]))
    for block in file.blocks:
        head, tail = b"h" * size, b"t" * size
        before, behind = v1_blocks.around_in_gzip(head, block.json_length, block.crc32, tail)
        packed = before + file.deflated(block) + behind
        plain = head + file.json(block) + tail
        reader = zlib.decompressobj(31)
        assert reader.decompress(packed) == plain
        assert reader.eof
        assert reader.unused_data == b""
        assert gzip.decompress(packed) == plain
        name = tmp_path / "page.gz"
        name.write_bytes(packed)
        subprocess.run(["gzip", "-t", str(name)], check=True)
        assert b"".join(v1_blocks.to_gzip(head, file.json(block), tail))[:10] == packed[:10]
        assert gzip.decompress(b"".join(v1_blocks.to_gzip(head, file.json(block), tail))) == plain


def test_every_truncation_is_noticed(path: Path) -> None:
    data = written([item(number) for number in range(40)])
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedError):
            reopened(path)


def test_no_flipped_bit_changes_what_is_read(path: Path) -> None:
    data = written([item(number, 90) for number in range(60)])
    expected = everything(opened(path, data))
    chance = random.Random(1)
    noticed = 0
    for _ in range(500):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            # The few bits of padding before a flush mean nothing, and what is read does not change with them.
            assert everything(opened(path, bytes(damaged))) == expected
        except DamagedError:
            noticed += 1
    assert noticed > 470


def test_a_missing_file_is_damage(path: Path) -> None:
    with pytest.raises(DamagedError, match="missing"):
        reopened(path)


def test_a_file_that_shrinks_while_it_is_open_is_damage(path: Path) -> None:
    file = opened(path, written([item(number) for number in range(40)]))
    os.truncate(path, 20)
    with pytest.raises(DamagedError, match="shorter"):
        file.json(file.blocks[0])


def _entry(**change: int) -> Callable[[bytes], bytes]:
    def changed(index: bytes) -> bytes:
        names = ("offset", "deflated", "lengths", "json", "crc32", "items")
        values = dict(zip(names, struct.unpack_from("<QIIIIH", index), strict=True)) | change
        return struct.pack("<QIIIIH", *values.values()) + index[26:]

    return changed


@pytest.mark.parametrize(
    "change",
    [
        _entry(items=0),
        _entry(items=2001),
        _entry(items=65535),
        _entry(offset=0),
        _entry(offset=2**63),
        _entry(deflated=2**32 - 1),
        _entry(lengths=0),
        _entry(json=2**32 - 1),
        _entry(json=3),
        lambda index: index[:-1],
        lambda index: index[:20],
        lambda index: index + b"\0",
        lambda index: index * 2,
        lambda index: index[:-1] + b"\xff",  # a flag for an item that is not there
    ],
)
def test_an_index_that_cannot_be_right_is_refused_even_with_a_good_checksum(
    path: Path, change: Callable[[bytes], bytes]
) -> None:
    data = written([item(number) for number in range(41)])
    offset, length, _, magic = TRAILER.unpack(data[-TRAILER.size :])
    index = change(data[offset : offset + length])
    forged = data[:offset] + index + TRAILER.pack(offset, len(index), zlib.crc32(index), magic)
    path.write_bytes(forged)
    with pytest.raises(DamagedError):
        reopened(path)


def test_a_block_that_unpacks_to_more_than_promised_is_not_unpacked_further(path: Path) -> None:
    bomb = v1_blocks.deflate(bytes(200 << 20))
    lengths = zlib.compress(struct.pack("<I", 10))
    index = struct.pack("<QIIIIH", 8, len(bomb), len(lengths), 10, 0, 1) + b"\0"
    body = b"CFV1\x00\x01\x00\x00" + bomb + lengths
    path.write_bytes(body + index + TRAILER.pack(len(body), len(index), zlib.crc32(index), b"CFV1IDX\x00"))
    file = reopened(path)
    with pytest.raises(DamagedError):
        file.json(file.blocks[0])


def test_threads_share_a_file(path: Path) -> None:
    file = opened(path, written([item(number, 100) for number in range(20_000)]))
    expected = everything(file)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: everything(file), range(32)))


def test_a_file_nobody_refers_to_is_closed(path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    file = opened(path, written([b"{}"]))
    del file
    gc.collect()
    assert set(Path("/proc/self/fd").iterdir()) <= before
