"""Telling somebody how a pull comes along."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull has come. What a source does not tell beforehand is None."""

    stage: str = "asking"  # asking, waiting, fetching, writing
    blobs: int | None = None  # or pages, of a walk: then nobody knows how many there will be
    blobs_done: int = 0
    size_bytes: int | None = None
    bytes_done: int = 0
    line_items: int | None = None
    line_items_done: int = 0


class Watcher(Protocol):
    """Somebody who is told how a pull comes along. Calls come from several threads, one at a time.

    A watcher that has a method `progress` too is given a `Progress` whenever something of it changed.
    """

    def remark(self, message: str) -> None:
        """Something worth saying happened."""

    def advance(self, line_items: int) -> None:
        """So many more line items were read and counted."""


class Watching:
    """Passes on to a watcher, if there is one, what the flows have to tell; safe to share between threads."""

    def __init__(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        self._on_progress = getattr(watcher, "progress", None)
        self._lock = threading.Lock()
        self._now = Progress()
        self.notes: list[str] = []

    def remark(self, message: str) -> None:
        """Say what happened."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.remark(message)

    def note(self, message: str) -> None:
        """Say what happened, and have the receipt say it too."""
        self.notes.append(message)
        self.remark(message)

    def expect(
        self, stage: str, *, blobs: int | None = None, size_bytes: int | None = None, line_items: int | None = None
    ) -> None:
        """Say what comes next, and how much of it."""
        self._tell(replace(self._now, stage=stage, blobs=blobs, size_bytes=size_bytes, line_items=line_items))

    def received(self, size_bytes: int) -> None:
        """Count bytes of blobs."""
        with self._lock:
            self._tell_locked(replace(self._now, bytes_done=self._now.bytes_done + size_bytes))

    def advance(self, line_items: int) -> None:
        """Count line items that were read."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.advance(line_items)
            self._tell_locked(replace(self._now, line_items_done=self._now.line_items_done + line_items))

    def finished_blob(self) -> None:
        """Count a blob, or a page."""
        with self._lock:
            self._tell_locked(replace(self._now, blobs_done=self._now.blobs_done + 1))

    def _tell(self, progress: Progress) -> None:
        with self._lock:
            self._tell_locked(progress)

    def _tell_locked(self, progress: Progress) -> None:
        self._now = progress
        if callable(self._on_progress):
            self._on_progress(progress)
