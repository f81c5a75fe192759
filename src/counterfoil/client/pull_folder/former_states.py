"""Former states of a pull and files that somebody edited, kept beside the folder of the pulls and never in it.

Excel, Power BI and others read a folder with all that is below it, so an older state in there would be counted twice:
what was in `pulls` is kept in `pulls~former`. Everything is kept before the first file is replaced, mostly by a second
link to the same bytes. A run that is killed leaves at most a copy too many, which the next run recognizes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from counterfoil.client.pull_folder.contents import FORMER_SUFFIX
from counterfoil.client.receipt import FILE_NAME, VERSION, NamedFile, Receipt, format_of, read_receipt
from counterfoil.disk import documents
from counterfoil.disk.durability import sync_file, sync_folder, write_durably
from counterfoil.disk.hashing import measured
from counterfoil.errors import LockedError, UsageError

_STATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9-]{8}Z(-[0-9]+)?", re.ASCII)
_MAKING: Final = ".making"
_GOING: Final = ".going"


def former_beside(folder: Path) -> Path:
    """Return where the former states of what is in a folder are kept; raises UsageError where nothing is beside it."""
    whole = folder.resolve()
    if not whole.name:
        raise UsageError(f"{folder} has no folder beside it.", remedy="Name a folder below it.", parameter="to")
    return whole.with_name(whole.name + FORMER_SUFFIX)


class FormerStates:
    """The folder of the former states of one pull. It is made when there is something to keep."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def set_aside(self, path: Path, moment: str) -> Path:
        """Keep an edited file under a name that says so, and return where; a file that was kept before stays one.

        Raises LockedError for a file that is being written to just now, and OSError.
        """
        self._make()
        begin, dot, suffix = path.name.rpartition(".")
        stem, ending = (begin, dot + suffix) if begin else (path.name, "")
        for each in self.place.glob(f"{stem}.edited-*{ending}"):
            with suppress(OSError):
                if each.samefile(path):
                    return each
        for number in range(1, 1_000):
            counted = "" if number == 1 else f"-{number}"
            target = self.place / f"{stem}.edited-{_for_name(moment)}{counted}{ending}"
            if not os.path.lexists(target):
                _link_or_copy(path, target)
                sync_folder(self.place)
                return target
        raise LockedError(f"{self.place} has too many edited copies of {path.name}.", remedy="Remove some.")

    def keep(self, folder: Path, receipt: Receipt, unchanged: Collection[str]) -> None:
        """Keep the state of a receipt, as far as its files are unchanged; a format that is not whole is left out."""
        changed = {format_of(file.name) for file in receipt.files if file.name not in unchanged}
        files = tuple(file for file in receipt.files if format_of(file.name) not in changed)
        if not files:
            return
        formats = tuple(each for each in receipt.formats if each not in changed)
        kept = msgspec.structs.replace(receipt, files=files, format=formats if len(formats) > 1 else formats[0])
        self._make()
        target = self._free_name(kept)
        if target is None:
            return
        making = self.place / f"{_MAKING}-{target.name}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        for file in files:
            _link_or_copy(folder / file.name, making / file.name)
        write_durably(making / FILE_NAME, documents.encode(kept, VERSION, indent=2))
        sync_folder(making)
        making.rename(target)
        sync_folder(self.place)

    def prune(self, most: int) -> None:
        """Delete the oldest states beyond so many, and what killed runs left. A state somebody changed stays."""
        for left in (*self.place.glob(f"{_MAKING}-*"), *self.place.glob(f"{_GOING}-*")):
            shutil.rmtree(left, ignore_errors=True)
        states = self.states()
        for each in states[: max(0, len(states) - most)]:
            if _is_as_kept(each):
                going = self.place / f"{_GOING}-{each.name}"
                each.rename(going)  # at once: a state that is half there would look like one that somebody changed
                shutil.rmtree(going, ignore_errors=True)

    def states(self) -> list[Path]:
        """Return the folders of the states, the oldest first."""
        return sorted((each for each in self.place.glob("*Z*") if _STATE.fullmatch(each.name)), key=_age)

    def _make(self) -> None:
        for each in (*reversed(self.place.parents), self.place):
            if not each.exists():
                each.mkdir(mode=0o700, exist_ok=True)
                sync_folder(each.parent)

    def _free_name(self, receipt: Receipt) -> Path | None:
        """Return the name for a state, after those of the same second; None if it is kept already."""
        name = _for_name(receipt.finished_at)
        alike = [each for each in self.states() if _age(each)[0] == name.rstrip("Z")]
        for each in alike:
            with suppress(UsageError):
                if read_receipt(each) == receipt:
                    return None
        return self.place / (f"{name}-{_age(alike[-1])[1] + 1}" if alike else name)


def preserved(
    folder: Path,
    states: Callable[[], FormerStates],
    written: Collection[NamedFile],
    former: Receipt | None,
    receipt: Receipt,
    states_kept: int,
) -> Receipt:
    """Keep what is in a folder and is not in its new state, and return the new receipt, which says what was edited.

    `written` is what former pulls wrote there, `former` the receipt of the last that was finished. Where that one was
    cut off while its files were moved, the state before it is kept already.
    """
    known = {(file.name.lower(), file.sha256) for file in written}  # some disks ignore the case of letters
    fresh = {(file.name.lower(), file.sha256) for file in receipt.files}
    unchanged, aside = set[str](), list[Path]()
    for name in sorted({file.name for file in written} | {file.name for file in receipt.files}):
        path = folder / name
        if not os.path.lexists(path):
            continue
        found = (name.lower(), _sha256_of(path))
        if found in known:
            unchanged.add(name)
        elif found not in fresh:
            aside.append(states().set_aside(path, receipt.finished_at))
    if former is not None and states_kept and not _is_same_state(former, receipt):
        states().keep(folder, former, unchanged)
    return msgspec.structs.replace(receipt, set_aside=tuple(map(str, aside)))


def _sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, '' of what cannot be read: it is not what a pull wrote."""
    try:
        return measured(path).sha256
    except OSError:
        return ""


def _is_same_state(former: Receipt, receipt: Receipt) -> bool:
    """Whether two receipts are of the same line items, which are only written anew."""
    known = bool(former.etag) and former.etag == receipt.etag
    return known and (former.line_items, former.totals) == (receipt.line_items, receipt.totals)


def _for_name(moment: str) -> str:
    """Write a time so that Windows takes it for a name, to the second."""
    return f"{moment[:19].replace(':', '-')}Z"


def _age(state: Path) -> tuple[str, int]:
    name, _, number = state.name.partition("Z")
    return name, int(number.removeprefix("-") or 1)


def _is_as_kept(state: Path) -> bool:
    """Whether a state has the files of its receipt, unchanged, and nothing else."""
    try:
        receipt = Receipt.read(state)
    except UsageError:
        return False
    if receipt is None or {each.name for each in state.iterdir()} != {FILE_NAME, *(f.name for f in receipt.files)}:
        return False
    return not any(file.difference(state) for file in receipt.files)


def _link_or_copy(source: Path, target: Path) -> None:
    """Give the bytes of a file a second name; where the disk cannot, copy them. Raises LockedError, OSError."""
    if source.is_dir():
        source.rename(target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # another disk, or one without links
        before = source.stat()
        unfinished = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, unfinished)
        sync_file(unfinished)
        after = source.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            unfinished.unlink()
            raise LockedError(
                f"{source} is being written to.", remedy="Close the program that has it open. Trying again is safe."
            ) from None
        unfinished.rename(target)
