"""Folders that are pulled into, as a person sees them."""

from __future__ import annotations

from pathlib import Path

from counterfoil.client.pull_folder.target import STAGING


def left_in(folder: Path) -> list[str]:
    """What a person sees in a folder; what a next pull goes on from is out of sight."""
    return sorted(path.name for path in folder.iterdir() if path.name != STAGING)
