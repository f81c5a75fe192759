"""Folders for what a test server works with: gone when it ends, and soon after when it was killed.

A folder is locked by the process that made it, and the system takes a lock back when its holder dies, however it
dies. So whoever makes the next folder can tell which of the others nobody needs any more. What a newcomer would get
wrong: a process id in the folder's name tells nothing, for the system gives the id of a dead process to another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "counterfoil-"
LOCK_NAME: Final = "in-use.lock"
_UNLOCKED_NAME: Final = "new.lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for as long as the context lasts; removes those of processes that died before they could."""
    remove_abandoned(Path(tempfile.gettempdir()))
    made = tempfile.TemporaryDirectory(prefix=PREFIX)
    descriptor = _lock(Path(made.name))
    try:
        with made as folder:
            yield Path(folder)
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    new = folder / _UNLOCKED_NAME
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        new.rename(folder / LOCK_NAME)  # under the name that others look for, it is locked from the beginning
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_abandoned(root: Path) -> None:
    """Remove our own folders of which nobody holds the lock. What cannot be removed stays: it is not ours to mend."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
                continue
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
