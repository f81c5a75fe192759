"""Folders that are pulled into, as a person sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from counterfoil.client.pull_folder.contents import STAGING
from counterfoil.disk.documents import digest_of


def left_in(folder: Path) -> list[str]:
    """What a person sees in a folder; what a next pull goes on from is out of sight."""
    return sorted(path.name for path in folder.iterdir() if path.name != STAGING)


def seal(folder: Path, receipt: dict[str, Any]) -> None:
    """Store a receipt that somebody edited, with the right digest: whoever forges one will think of that."""
    body = {name: value for name, value in receipt.items() if name != "digest"}
    sealed = json.dumps(body | {"digest": digest_of(body)}, ensure_ascii=False)
    (folder / "receipt.json").write_text(sealed, encoding="utf-8")
