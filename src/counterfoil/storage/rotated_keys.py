"""Private files of several keys: the first one is used, and those before it are honoured until a time.

A line `# until TIME` begins a former key. What is of a file is decided by the clock each time, so nobody has to take an
ended key away; the next rotation does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil.disk.file_lock import FileLock
from counterfoil.errors import DataFolderError
from counterfoil.periods import timestamp, utc_now
from counterfoil.storage.private_files import read_private, replace_private

_FORMER: Final = re.compile(r"^# until (\S+)$\n?", re.MULTILINE)


class RotatedFile:
    """A file of keys, as one process has read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_as: tuple[int, int, int] | None = None
        self._next_end: datetime | None = None

    def read(self) -> list[str]:
        """Return the key that is used, and the former ones that are still honoured; raises DataFolderError."""
        read_as = self._state()
        content = read_private(self.path)
        if content is None:
            raise DataFolderError(f"{self.path} is missing.", remedy="Put back a copy.")
        try:
            used, *former = _parts(content.decode("ascii"))
        except ValueError as error:
            raise DataFolderError(f"{self.path} is damaged: {error}.", remedy="Put back a copy.") from error
        now = utc_now()
        honoured = [(text, until) for text, until in former if until is not None and until > now]
        self._read_as, self._next_end = read_as, min((until for _, until in honoured if until), default=None)
        return [used[0], *(text for text, _ in honoured)]

    def has_changed(self) -> bool:
        """Whether reading it again would give something else: it was replaced, or a former key has ended."""
        return self._state() != self._read_as or (self._next_end is not None and utc_now() >= self._next_end)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def rotate(path: Path, fresh: str, until: datetime) -> bool:
    """Put a fresh key in front of a file; the one before is honoured until a time. Returns whether there was a file.

    Raises DataFolderError; a reader finds the file as it was, or as it is to be.
    """
    with FileLock.take(path.with_name(f"{path.name}.lock"), wait=True):
        content = read_private(path)
        now = utc_now()
        former = [] if content is None else _parts(content.decode("ascii"))
        kept = [(text, until if end is None else min(end, until)) for text, end in former]
        parts = [fresh, *(f"# until {timestamp(end)}\n{text}" for text, end in kept if end > now)]
        replace_private(path, "".join(part if part.endswith("\n") else f"{part}\n" for part in parts).encode("ascii"))
    return content is not None


def _parts(text: str) -> list[tuple[str, datetime | None]]:
    """Part the text of a file; raises ValueError."""
    used, *marked = _FORMER.split(text)
    found: list[tuple[str, datetime | None]] = [(used, None)]
    for end, former in zip(marked[::2], marked[1::2], strict=True):
        until = datetime.fromisoformat(end)
        found.append((former, until if until.tzinfo else until.replace(tzinfo=UTC)))
    return found
