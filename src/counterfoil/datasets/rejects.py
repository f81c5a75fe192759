"""Refused lines: counted, written to a file if one is given, and fatal unless a number of them is allowed.

With none allowed, the first refused line refuses the publication: at once, or, if there is a rejects file, after
everything was read, so that one run lists every line to correct. Each publication overwrites its rejects file.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from counterfoil.datasets.source import input_error
from counterfoil.errors import InputError
from counterfoil.line_items.values import Refused

WRITTEN_MAX = 100_000  # a file of the wrong kind must not fill the disk with complaints


class Rejects:
    """Collects refused lines of one publication; a context manager, which closes the rejects file."""

    def __init__(self, path: Path | None, allowed: int) -> None:
        self._path = path
        self._allowed = allowed
        self._file: TextIO | None = None
        self._first: InputError | None = None
        self.count = 0

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, *_: object) -> None:
        # After `settle` there is nothing to close. Before it another error is on its way, and must not be replaced.
        with suppress(OSError):
            self._close()

    @property
    def most(self) -> int | None:
        """With more refused lines than that nothing is published nor listed; None: all are listed."""
        return self._allowed if self._path is None else None

    def add(self, file: str, line: int, refused: Refused) -> None:
        """Note one refused line; raises its InputError if no more are allowed and there is no file for them."""
        remedy = "Correct the line, or allow a number of refused lines."
        error = input_error(refused, file, line, remedy=remedy, parameter="allow_rejects")
        self.count += 1
        self._first = self._first or error
        if self._path is None and self.count > self._allowed:
            raise error
        if self._path is not None and self.count <= WRITTEN_MAX:
            self._write(self._path, error)

    def settle(self) -> None:
        """Raise the first refusal if there were more than allowed. Called when everything was read.

        The rejects file is complete before a publication without these lines is committed.
        """
        if self._path is not None:
            if self._first is None:
                self._write(self._path, None)
            try:
                self._close()
            except OSError as failure:
                raise _cannot_write(self._path, failure) from failure
        if self._first is not None and self.count > self._allowed:
            if self._path is not None:
                self._first.remedy, self._first.parameter = self._listed(self._path), ""
            raise self._first

    def _listed(self, path: Path) -> str:
        """Say how many lines were refused, and where they are listed."""
        lines, listed = ("1 line was", "it") if self.count == 1 else (f"{self.count:,} lines were", "them")
        if self.count > WRITTEN_MAX:
            listed = f"the first {WRITTEN_MAX:,}"
        allowed = f"{self._allowed:,}" if self._allowed else "none"
        return f"{lines} refused and {allowed} allowed: {path} lists {listed}. Nothing was published."

    def _write(self, path: Path, error: InputError | None) -> None:
        try:
            if self._file is None:
                # Half a surrogate pair in a value becomes an escape, which is JSON too.
                self._file = path.open("w", encoding="utf-8", errors="backslashreplace")
            if error is None:
                return
            json.dump(
                {
                    "file": error.file,
                    "line": error.line,
                    "attribute": error.attribute,
                    "value": error.value,
                    "reason": error.reason,
                },
                self._file,
                ensure_ascii=False,
            )
            self._file.write("\n")
        except OSError as failure:
            raise _cannot_write(path, failure) from failure

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def _cannot_write(path: Path, failure: OSError) -> InputError:
    return InputError(
        f"the refused lines cannot be written: {failure.strerror or failure}",
        file=str(path),
        remedy="Nothing was published. Make room, or name another file for the refused lines.",
        parameter="rejects",
    )
