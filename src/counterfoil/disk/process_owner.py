"""Who runs this process: the name that records of what was done are kept under."""

from __future__ import annotations

import getpass
from typing import Final

NOBODY: Final = "-"


def process_owner() -> str:
    """Return the name of the user that runs this process, `NOBODY` where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run as a number without a name
        return NOBODY
