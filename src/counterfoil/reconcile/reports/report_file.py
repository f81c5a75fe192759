"""A report's file: it is there whole or not at all, and never in place of another one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from counterfoil.disk.durability import inherit_owner, sync_file, sync_folder
from counterfoil.errors import CounterfoilError, UsageError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a place to write to; what was written there has the name `path` afterwards, durably.

    Raises UsageError if there is something of that name, or no such folder, and CounterfoilError if it cannot be
    written. Whatever fails leaves nothing.
    """
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent}.", remedy="Make it, or name another.")
    _refuse_other(path)
    fresh = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}")
    try:
        yield fresh
        sync_file(fresh)
        inherit_owner(fresh, path.parent)
        _refuse_other(path)
        fresh.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CounterfoilError(
            f"{path} cannot be written: {error.strerror or error}.", remedy="Name another file, or make room."
        ) from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def private_text(path: Path) -> int:
    """Return the descriptor of a new file of its owner's alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def _refuse_other(path: Path) -> None:
    if os.path.lexists(path):  # also a link that leads nowhere
        raise UsageError(f"{path} is there already.", remedy="Name another file, or move it away.")
