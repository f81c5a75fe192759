"""The journal of a walk: its items as they came, page by page, and how to resume after the last page.

Items are stored as lines in `items-00000` and so on, until such a file is full and becomes a part of the result. Each
page is two writes: its items, then one line of the journal that says how far they reach, and their SHA-256. A run that
was killed between the two leaves items that the journal does not cover; the next page overwrites them. Items
that an earlier run stored are compared with the journal before they become a part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec

from counterfoil.client.output_files.pull_files import LINES_PER_FILE_MAX, LakeFile, LinesFile, read_all
from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.protocol.v1_answers import Annotations, PageLink, SourcePage
from counterfoil.client.protocol.walk_state import WalkState, digest_of, joined, lines_of
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob, parquet_name
from counterfoil.client.receipt import VERSION, Count, ReceiptFile, Sha256, TotalTexts
from counterfoil.disk import documents
from counterfoil.disk.durability import private, sync_folder
from counterfoil.disk.hashing import measured
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.totals import Totals
from counterfoil.model import Kind

FILE_NAME: Final = "walk.jsonl"
_READ_BYTES: Final = 4 << 20


class JournalLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One page: where its items are stored, their SHA-256 and sums, the link that led to it, and the next link."""

    part: Count
    part_items: Count  # of the part so far, with this page
    part_bytes: Count
    size_bytes: Count  # of this page
    sha256: Sha256
    line_items: Count
    totals: TotalTexts
    link: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    following: PageLink | None
    annotations: Annotations
    request_ids: tuple[str, ...]

    def follows(self, before: JournalLine | None) -> bool:
        """Whether this can be the page after that one: parts are numbered, and a page begins where the last ended."""
        is_first = before is None or before.part != self.part
        part = 0 if before is None else before.part + is_first
        items, size_bytes = (0, 0) if is_first or before is None else (before.part_items, before.part_bytes)
        return (self.part, self.part_items, self.part_bytes) == (
            part,
            items + self.line_items,
            size_bytes + self.size_bytes,
        )


class WalkJournal:
    """The `walk` in a folder. Read it, then `add` page after page and close the full parts."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self._kind = kind
        self._path = folder / FILE_NAME
        self._reader = LineReader(kind)
        self._pages: dict[int, list[JournalLine]] = {0: []}  # by part
        self.walk = WalkState()
        self.request_ids: list[str] = []  # of the calls so far

    def read(self) -> None:
        """Resume the walk, and cut off a damaged end; what no line covers is overwritten by the next page.

        Raises ChangedError if what the journal covers is not as it was stored: then the walk cannot go on.
        """
        good, before = 0, None
        with suppress(FileNotFoundError), self._path.open("r+b") as file:
            for line in file:
                try:
                    before = read_line(line, before)
                except ValueError:
                    break  # cut off by a crash, or damaged: this page and those after it are fetched again
                self._replay(before)
                good += len(line)
            file.truncate(good)
        self._check_stored()

    def _check_stored(self) -> None:
        for part, pages in self._pages.items():
            closed = self._closed(part)
            if closed is not None:
                # Staged, or moved into place by a run that was killed then.
                places = [folder / closed.file.name for folder in (self._folder, self._folder.parent)]
                if all(measured(path) != closed.file.measured for path in places if path.is_file()):
                    raise ChangedError(f"{closed.file.name} of the unfinished pull is not as it was written.")
                if part not in self._full_parts():
                    raise ChangedError("The journal of the unfinished pull is no longer complete.")
            else:
                items = self._items(part)
                size = items.stat().st_size if items.exists() else 0
                if size < sum(page.size_bytes for page in pages):
                    raise ChangedError(f"The items of part {part} of the unfinished pull are no longer complete.")

    def add(self, link: PageLink, page: SourcePage, request_ids: Sequence[str]) -> None:
        """Keep a page: its items, then the line that covers them; raises ProofError for items that are not line items.

        `link` led to it; `request_ids` are of the calls since the page before.
        """
        lines, tally = lines_of(page), Totals()
        if lines:
            tally.add_batch(self._kind, read_all(self._reader, lines, f"Page {self.walk.pages + 1}"))
        part = self._part
        last = self._pages[part][-1] if self._pages[part] else None
        items, size = (last.part_items, last.part_bytes) if last else (0, 0)
        if items and items + len(lines) > LINES_PER_FILE_MAX:
            part, items, size = part + 1, 0, 0
        data = joined(lines)
        self._append(self._items(part), data, size)
        entry = JournalLine(
            part=part,
            part_items=items + len(lines),
            part_bytes=size + len(data),
            size_bytes=len(data),
            sha256=digest_of(lines),
            line_items=tally.line_items,
            totals=tally.plain_totals(),
            link=link.fingerprint.hex(),
            following=page.following,
            annotations=page.annotations,
            request_ids=tuple(request_ids),
        )
        self._append(self._path, documents.encode(entry, VERSION))
        self._replay(entry)

    def _append(self, path: Path, data: bytes, size: int | None = None) -> None:
        """Write to the end of a file, or behind its first `size` bytes; and bring it to the disk, with its name."""
        is_new = not path.exists()
        with open(path, "ab", opener=private) as file:
            file.truncate(size)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if is_new:  # its name, before anything covers what is in it
            sync_folder(self._folder)

    def close_full_parts(self, *, as_parquet: bool) -> None:
        """Make the parts that get no more pages into the files that stay; raises as `_close` does."""
        for part in self._full_parts():
            if self._closed(part) is None:
                self._close(part, as_parquet=as_parquet)

    def _full_parts(self) -> range:
        full = self._part
        if self.walk.is_over and any(page.line_items for page in self._pages[full]):
            full += 1
        return range(full)

    def _close(self, part: int, *, as_parquet: bool) -> None:
        """Make a full part into the file that stays.

        Raises ChangedError for items that are not as they were stored, ProofError for some that cannot be read
        exactly.
        """
        tally = Totals()
        name = part_name(part)
        path = self._folder / (parquet_name(name) if as_parquet else name)
        path.unlink(missing_ok=True)
        with LakeFile(path, self._kind) if as_parquet else LinesFile(path) as written:
            for lines in self._lines(part):
                batch = read_all(self._reader, lines, f"Part {part} of the walk")
                tally.add_batch(self._kind, batch)
                written.add(batch) if isinstance(written, LakeFile) else written.add(lines)
            file = written.finish()
        blob = ReceiptFile(name, file.size_bytes, file.sha256, file.line_items)
        VerifiedBlob(blob, file, tally.plain_totals(), written.inexact, tally.without).keep(self._folder)
        self._items(part).unlink()

    def facts(self) -> list[VerifiedBlob]:
        """Return the facts of the closed parts."""
        found = [self._closed(part) for part in self._pages]
        return [each for each in found if each is not None]

    def _lines(self, part: int) -> Iterator[Sequence[bytes]]:
        """Yield the items of a part, which have to be those of its pages."""
        lines: list[bytes] = []
        size_bytes = 0
        for data in page_data(self._folder, part, self._pages[part]):
            lines += data.split(b"\n")[:-1]
            size_bytes += len(data)
            if size_bytes >= _READ_BYTES:
                yield lines
                lines, size_bytes = [], 0
        if lines:
            yield lines

    def _replay(self, entry: JournalLine) -> None:
        self._pages.setdefault(entry.part, []).append(entry)
        self.request_ids += entry.request_ids
        tally = Totals.of(entry.line_items, entry.totals)
        self.walk.add(bytes.fromhex(entry.link), entry.following, entry.annotations, entry.sha256, tally)

    @property
    def _part(self) -> int:
        """The part that the last page went to."""
        return max(self._pages)

    def _closed(self, part: int) -> VerifiedBlob | None:
        return VerifiedBlob.read(self._folder / f"{part_name(part)}.json")

    def _items(self, part: int) -> Path:
        return items_path(self._folder, part)


def part_name(part: int) -> str:
    """Return the name of a part of a walk, as if it were a blob."""
    return f"part-{part:05}.json.gz"


def items_path(folder: Path, part: int) -> Path:
    """Return where the items of a part are until it is full."""
    return folder / f"items-{part:05}"


def page_data(folder: Path, part: int, pages: Sequence[JournalLine]) -> Iterator[bytes]:
    """Yield the stored items of the pages of a part, page by page; raises ChangedError where they are others."""
    path = items_path(folder, part)
    changed = ChangedError(f"The items of part {part} of the unfinished pull are not as they were stored.")
    if path.stat().st_size < sum(page.size_bytes for page in pages):
        raise changed  # before memory is asked for a size that nobody vouches for
    with path.open("rb") as file:
        for page in pages:
            data = file.read(page.size_bytes)
            if hashlib.sha256(data).hexdigest() != page.sha256:
                raise changed
            yield data


def read_line(line: bytes, before: JournalLine | None) -> JournalLine:
    """Return a line of a journal, which comes after another; raises ValueError for one that is cut off or damaged."""
    if not line.endswith(b"\n"):
        raise ValueError(line)  # the next line would be glued to it
    entry = documents.decode(line, VERSION, JournalLine)
    if not entry.follows(before):
        raise documents.DocumentError("it is not the page after the one before")
    return entry
