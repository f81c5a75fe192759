"""An unfinished pull: what it is of, and how far it came. Stored as `pull.json`, from which the next run resumes.

The links of the blobs are not stored: they are secrets that expire, and the operation gives new ones. The file exists
only where something was begun at the source, so a pull that was refused leaves no file, and no folder either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.receipt import VERSION
from counterfoil.disk import documents
from counterfoil.disk.durability import write_durably
from counterfoil.errors import UsageError

FILE_NAME: Final = "pull.json"


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
        write_durably(staging / FILE_NAME, documents.encode(self, VERSION))

    @classmethod
    def read(cls, staging: Path) -> UnfinishedPull | None:
        """Return the unfinished pull of a folder, or None if there is none that can be resumed.

        Raises UsageError if a newer Counterfoil began it.
        """
        path = staging / FILE_NAME
        try:
            return documents.decode(path.read_bytes(), VERSION, cls)
        except documents.NewerDocumentError:
            raise UsageError(
                f"{staging} holds an unfinished pull of a newer Counterfoil.",
                remedy=f"Finish it with that version, or remove {staging}.",
            ) from None
        except (OSError, ValueError):
            return None
