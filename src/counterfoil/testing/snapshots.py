"""Saved states of a development server: copies of its data folder.

The trap: another process may publish into the folder while it is copied. The catalog is copied first, so files may be
newer than it, never older; the store finds that out when it opens the copy, and the copy is made once more.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil.errors import LostCatalogError, UsageError
from counterfoil.storage import sqlite

SNAPSHOTS_MAX: Final = 32
KEYS: Final = ("secret", "*.pem")  # what tokens and links are signed with
_COPIES_MAX: Final = 5
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state: the copy of a data folder, the business clock's time then, and how long exports ran."""

    name: str
    folder: Path
    saved_at: datetime
    now: datetime
    operation_delay_s: float


def snapshot_name(name: object) -> str:
    """Return a name that a snapshot can have; raises UsageError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        remedy = "Use up to 64 letters, digits, dots, hyphens and underscores."
        raise UsageError(f"{name!r} cannot name a snapshot.", remedy=remedy)
    return name


def copy_keys(data: Path, folder: Path) -> None:
    """Copy what tokens and links are signed with."""
    for pattern in KEYS:
        for path in data.glob(pattern):
            shutil.copy2(path, folder / path.name)


def copy_data_folder(
    data: Path, database_url: str | None, folder: Path, opened: Callable[[Path], AbstractContextManager[object]]
) -> None:
    """Copy keys, catalog and files of a data folder that is in use into an empty folder.

    `opened` opens a data folder, or raises LostCatalogError if its catalog and files do not belong together.
    """
    copy_keys(data, folder)
    copied = sqlite.database_path(folder, None)
    for attempt in range(1, _COPIES_MAX + 1):
        sqlite.copy(sqlite.database_path(data, database_url), copied)
        shutil.copytree(data / "files", folder / "files", dirs_exist_ok=True)
        try:
            with opened(folder):
                return
        except LostCatalogError:
            if attempt == _COPIES_MAX:
                raise
            shutil.rmtree(folder / "files", ignore_errors=True)
            copied.unlink(missing_ok=True)
