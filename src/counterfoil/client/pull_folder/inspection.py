"""Looking for damage in what an unfinished pull left; nothing is changed, and nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from counterfoil.client.pull_folder import walk_journal
from counterfoil.client.pull_folder.contents import UNFINISHED
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.pull_folder.verified_blobs import VerifiedBlob
from counterfoil.client.receipt import VERSION
from counterfoil.disk import documents


def staged_faults(staging: Path) -> Iterator[str]:
    """Yield what is damaged of an unfinished pull: its documents, and its journal line by line.

    A last line that a crash cut off is not a fault. The next run of the pull fetches again what is damaged. Raises
    OSError for a file that cannot be read.
    """
    pull = staging / UNFINISHED
    for path in [*([pull] if pull.exists() else []), *sorted(staging.glob("*.gz.json"))]:
        kind = UnfinishedPull if path == pull else VerifiedBlob
        try:
            documents.decode(path.read_bytes(), VERSION, kind)
        except (documents.NewerDocumentError, documents.OlderDocumentError) as error:
            yield f"{path.name} of the unfinished pull is of another version of Counterfoil: {error}"
        except ValueError:
            yield f"{path.name} of the unfinished pull is not as it was written"
    journal = staging / walk_journal.FILE_NAME
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    for number, line in enumerate(lines, 1):
        is_cut = number == len(lines) and not line.endswith(b"\n") and not _is_line(line[:-1] + b"\n")
        if not is_cut and not _is_line(line):
            yield f"line {number} of {journal.name} of the unfinished pull is not as it was written"


def _is_line(line: bytes) -> bool:
    try:
        walk_journal.read_line(line)
    except ValueError:
        return False
    return True
