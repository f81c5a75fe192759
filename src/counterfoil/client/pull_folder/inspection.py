"""Looking for damage in what an unfinished pull left; nothing is changed, and nobody is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from counterfoil.client.protocol.promised_totals import ChangedError
from counterfoil.client.pull_folder import walk_journal
from counterfoil.client.pull_folder.contents import UNFINISHED
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob
from counterfoil.client.pull_folder.walk_journal import JournalLine
from counterfoil.client.receipt import VERSION
from counterfoil.disk import documents
from counterfoil.disk.hashing import measured


def staged_faults(staging: Path) -> Iterator[str]:
    """Yield what is damaged of an unfinished pull: its documents, the files they are about, its journal and its items.

    A last line that a crash cut off is not a fault, and what no document covers is not proven yet. The next run of
    the pull fetches again what is damaged. Raises OSError for a file that cannot be read.
    """
    pull = staging / UNFINISHED
    if pull.exists():
        try:
            documents.decode(pull.read_bytes(), VERSION, UnfinishedPull)
        except ValueError as error:
            yield _told(pull, error)
    closed = set[str]()
    for path in sorted(staging.glob("*.gz.json")):
        try:
            facts = VerifiedBlob.decoded(path)
        except ValueError as error:
            yield _told(path, error)
            continue
        closed.add(facts.blob.name)
        # Staged, or moved into place by a run that was killed then.
        places = [folder / facts.file.name for folder in (staging, staging.parent)]
        if not any(measured(each) == facts.file.measured for each in places if each.is_file()):
            yield f"{facts.file.name} of the unfinished pull is not as it was written"
    yield from _walk_faults(staging, closed)


def _told(path: Path, error: ValueError) -> str:
    if isinstance(error, documents.NewerDocumentError | documents.OlderDocumentError):
        return f"{path.name} of the unfinished pull is of another version of Counterfoil: {error}"
    return f"{path.name} of the unfinished pull is not as it was written"


def _walk_faults(staging: Path, closed: set[str]) -> Iterator[str]:
    journal = staging / walk_journal.FILE_NAME
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    pages = defaultdict[int, list[JournalLine]](list)
    before: JournalLine | None = None
    for number, line in enumerate(lines, 1):
        entry = _entry(line, before)
        is_last = number == len(lines)
        if entry is not None:
            before = entry
            pages[entry.part].append(entry)
        elif not is_last or line.endswith(b"\n") or _entry(line[:-1] + b"\n", before) is not None:
            yield f"line {number} of {journal.name} of the unfinished pull is not as it was written"
    for part, stored in pages.items():
        if walk_journal.part_name(part) not in closed:
            try:
                for _ in walk_journal.page_data(staging, part, stored):
                    pass
            except (ChangedError, FileNotFoundError):
                yield f"the items of part {part} of the unfinished pull are not as they were stored"


def _entry(line: bytes, before: JournalLine | None) -> JournalLine | None:
    try:
        return walk_journal.read_line(line, before)
    except ValueError:
        return None
