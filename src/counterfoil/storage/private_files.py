"""Private files of the data folder: written once, readable by their owner alone, never half there.

Two processes may start on a new folder at the same time, and one may die while it writes. So a secret is written
under another name, synced, and *linked* to its own: the first one wins, and everyone reads what is there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from counterfoil.disk.durability import create_durably, write_durably
from counterfoil.errors import DataFolderError, FullDiskError

_SIZE_BYTES_MAX: Final = 64 * 1024


def load_or_create_private(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what the private file holds; if there is none, it is made, synced, and the same for everyone."""
    try:
        kept = read_private(path)
        if kept is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            create_durably(path, make())
            kept = read_private(path)
    except OSError as error:
        raise _folder_error(path, error) from error
    if kept is None:
        raise DataFolderError(f"{path} vanished while it was read.", remedy="Start again.")
    return kept


def read_private(path: Path) -> bytes | None:
    """Return what a private file holds, or None if there is none; raises DataFolderError if others can read it."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_BYTES_MAX:
                raise DataFolderError(f"{path} is not a file that Counterfoil wrote.", remedy="Move it away.")
            if status.st_mode & 0o077 and os.name != "nt":  # Windows keeps rights elsewhere
                raise DataFolderError(
                    f"{path} holds a secret and can be read by others.",
                    remedy=f"Run `chmod 600 {path}`, and replace the secret if somebody may have seen it.",
                )
            return file.read(_SIZE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _folder_error(path, error) from error


def replace_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace a file, private unless `mode` says more; a reader sees the old content or the new, never a part."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content, mode=mode)
    except OSError as error:
        raise _folder_error(path, error) from error


def _folder_error(path: Path, error: OSError) -> DataFolderError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FullDiskError(f"There is no room to write {path}.", remedy="Make room and start again.")
    return DataFolderError(f"{path} cannot be used: {error.strerror or error}.", remedy="Check its permissions.")
