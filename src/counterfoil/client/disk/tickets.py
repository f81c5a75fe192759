"""What an unfinished pull is of, and how far it came: `pull.json`, from which the next run goes on.

The links of the blobs are not in it: they are secrets that age, and the operation gives new ones. What a newcomer
would get wrong: a ticket is there only where something was begun at the source, so a pull that was refused leaves
none, and no folder either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from counterfoil.client.disk.syncing import write_json
from counterfoil.client.protocol.graph_answers import SourceBlob

FILE_NAME: Final = "pull.json"
_VERSION: Final = 1


@dataclass(slots=True)
class Ticket:
    """What was asked for, the operation that answers it, and what its manifest listed."""

    subject: dict[str, str]
    started_at: str
    operation_url: str = ""
    etag: str | None = None  # None: the manifest was not seen yet
    blobs: tuple[SourceBlob, ...] = ()
    request_ids: tuple[str, ...] = ()
    partner: str = ""
    period: str = ""  # the word by which the pages of a walk are asked for

    def keep(self, folder: Path) -> None:
        """Write the ticket."""
        write_json(folder / FILE_NAME, {"version": _VERSION, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Ticket | None:
        """Return the ticket in a folder; None where there is none, or none that this version can read."""
        try:
            body: Mapping[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            if body["version"] != _VERSION:
                return None
            return cls(
                dict(body["subject"]),
                str(body["started_at"]),
                str(body["operation_url"]),
                body["etag"],
                tuple(SourceBlob(**each) for each in body["blobs"]),
                tuple(body["request_ids"]),
                str(body.get("partner", "")),
                str(body.get("period", "")),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
