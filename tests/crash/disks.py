"""A disk so small that it can be filled: a tmpfs, mounted by root, that grows and shrinks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

LARGE_KIB: Final = 64 << 10
_PIECE_BYTES: Final = 4096


class Disk:
    """A mounted disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def resize(self, size_kib: int) -> None:
        """Give it another size; it holds what it holds."""
        subprocess.run(["mount", "-o", f"remount,size={size_kib}k", self.root], check=True, capture_output=True)

    def used_kib(self) -> int:
        """Return how much lies on it."""
        status = os.statvfs(self.root)
        return (status.f_blocks - status.f_bfree) * status.f_frsize // 1024

    def free_kib(self) -> int:
        """Return how much room there is."""
        status = os.statvfs(self.root)
        return status.f_bfree * status.f_frsize // 1024

    def leave_kib(self, free_kib: int) -> None:
        """Make so much room on it, and no more."""
        self.resize(max(self.used_kib() + free_kib, 4))  # none at all would mean: as large as you like

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.root / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(_PIECE_BYTES))
        assert self.free_kib() == 0

    def make_room(self) -> None:
        """Take away what filled it, and make it large."""
        (self.root / "filler").unlink(missing_ok=True)
        self.resize(LARGE_KIB)


@contextmanager
def mounted(root: Path) -> Iterator[Disk]:
    """Mount a disk for as long as the context lasts; the test is skipped where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    root.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={LARGE_KIB}k", "tmpfs", root], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    try:
        yield Disk(root)
    finally:
        # Lazily, so that a file which is still open somewhere leaves nothing mounted.
        subprocess.run(["umount", "--lazy", root], check=True)
