"""The progress of a pull, and reporting it to the caller."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull has come; totals that the source does not give beforehand are None."""

    stage: str = "asking"  # asking, waiting, fetching, writing
    blobs: int | None = None  # or pages of a walk, whose number is never known beforehand
    blobs_done: int = 0
    size_bytes: int | None = None
    bytes_done: int = 0
    line_items: int | None = None
    line_items_done: int = 0


class Watcher(Protocol):
    """An object of the caller's that receives the progress of a pull. Calls come from several threads, one at a time.

    If it has a method `progress` too, that is given a `Progress` at every change.
    """

    def remark(self, message: str) -> None:
        """Take a sentence about something that happened."""

    def advance(self, line_items: int) -> None:
        """Take the number of line items that were read and counted since the last call."""


class ProgressReport:
    """Reports to a watcher, if there is one, and collects the receipt's notes; safe to share between threads."""

    def __init__(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        self._on_progress = getattr(watcher, "progress", None)
        self._lock = threading.Lock()
        self._now = Progress()
        self.notes: list[str] = []

    def remark(self, message: str) -> None:
        """Notify the watcher of what happened."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.remark(message)

    def note(self, message: str) -> None:
        """Notify the watcher of what happened, and put it into the receipt."""
        self.notes.append(message)
        self.remark(message)

    def expect(
        self, stage: str, *, blobs: int | None = None, size_bytes: int | None = None, line_items: int | None = None
    ) -> None:
        """Begin a stage, with as much of its size as is known."""
        with self._lock:
            self._tell(replace(self._now, stage=stage, blobs=blobs, size_bytes=size_bytes, line_items=line_items))

    def received(self, size_bytes: int) -> None:
        """Count bytes of blobs."""
        with self._lock:
            self._tell(replace(self._now, bytes_done=self._now.bytes_done + size_bytes))

    def advance(self, line_items: int) -> None:
        """Count line items that were read."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.advance(line_items)
            self._tell(replace(self._now, line_items_done=self._now.line_items_done + line_items))

    def finished_blob(self) -> None:
        """Count a blob, or a page."""
        with self._lock:
            self._tell(replace(self._now, blobs_done=self._now.blobs_done + 1))

    def _tell(self, progress: Progress) -> None:
        self._now = progress
        if callable(self._on_progress):
            self._on_progress(progress)
