"""Bringing bytes and names to the disk, so that a power cut finds them there."""

from __future__ import annotations

import json
import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can (Windows cannot, and need not)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole, or as it was before."""
    fresh = path.with_name(f"{path.name}.fresh")
    with fresh.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def write_json(path: Path, body: object) -> None:
    """Write a JSON file so that it is there whole, or as it was before."""
    write_text(path, json.dumps(body, ensure_ascii=False, indent=1) + "\n")
