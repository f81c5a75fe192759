"""An unfinished pull, and where it resumes: what it is of, stored as `pull.json`, and the blobs that arrived in part.

Blobs that arrived whole are in `verified_blobs`, the pages of a walk in `walk_journal`. The links of the blobs are
not stored: they are secrets that expire, and the operation gives new ones. `pull.json` exists only where something was
begun at the source, so a pull that was refused leaves no file, and no folder either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.pull_folder.contents import UNFINISHED
from counterfoil.client.receipt import VERSION
from counterfoil.disk import documents
from counterfoil.disk.durability import write_durably
from counterfoil.errors import UsageError


class UnfinishedPull(msgspec.Struct, forbid_unknown_fields=True):
    """What was asked for, the operation that answers it, and what its manifest listed."""

    subject: dict[str, str]
    started_at: str
    operation_url: str = ""
    etag: str | None = None  # None: no manifest was read yet
    blobs: tuple[SourceBlob, ...] = ()
    request_ids: tuple[str, ...] = ()
    partner: str = ""
    period: str = ""  # the word by which the pages of a walk are asked for

    def keep(self, staging: Path) -> None:
        """Store it."""
        write_durably(staging / UNFINISHED, documents.encode(self, VERSION))

    def __post_init__(self) -> None:
        """Refuse what the receipt could not say; raises ValueError."""
        if datetime.fromisoformat(self.started_at).utcoffset() is None:
            raise ValueError(self.started_at)

    @classmethod
    def read(cls, staging: Path) -> UnfinishedPull | None:
        """Return the unfinished pull of a folder, or None if there is none that can be resumed.

        Raises UsageError if a newer Counterfoil began it.
        """
        path = staging / UNFINISHED
        try:
            return documents.decode(path.read_bytes(), VERSION, cls)
        except documents.NewerDocumentError:
            raise UsageError(
                f"{staging} holds an unfinished pull of a newer Counterfoil.",
                remedy=f"Finish it with that version, or remove {staging}.",
            ) from None
        except (OSError, ValueError):
            return None


def part_size(part: Path) -> int:
    """Return how many bytes of a blob are there."""
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def resume_point(part: Path, blob: SourceBlob) -> tuple[int, str]:
    """Return how much of a blob is there to go on from, and the ETag it had; (0, '') to start again.

    Without an ETag a rest may be of another blob: that is risked only where the SHA-256 will show it.
    """
    size = part_size(part)
    etag = _remembered(part)
    too_large = blob.size_bytes is not None and size > blob.size_bytes
    if not size or too_large or not (etag or blob.sha256):
        forget(part)
        return 0, ""
    return size, etag


def remember(part: Path, headers: Mapping[str, str]) -> None:
    """Keep the ETag of a blob that begins to arrive; a weak one is as good as none."""
    etag = headers.get("etag", "")
    note = _note_of(part)
    if etag.startswith('"') and etag.isascii():
        note.write_text(json.dumps({"etag": etag}), encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


def forget(part: Path) -> None:
    """Throw away what is there of a blob."""
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _remembered(part: Path) -> str:
    try:
        return str(json.loads(_note_of(part).read_text(encoding="utf-8"))["etag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
