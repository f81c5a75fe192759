"""Folders for what a process works with: gone when it ends, and soon after when it was killed.

A folder is locked by the process that made it, and the system releases the lock when its holder dies, however it dies.
So the maker of the next folder can see which of the others are abandoned. A process id in the folder's name would not
do: the system gives the id of a dead process to another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from counterfoil.disk.file_lock import FileLock

PREFIX: Final = "counterfoil-"
LOCK_NAME: Final = "in-use.lock"
_ATTEMPTS_MAX: Final = 8


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for as long as the context lasts; removes those of processes that died before they could."""
    remove_abandoned(Path(tempfile.gettempdir()))
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)  # Windows deletes no file that is open, such as the lock


def _locked_folder() -> tuple[Path, FileLock]:
    """Make a folder and lock it. Between the two another process may take it for abandoned: then there is another."""
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            return folder, FileLock.take(folder / LOCK_NAME)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            if attempt == _ATTEMPTS_MAX:
                raise
    raise AssertionError


def remove_abandoned(root: Path) -> None:
    """Delete our own folders whose lock nobody holds. What cannot be deleted stays."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != _own_id(folder) or folder.is_symlink():
                continue
            with FileLock.take(folder / LOCK_NAME, create=False):
                shutil.rmtree(folder, ignore_errors=True)


def _own_id(folder: Path) -> int:
    """Return the id of this user; on Windows, where temporary folders belong to one user, whatever the folder's is."""
    return os.geteuid() if hasattr(os, "geteuid") else folder.lstat().st_uid
