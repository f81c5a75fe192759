"""Names of blobs, as names of files on any system.

A disk may not distinguish `A.gz` from `a.gz`, a blob gets another ending where it becomes Parquet, and Windows keeps
names like `con.gz` for its devices. So names are compared as they will be on the disk.
"""

from __future__ import annotations

import re
from typing import Final

_BLOB_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.gz", re.ASCII)
_TAKEN_BY_WINDOWS: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.ASCII)


def is_blob_name(name: str) -> bool:
    """Whether a blob of this name can be kept under it on every system."""
    return _BLOB_NAME.fullmatch(name) is not None and not is_taken_by_windows(name)


def is_taken_by_windows(name: str) -> bool:
    """Whether Windows takes a name for one of its devices, whatever its ending."""
    return _TAKEN_BY_WINDOWS.fullmatch(name) is not None


def stem_of(blob_name: str) -> str:
    """Return the lower-case name without .gz and .json, to detect names that collide on disk."""
    return blob_name.lower().removesuffix(".gz").removesuffix(".json")
