"""Folders for what a test server works with: gone when it ends, and soon after when it was killed.

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
_UNLOCKED_NAME: Final = "new.lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for as long as the context lasts; removes those of processes that died before they could."""
    remove_abandoned(Path(tempfile.gettempdir()))
    made = tempfile.TemporaryDirectory(prefix=PREFIX)
    unlocked = Path(made.name) / _UNLOCKED_NAME
    with FileLock.take(unlocked), made as folder:
        unlocked.rename(Path(folder) / LOCK_NAME)  # the name that others look for never belongs to a file without lock
        yield Path(folder)


def remove_abandoned(root: Path) -> None:
    """Delete our own folders whose lock nobody holds. What cannot be deleted stays."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
                continue
            with FileLock.take(folder / LOCK_NAME, create=False):
                shutil.rmtree(folder, ignore_errors=True)
