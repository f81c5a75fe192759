"""A folder of input files, as `counterfoil publish` and the `load` option of `counterfoil serve` take it.

Unbilled line items do not say which month they are of, so a name must: `2026-11`, or a day such as `2026-11-20`, in the
file's name or in a folder above it. Billed ones name their invoice, and then a date in the name is only a date. The
first folder may be a partner's tenant id, for a distributor's resellers.

A folder is lived in: hidden files and folders, what editors and downloads leave, and other files lie beside the line
items. Those are left alone, and told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from counterfoil.datasets.check import Assertions
from counterfoil.datasets.gathering import Input
from counterfoil.errors import UsageError
from counterfoil.model import is_guid
from counterfoil.periods import BillingPeriod

_MONTH: Final = re.compile(r"(?<![0-9])(20[0-9]{2}-(?:0[1-9]|1[0-2]))(?:-[0-3][0-9])?(?![0-9])", re.ASCII)
_SUFFIXES: Final = (".json", ".jsonl", ".ndjson", ".csv", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")
# Of what editors, spreadsheets and downloads leave beside the files they are of, and where pulls keep former states.
_LEFT_BEGIN: Final = ("~$", "#")
_LEFT_END: Final = (
    "~", "~former", ".bak", ".old", ".orig", ".tmp", ".temp", ".swp", ".part", ".partial", ".crdownload", "#",
)  # fmt: skip
_LEFT_FOLDERS: Final = frozenset({"__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found"})
_COPY: Final = re.compile(r"\.(?:bak|old|orig|tmp|temp|part|partial|crdownload)(?:\.|$)", re.IGNORECASE)

# Returns what a folder holds that a pull made, None for any other folder.
ReadPull = Callable[[Path], "list[Input] | None"]


@dataclass(slots=True)
class FolderContents:
    """The line item files of a folder, and what else was found there, with the reason why it is left alone."""

    inputs: list[Input] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def contents_of_folder(folder: Path, read_pull: ReadPull = lambda _: None) -> FolderContents:
    """Return what is below `folder`, in order of path; raises UsageError if there is no line item file."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", remedy="Name a folder of line item files.", parameter="load")
    found = FolderContents()
    _look_into(folder, folder, found, read_pull)
    if not found.inputs:
        passed_over = f" {len(found.skipped):,} other files were passed over." if found.skipped else ""
        raise UsageError(
            f"{folder} holds no line item files.{passed_over}",
            remedy=f"Their names end in {', '.join(_SUFFIXES[:4])} (or .gz), or in .parquet.",
        )
    return found


def _look_into(folder: Path, root: Path, found: FolderContents, read_pull: ReadPull) -> None:
    pulled = read_pull(folder)
    if pulled is not None:
        found.inputs += pulled
    for path in _entries(folder):
        if reason := _why_left_alone(path):
            found.skipped.append((str(path), reason))
        elif path.is_dir():
            if not path.is_symlink():  # it may lead to a folder above, and round again
                _look_into(path, root, found, read_pull)
        elif pulled is None and path.is_file():
            if path.name.lower().endswith(_SUFFIXES):
                found.inputs.append(Input(str(path), _named_by(path.relative_to(root)), may_be_stray=True))
            else:
                found.skipped.append((str(path), "its name is not that of a line item file"))


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read: {error.strerror or error}.", remedy="Check who may read it."
        ) from error
    return (folder / name for name in names)


def _why_left_alone(path: Path) -> str:
    name = path.name.lower()
    if name.startswith("."):
        return "it is hidden"
    if name in _LEFT_FOLDERS:
        return "it is a system's own"
    if name.startswith(_LEFT_BEGIN) or name.endswith(_LEFT_END) or (_COPY.search(name) and not path.is_dir()):
        return "it is what an editor or a download left"
    return ""


def _named_by(path: Path) -> Assertions:
    folder = path.parts[0].strip().lower()
    months = _MONTH.findall(str(path))
    named = BillingPeriod.parse(months[-1]) if months else None
    return Assertions(partner=folder if is_guid(folder) else "", period_if_unbilled=named)
