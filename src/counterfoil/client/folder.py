"""The folder a pull writes to: all of it appears, or nothing.

Everything is made in a hidden folder inside the target and moved out when the last check has passed; the receipt is
written last, so data without a receipt is no pull. What a newcomer would get wrong: a folder is read as a whole
(`*.parquet`). Files of an older state left beside the new ones would be counted twice, so a pull of the same thing
replaces what the former one brought, and a folder that holds anything else of the sort is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from counterfoil.client.receipt import FILE_NAME, VERSION, Receipt
from counterfoil.errors import UsageError

_STAGING: Final = ".counterfoil-pull-"
_STALE_AFTER_S: Final = 24 * 3600
_DATA_SUFFIXES: Final = (".gz", ".parquet")
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,250}", re.ASCII)
_UNFINISHED: Final = "unfinished"


class Folder:
    """A target folder. Use it as a context manager; leave without `keep` and nothing stays."""

    def __init__(self, path: Path, subject: Mapping[str, str]) -> None:
        self._path = path
        self._subject = dict(subject)
        self._former: tuple[str, ...] = ()
        self.staging = path

    def __enter__(self) -> Folder:
        """Make the folder ready; raises UsageError if it holds something else."""
        if self._path.exists() and not self._path.is_dir():
            raise UsageError(f"{self._path} is a file.", remedy="Name a folder with --to.")
        self._path.mkdir(parents=True, exist_ok=True)
        self._former = self._read_former()
        strangers = sorted(
            each.name
            for each in self._path.iterdir()
            if each.name.endswith(_DATA_SUFFIXES) and each.name not in self._former
        )
        if strangers:
            raise UsageError(
                f"{self._path} holds {strangers[0]}, which no pull brought there, and the two would be mixed up.",
                remedy="Name an empty folder with --to.",
            )
        self._remove_stale()
        self.staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self._path))
        return self

    def __exit__(self, *_: object) -> None:
        if self.staging != self._path:
            shutil.rmtree(self.staging, ignore_errors=True)

    def keep(self, receipt: Receipt) -> None:
        """Move the staged files of the receipt into the folder in place of the former ones, and write the receipt."""
        names = [each.name for each in receipt.files]
        assert all(_SAFE_NAME.fullmatch(name) for name in names)
        sync_folder(self.staging)
        # From here a crash leaves an unfinished receipt that names every file, so that the next pull can clean up.
        note = {
            "receiptVersion": VERSION,
            **self._subject_json(),
            "proof": _UNFINISHED,
            "files": [{"name": name} for name in dict.fromkeys([*self._former, *names])],
        }
        self._write(json.dumps(note, indent=2) + "\n")
        for name in self._former:
            if name not in names:
                (self._path / name).unlink(missing_ok=True)
        for name in names:
            (self.staging / name).replace(self._path / name)
        sync_folder(self._path)
        self._write(receipt.text())

    def _write(self, text: str) -> None:
        fresh = self.staging / FILE_NAME
        with fresh.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            sync(file.fileno())
        fresh.replace(self._path / FILE_NAME)
        sync_folder(self._path)

    def _read_former(self) -> tuple[str, ...]:
        path = self._path / FILE_NAME
        try:
            body: Any = json.loads(path.read_text(encoding="utf-8"))
            names = tuple(str(each["name"]) for each in body["files"])
            subject = {"source": body["source"], "api": body["api"], **body["request"]}
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{path} is not a receipt that can be read.", remedy="Name an empty folder with --to."
            ) from None
        if subject != self._subject:
            raise UsageError(
                f"{self._path} holds another pull: {_said(subject)}.", remedy="Name another folder with --to."
            )
        if not all(_SAFE_NAME.fullmatch(name) for name in names):  # it names what is to be deleted
            raise UsageError(f"{path} names files that no pull writes.", remedy="Name an empty folder with --to.")
        return names

    def _subject_json(self) -> dict[str, object]:
        request = {name: value for name, value in self._subject.items() if name not in ("source", "api")}
        return {"source": self._subject["source"], "api": self._subject["api"], "request": request}

    def _remove_stale(self) -> None:
        for each in self._path.glob(f"{_STAGING}*"):
            if time.time() - each.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(each, ignore_errors=True)


def sync(descriptor: int) -> None:
    """Bring a file to the disk."""
    os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can (Windows cannot, and need not)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _said(subject: Mapping[str, Any]) -> str:
    return ", ".join(str(value) for value in subject.values())
