"""The product as it was before the work that the floors are about, so that both can take turns."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

from bench.data import CACHE

COMMIT = "048c895"


@cache
def sources_of(commit: str) -> Path | None:
    """Return a folder with `src` and `bench` of a commit; None, after saying so, where this clone does not have it."""
    folder = CACHE / commit
    if not folder.exists():
        command = ["git", "archive", commit, "src", "bench"]
        archive = subprocess.run(command, cwd=CACHE.parents[1], capture_output=True, check=False)
        if archive.returncode:
            print(f"(no row against {commit}, which this clone does not have)", file=sys.stderr)
            return None
        half = Path(mkdtemp(prefix=f"{commit}-", dir=CACHE))
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
            tar.extractall(half, filter="data")
        half.rename(folder)
    return folder
