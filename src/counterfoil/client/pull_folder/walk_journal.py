"""The journal of a walk: its items as they came, page by page, and how to resume after the last page.

Items are stored as lines in `items-00000` and so on, until such a file is full and becomes a part of the result. Each
page is two writes: its items, then one line of the journal that says how far they reach, and their SHA-256. A run that
was killed between the two leaves items that the journal does not cover; they are cut off before the walk resumes. Items
that an earlier run stored are compared with the journal before they become a part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec

from counterfoil.client.output_files.pull_files import LINES_PER_FILE_MAX, LakeFile, LinesFile
from counterfoil.client.output_files.refusing import read_all
from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.protocol.v1_answers import Annotations, PageLink, SourcePage
from counterfoil.client.pull_folder.verified import VerifiedBlob
from counterfoil.client.receipt import VERSION, Count, ReceiptFile, Sha256, TotalTexts
from counterfoil.disk import documents
from counterfoil.disk.durability import sync_folder
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


@dataclass(slots=True)
class WalkState:
    """The position of a walk after its last kept page."""

    pages: int = 0
    following: PageLink | None = None
    annotations: Annotations | None = None
    part: int = 0
    part_items: int = 0
    part_bytes: int = 0
    tally: Totals = field(default_factory=Totals)
    taken: set[bytes] = field(default_factory=set)  # fingerprints of the links followed
    digests: dict[str, int] = field(default_factory=dict)  # SHA-256 of a page's items: the number of that page
    request_ids: list[str] = field(default_factory=list)  # of the calls so far

    @property
    def is_over(self) -> bool:
        """Whether the last page was kept."""
        return self.pages > 0 and self.following is None

    @property
    def full_parts(self) -> int:
        """How many parts get no more pages."""
        return self.part + 1 if self.is_over and self.part_items else self.part


class WalkJournal:
    """The walk in a folder. Read it, then `add` page after page and `close` the parts."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self._kind = kind
        self._path = folder / FILE_NAME
        self._reader = LineReader(kind)
        self._pages: dict[int, list[JournalLine]] = {}  # by part

    def read(self) -> WalkState:
        """Return the position of the walk, and cut off what no journal line covers.

        Raises ChangedError if what the journal covers is not as it was stored: then the walk cannot go on.
        """
        walk = WalkState()
        good = 0
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                try:
                    entry = read_line(line)
                except ValueError:
                    break  # cut off by a crash, or damaged: this page and those after it are fetched again
                self._replay(walk, entry)
                good += len(line)
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.truncate(good)
        self._check_stored(walk)
        items = self._items(walk.part)
        if items.exists():
            with items.open("r+b") as file:
                file.truncate(walk.part_bytes)
        return walk

    def _check_stored(self, walk: WalkState) -> None:
        for part in range(walk.part + 1):
            closed = self._closed(part)
            if closed is not None:
                # Staged, or moved into place by a run that was killed then.
                places = [folder / closed.file.name for folder in (self._folder, self._folder.parent)]
                wanted = (closed.file.size_bytes, closed.file.sha256)
                if all(measured(path) != wanted for path in places if path.is_file()):
                    raise ChangedError(f"{closed.file.name} of the unfinished pull is not as it was written.")
                if part >= walk.full_parts:
                    raise ChangedError("The journal of the unfinished pull is no longer complete.")
            else:
                items = self._items(part)
                size = items.stat().st_size if items.exists() else 0
                if size < sum(page.size_bytes for page in self._pages.get(part, ())):
                    raise ChangedError(f"The items of part {part} of the unfinished pull are no longer complete.")

    def add(
        self, walk: WalkState, link: PageLink, page: SourcePage, where: str, request_ids: Sequence[str] = ()
    ) -> None:
        """Keep a page: its items, then the line that covers them; raises ProofError for items that are not line items.

        `request_ids` are of the calls since the page before.
        """
        lines = [_one_line(item) for item in page.items]
        tally = Totals()
        if lines:
            tally.add_batch(self._kind, read_all(self._reader, lines, where))
        part, items, size = walk.part, walk.part_items, walk.part_bytes
        if items and items + len(lines) > LINES_PER_FILE_MAX:
            part, items, size = part + 1, 0, 0
        data = b"".join(line + b"\n" for line in lines)
        path = self._items(part)
        is_new = not path.exists()
        with path.open("xb" if is_new else "r+b") as file:
            file.seek(size)
            file.truncate()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if is_new:  # its name, before anything covers what is in it
            sync_folder(self._folder)
        entry = JournalLine(
            part=part,
            part_items=items + len(lines),
            part_bytes=size + len(data),
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            line_items=tally.line_items,
            totals=tally.plain_totals(),
            link=link.fingerprint.hex(),
            following=page.following,
            annotations=page.annotations,
            request_ids=tuple(request_ids),
        )
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            file.write(documents.encode(entry, VERSION))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._folder)
        self._replay(walk, entry)

    def full_parts(self, walk: WalkState) -> list[int]:
        """Return the parts that get no more pages and are not closed yet."""
        return [part for part in range(walk.full_parts) if self._closed(part) is None]

    def close(self, part: int, *, as_parquet: bool) -> VerifiedBlob:
        """Make a full part into the file that stays.

        Raises ChangedError for items that are not as they were stored, ProofError for some that cannot be read
        exactly.
        """
        tally = Totals()
        name = part_name(part)
        path = self._folder / (name.replace(".json.gz", ".parquet") if as_parquet else name)
        path.unlink(missing_ok=True)
        inexact: dict[str, int] = {}
        with LakeFile(path, self._kind) if as_parquet else LinesFile(path) as written:
            for lines in self._lines(part):
                batch = read_all(self._reader, lines, f"Part {part} of the walk")
                tally.add_batch(self._kind, batch)
                written.add(batch) if isinstance(written, LakeFile) else written.add(lines)
            file = written.finish()
            if isinstance(written, LakeFile):
                inexact = written.inexact
        blob = ReceiptFile(name, file.size_bytes, file.sha256, file.line_items)
        facts = VerifiedBlob(blob, file, tally.plain_totals(), inexact)
        facts.keep(self._folder)
        self._items(part).unlink()
        return facts

    def facts(self, walk: WalkState) -> list[VerifiedBlob]:
        """Return the facts of the closed parts."""
        found = [self._closed(part) for part in range(walk.part + 1)]
        return [each for each in found if each is not None]

    def _lines(self, part: int) -> Iterator[Sequence[bytes]]:
        """Yield the items of a part, which have to be those of its pages."""
        lines: list[bytes] = []
        size_bytes = 0
        with self._items(part).open("rb") as file:
            for page in self._pages[part]:
                data = file.read(page.size_bytes)
                if hashlib.sha256(data).hexdigest() != page.sha256:
                    raise ChangedError(f"The items of part {part} of the unfinished pull are not as they were stored.")
                lines += data.split(b"\n")[:-1]
                size_bytes += len(data)
                if size_bytes >= _READ_BYTES:
                    yield lines
                    lines, size_bytes = [], 0
        if lines:
            yield lines

    def _replay(self, walk: WalkState, entry: JournalLine) -> None:
        self._pages.setdefault(entry.part, []).append(entry)
        walk.following = entry.following
        walk.annotations = walk.annotations or entry.annotations
        walk.tally.merge(Totals.of(entry.line_items, entry.totals))
        walk.part, walk.part_items, walk.part_bytes = entry.part, entry.part_items, entry.part_bytes
        walk.taken.add(bytes.fromhex(entry.link))
        walk.request_ids += entry.request_ids
        walk.pages += 1
        if entry.line_items > 1:
            walk.digests[entry.sha256] = walk.pages

    def _closed(self, part: int) -> VerifiedBlob | None:
        return VerifiedBlob.read(self._folder, part_name(part))

    def _items(self, part: int) -> Path:
        return self._folder / f"items-{part:05}"


def read_line(line: bytes) -> JournalLine:
    """Return a line of a journal; raises ValueError for one that is cut off or damaged."""
    if not line.endswith(b"\n"):
        raise ValueError(line)  # the next line would be glued to it
    return documents.decode(line, VERSION, JournalLine)


def part_name(part: int) -> str:
    """Return the name of a part of a walk, as lines."""
    return f"part-{part:05}.json.gz"


def digest_of(page: SourcePage) -> str:
    """Return the SHA-256 of a page's items, as they are stored."""
    return hashlib.sha256(b"".join(_one_line(item) + b"\n" for item in page.items)).hexdigest()


def _one_line(item: bytes) -> bytes:
    """Return an item verbatim, unless the source laid it out over several lines."""
    if b"\n" not in item and b"\r" not in item:
        return item
    return msgspec.json.format(item, indent=-1)
