"""A walk on the disk: its items as they came, page by page, and how to go on after the last one.

Items lie as lines in `items-00000` and so on, until such a file is full and becomes a part of the result. Each page
is two writes: its items, then one line of the journal that says how far they reach. What a newcomer would get wrong:
a run that was killed between the two has items nobody vouches for. They are cut off before the walk goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from counterfoil.client.disk.blobs import Facts
from counterfoil.client.disk.syncing import sync_folder
from counterfoil.client.line_items.files import LINES_PER_FILE_MAX, LakeFile, LinesFile
from counterfoil.client.line_items.reading import Dialect, LineReader, tally_columns, tally_of
from counterfoil.client.protocol.promised_totals import ChangedError, Promise, Tally
from counterfoil.client.protocol.v1_answers import Annotations, PageLink, SourcePage
from counterfoil.client.receipt import ReceiptBlob
from counterfoil.model import Kind

FILE_NAME: Final = "walk.jsonl"
_READ_BYTES: Final = 4 << 20


@dataclass(slots=True)
class Walk:
    """Where a walk stands after its last kept page."""

    pages: int = 0
    following: PageLink | None = None
    annotations: Annotations | None = None
    part: int = 0
    part_items: int = 0
    part_bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    taken: set[bytes] = field(default_factory=set)  # fingerprints of the links followed
    digests: dict[str, int] = field(default_factory=dict)  # of the items of each page: which page it was
    request_ids: list[str] = field(default_factory=list)  # of the calls so far

    @property
    def is_over(self) -> bool:
        """Whether the last page was had."""
        return self.pages > 0 and self.following is None


class Journal:
    """The walk in a folder. Read it, then `add` page after page and `close` the parts."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self._kind = kind
        self._path = folder / FILE_NAME
        self._tallier = LineReader(kind, Dialect.V1, only=tally_columns(kind))

    def read(self) -> Walk:
        """Return where the walk stands, and cut off what no journal line vouches for.

        Raises ChangedError where the items of a page are no longer there: then nothing can be gone on with.
        """
        walk = Walk()
        good = 0
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the next line would be glued to it
                try:
                    _replay(walk, json.loads(line))
                except (ValueError, KeyError, TypeError):
                    break  # cut by a crash, and so of a page that was not kept
                good += len(line)
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.truncate(good)
        self._check_items(walk)
        items = self._items(walk.part)
        if items.exists():
            with items.open("r+b") as file:
                file.truncate(walk.part_bytes)
        return walk

    def _check_items(self, walk: Walk) -> None:
        for part in range(walk.part + 1):
            items = self._items(part)
            size = items.stat().st_size if items.exists() else 0
            wanted = walk.part_bytes if part == walk.part else 1
            if size < wanted and Facts.read(self._folder, part_name(part)) is None:
                raise ChangedError(f"The items of part {part} of the unfinished pull are no longer all there.")

    def add(self, walk: Walk, link: PageLink, page: SourcePage, where: str, request_ids: Sequence[str] = ()) -> None:
        """Keep a page: its items, then the line that vouches for them; raises ProofError for items that are none.

        `request_ids` are of the calls since the page before.
        """
        lines = [_one_line(item) for item in page.items]
        tally = Tally()
        if lines:
            tally_of(self._kind, self._tallier.read(lines, where), tally)
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
        if is_new:  # its name, before anything vouches for what is in it
            sync_folder(self._folder)
        entry = {
            "part": part,
            "partItems": items + len(lines),
            "partBytes": size + len(data),
            "lineItems": tally.line_items,
            "totals": tally.plain_totals(),
            "link": link.fingerprint.hex(),
            "digest": digest_of(page) if len(lines) > 1 else "",
            "next": asdict(page.following) if page.following else None,
            "annotations": asdict(page.annotations),
            "requestIds": list(request_ids),
        }
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._folder)
        _replay(walk, entry)

    def full_parts(self, walk: Walk) -> list[int]:
        """Return the parts that get no more pages and are not closed yet."""
        last = walk.part + 1 if walk.is_over and walk.part_items else walk.part
        return [part for part in range(last) if Facts.read(self._folder, part_name(part)) is None]

    def close(self, part: int, *, as_parquet: bool) -> Facts:
        """Make a full part into the file that stays; raises ProofError for items that cannot be read exactly."""
        tally = Tally()
        name = part_name(part)
        path = self._folder / (name.replace(".json.gz", ".parquet") if as_parquet else name)
        path.unlink(missing_ok=True)
        items = self._items(part)
        reader = LineReader(self._kind, Dialect.V1, only=() if as_parquet else tally_columns(self._kind))
        inexact: dict[str, int] = {}
        with LakeFile(path, self._kind) if as_parquet else LinesFile(path) as written:
            for lines in _lines(items):
                batch = reader.read(lines, f"Part {part} of the walk")
                tally_of(self._kind, batch, tally)
                written.add(batch) if isinstance(written, LakeFile) else written.add(lines)
            file = written.finish()
            if isinstance(written, LakeFile):
                inexact = written.inexact
        blob = ReceiptBlob(name, file.size_bytes, file.sha256, file.line_items)
        facts = Facts(blob, file, tally.plain_totals(), inexact)
        facts.keep(self._folder)
        items.unlink()
        return facts

    def facts(self, walk: Walk) -> list[Facts]:
        """Return the facts of the closed parts."""
        found = [Facts.read(self._folder, part_name(part)) for part in range(walk.part + 1)]
        return [each for each in found if each is not None]

    def _items(self, part: int) -> Path:
        return self._folder / f"items-{part:05}"


def part_name(part: int) -> str:
    """Return the name of a part of a walk, as lines."""
    return f"part-{part:05}.json.gz"


def digest_of(page: SourcePage) -> str:
    """Return a digest of a page's items."""
    digest = hashlib.sha256()
    for item in page.items:
        digest.update(item)
        digest.update(b"\n")
    return digest.hexdigest()


def _replay(walk: Walk, entry: Mapping[str, Any]) -> None:
    following, said = entry["next"], entry["annotations"]
    walk.following = PageLink(following["url"], following["headers"]) if following else None
    if walk.annotations is None:
        walk.annotations = Annotations(said["etag"], Promise(**said["promise"]))
    walk.tally.merge(Tally.of(entry["lineItems"], entry["totals"]))
    walk.part, walk.part_items, walk.part_bytes = entry["part"], entry["partItems"], entry["partBytes"]
    walk.taken.add(bytes.fromhex(entry["link"]))
    walk.request_ids += entry["requestIds"]
    walk.pages += 1
    if entry["digest"]:
        walk.digests[entry["digest"]] = walk.pages


def _lines(path: Path) -> Iterator[Sequence[bytes]]:
    with path.open("rb") as file:
        while lines := file.readlines(_READ_BYTES):
            yield [line.rstrip(b"\n") for line in lines]


def _one_line(item: bytes) -> bytes:
    """Return an item verbatim, unless the source laid it out over several lines."""
    if b"\n" not in item and b"\r" not in item:
        return item
    return msgspec.json.format(item, indent=-1)
