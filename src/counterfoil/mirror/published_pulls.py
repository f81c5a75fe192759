"""Which pulls were published: a note beside the receipt.

A schedule publishes every day. What was published already is not read again, and a revision that was withdrawn is not
brought back.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from counterfoil.client import Receipt

NOTE: Final = ".counterfoil-published.json"


def was_published(receipt: Receipt, folder: Path, data: Path) -> bool:
    """Whether this very pull was published in the data folder `data` before."""
    try:
        known = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known == _note(receipt, data))


def note_published(receipt: Receipt, folder: Path, data: Path) -> None:
    """Remember that it was. If the note cannot be written, the pull is published again, which changes nothing."""
    with suppress(OSError):
        (folder / NOTE).write_text(json.dumps(_note(receipt, data)) + "\n", encoding="utf-8")


def _note(receipt: Receipt, data: Path) -> dict[str, str]:
    return {"data": str(data.resolve()), "receipt": receipt.to_json()["digest"]}
