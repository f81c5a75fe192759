"""Names that a source gives, as names of files. What a newcomer would get wrong: a name is not yet a file.

A disk may not tell `A.gz` from `a.gz`, a blob gets another ending where it becomes Parquet, and Windows keeps names
like `con.gz` for its devices. So names are compared as they will lie on the disk, on whatever system it is.
"""

from __future__ import annotations

import re
from typing import Final

_BLOB_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.gz", re.ASCII)  # none that looks like an option
_TAKEN_BY_WINDOWS: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.ASCII)


def is_blob_name(name: str) -> bool:
    """Whether a blob of this name can be kept under it on every system."""
    return _BLOB_NAME.fullmatch(name) is not None and not is_taken_by_windows(name)


def is_taken_by_windows(name: str) -> bool:
    """Whether Windows takes a name for one of its devices, whatever its ending."""
    return _TAKEN_BY_WINDOWS.fullmatch(name) is not None


def stem_of(blob_name: str) -> str:
    """Return what is left of a blob's name where endings and letter case do not count: each has its own."""
    return blob_name.lower().removesuffix(".gz").removesuffix(".json")
