"""Pages of v1 line items, cut from the stored blocks. No HTTP and no envelope is made here.

A page never spans two blocks, so its cost does not depend on its place in the walk. What is kept in memory is bounded,
is only a cache, and may be lost at any time: the file lists of the revisions used last, their open files, and the
blocks unpacked last (a walk in small pages would otherwise unpack each block many times).

An open file that falls out of memory is not closed here, but when the last page that reads from it is done. Everything
here runs on one thread; only `load` may run on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from counterfoil.errors import BadRequestError, DamagedError
from counterfoil.model import Rendering
from counterfoil.server.lru_cache import LruCache
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.catalog_rows import Revision
from counterfoil.storage.files import Files
from counterfoil.storage.v1_blocks import BlockEntry, BlockFile
from counterfoil.wire.tokens import CONTINUATION_HEADER, Position
from counterfoil.wire.v1 import proof_headers

LISTINGS_KEPT: Final = 1_000
FILES_KEPT: Final = 256  # open file descriptors; a process may usually have 1,024
UNPACKED_BYTES_KEPT: Final = 64 << 20
_END_BYTES: Final = 40  # an int in a list
BEGINNING: Final = Position(0, 0, 0)
_GONE: Final = "The line items that this walk was reading are no longer kept. Start over with the first page."

Proof = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A revision: its `v1` files in order, and the headers that prove a walk over all of it."""

    revision: Revision
    paths: tuple[str, ...]
    proof: Proof


@dataclass(frozen=True, slots=True)
class Page:
    """Some items of one block. `items` are their numbers in it; `next` is where the page after this one begins."""

    path: str
    block: BlockEntry
    items: Sequence[int]
    next: Position | None

    @property
    def whole(self) -> bool:
        """Whether this is the block as it is stored."""
        return len(self.items) == self.block.items


@dataclass(frozen=True, slots=True)
class _Unpacked:
    json: bytes
    ends: list[int]  # where each item ends, without its comma


class Pages:
    """Finds and cuts pages of whatever revision is asked for."""

    def __init__(self, catalog: Catalog, files: Files) -> None:
        self._catalog = catalog
        self._files = files
        self._listings: LruCache[str, Listing] = LruCache(LISTINGS_KEPT)
        self._filtered_proofs: LruCache[tuple[str, bool], Proof] = LruCache(LISTINGS_KEPT)
        self._open: LruCache[str, BlockFile] = LruCache(FILES_KEPT)
        self._unpacked: LruCache[tuple[str, int], _Unpacked] = LruCache(UNPACKED_BYTES_KEPT, _size)

    def kept(self, revision_id: str) -> Listing | None:
        """Return the listing of a revision if it is at hand."""
        return self._listings.get(revision_id)

    def load(self, revision_id: str) -> Listing:
        """Read the listing of a revision from the catalog, and keep it; raises BadRequestError if it is not there."""
        revision = self._catalog.revision(revision_id)
        if revision is None:
            raise BadRequestError(_GONE, code="3000", parameter=CONTINUATION_HEADER)
        stored = self._catalog.files(revision_id, Rendering.V1)
        if revision_id in self._catalog.no_longer_kept({revision_id}):  # swept, by a clock that was ahead for a moment
            raise BadRequestError(_GONE, code="3000", parameter=CONTINUATION_HEADER)
        if sum(file.line_items for file in stored) != revision.contents.line_items:
            # An incomplete walk must not look like a complete one.
            raise DamagedError(f"Revision {revision_id}: its v1 files do not hold all of its line items.")
        proof = proof_headers(revision.etag, revision.contents.line_items, revision.contents)
        listing = Listing(revision, tuple(file.path for file in stored), proof)
        self._listings.put(revision_id, listing)
        return listing

    def seek(self, listing: Listing, position: Position, credit: bool | None) -> Position | None:
        """Return the place of the first item at or behind `position` that passes the filter."""
        number, block_number, item = position.file, position.block, position.item
        for file_number in range(number, len(listing.paths)):
            blocks = self._file(listing.paths[file_number]).blocks
            for at in range(block_number, len(blocks)):
                item = _first_match(blocks[at], item, credit)
                if item < blocks[at].items:
                    return Position(file_number, at, item)
                item = 0
            block_number = 0
        return None

    def proof(self, listing: Listing, credit: bool | None) -> Proof:
        """Return the headers that prove a walk; with a filter, over the items that pass it."""
        if credit is None:
            return listing.proof
        revision = listing.revision
        proof = self._filtered_proofs.get((revision.id, credit))
        if proof is None:
            files = [self._file(path) for path in listing.paths]
            matches = sum(block.credit.bit_count() for file in files for block in file.blocks)
            proof = proof_headers(revision.etag, matches if credit else revision.contents.line_items - matches, None)
            self._filtered_proofs.put((revision.id, credit), proof)
        return proof

    def cut(self, listing: Listing, position: Position, size: int, credit: bool | None) -> Page:
        """Return the page of at most `size` items that begins at `position`, which `seek` has found."""
        block = self._block(listing, position)
        items = () if block is None else _matches(block, position.item, size, credit)
        if block is None or not items:
            raise BadRequestError(_GONE, code="3000", parameter=CONTINUATION_HEADER)
        after = Position(position.file, position.block, items[-1] + 1)
        return Page(listing.paths[position.file], block, items, self.seek(listing, after, credit))

    def deflated(self, page: Page) -> bytes:
        """Return the block that the page is in, as it is stored."""
        return self._file(page.path).deflated(page.block)

    def json(self, page: Page) -> bytes | memoryview:
        """Return the page's items, joined by commas; raises DamagedError."""
        if page.whole:
            # Not kept: whole walks pass each block once, and would drive out the blocks of those in small pages.
            kept = self._unpacked.get((page.path, page.block.offset))
            return kept.json if kept is not None else self._file(page.path).json(page.block)
        unpacked = self._unpack(page.path, page.block)
        json, ends = memoryview(unpacked.json), unpacked.ends
        first, last = page.items[0], page.items[-1]
        if last - first + 1 == len(page.items):
            return json[_begin(ends, first) : ends[last]]
        return b",".join([json[_begin(ends, item) : ends[item]] for item in page.items])

    def forget(self, listing: Listing) -> None:
        """Drop a listing and its files, because they are no longer what the catalog says."""
        self._listings.drop(listing.revision.id)
        for path in listing.paths:
            self._open.drop(path)

    def _file(self, path: str) -> BlockFile:
        file = self._open.get(path)
        if file is None:
            reader = self._files.open(path)
            file = BlockFile(path, reader.size_bytes, reader.read)
            self._open.put(path, file)
        return file

    def _block(self, listing: Listing, position: Position) -> BlockEntry | None:
        if position.file >= len(listing.paths):
            return None
        blocks = self._file(listing.paths[position.file]).blocks
        return blocks[position.block] if position.block < len(blocks) else None

    def _unpack(self, path: str, block: BlockEntry) -> _Unpacked:
        unpacked = self._unpacked.get((path, block.offset))
        if unpacked is None:
            file = self._file(path)
            ends = [end - 1 for end in accumulate(length + 1 for length in file.item_lengths(block))]
            unpacked = _Unpacked(file.json(block), ends)
            self._unpacked.put((path, block.offset), unpacked)
        return unpacked


def _size(unpacked: _Unpacked) -> int:
    return len(unpacked.json) + _END_BYTES * len(unpacked.ends)


def _begin(ends: list[int], item: int) -> int:
    return ends[item - 1] + 1 if item else 0


def _bits(block: BlockEntry, item: int, credit: bool) -> int:
    """The filter's matches from `item` on, the first of them in the lowest bit."""
    matches = block.credit if credit else block.credit ^ ((1 << block.items) - 1)
    return matches >> item


def _first_match(block: BlockEntry, item: int, credit: bool | None) -> int:
    if credit is None:
        return item
    bits = _bits(block, item, credit)
    return item + (bits & -bits).bit_length() - 1 if bits else block.items


def _matches(block: BlockEntry, item: int, size: int, credit: bool | None) -> Sequence[int]:
    if credit is None:
        return range(item, min(item + size, block.items))
    digits = f"{_bits(block, item, credit):b}"[::-1]
    return [item + at for at, digit in enumerate(digits) if digit == "1"][:size]
