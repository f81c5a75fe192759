"""The folder a pull writes to: all files of the pull appear, or none; and what an unfinished pull leaves in it.

Everything is made in `.counterfoil-pull` inside the target and moved out when the last check has passed; the receipt is
written last, so data without a receipt is not a pull. Tools read a folder as a whole (`*.parquet`), and files of an
older state left beside the new ones would be counted twice. So a pull of the same thing replaces the files of the
former one, and a folder that holds anything else is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from counterfoil.client.pull_folder.contents import DATA_SUFFIXES, STAGING
from counterfoil.client.pull_folder.former_states import FormerStates, former_beside, preserved
from counterfoil.client.pull_folder.unfinished import UnfinishedPull
from counterfoil.client.receipt import (
    FILE_NAME,
    VERSION,
    NamedFile,
    Receipt,
    ReceiptFile,
    UnfinishedReceipt,
    format_of,
    identity,
    read_receipt,
)
from counterfoil.disk import documents
from counterfoil.disk.durability import sync_folder, write_durably
from counterfoil.disk.file_lock import NO_LOCKS, FileLock
from counterfoil.disk.hashing import measured
from counterfoil.errors import DataFolderError, LockedError, ProofError, UsageError
from counterfoil.profiles import STATES_KEPT

_LOCK: Final = "lock"
_ENTERED_MAX: Final = 100
_OPEN_IN_OFFICE: Final = "~$"  # begins the name of the file that Excel keeps beside one it has open
_NOBODYS: Final = frozenset({"desktop.ini", "thumbs.db"})  # put there by Windows, and by no person
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,250}", re.ASCII)


class PullFolder:
    """A target folder: `enter` it, then `keep` what was staged or `leave`."""

    def __init__(self, path: Path, subject: Mapping[str, str], source: str, former: Path | None = None) -> None:
        self.path = path
        self.staging = path / STAGING
        self.subject = dict(subject)
        self.source = source
        self._beside = former
        self._former: tuple[NamedFile, ...] = ()
        self._made = [self.staging]  # folders to remove where nothing is left in them, the innermost last
        self._lock: FileLock | None = None
        self.receipt: Receipt | None = None  # of the former pull
        self.ticket: UnfinishedPull | None = None  # of an unfinished one

    def enter(self) -> None:
        """Make the folder ready; raises UsageError if it holds other things, LockedError if another pull is running."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file.", remedy="Name a folder.", parameter="to")
        self._lock_up()
        try:  # not before it is locked: another pull that is about to end would look like a stranger
            self._former = self._read_former()
            self._check()
            self.ticket = self._read_ticket()
        except BaseException:
            self.leave()
            raise

    def _lock_up(self) -> None:
        for _ in range(_ENTERED_MAX):
            with suppress(FileNotFoundError):  # another pull that leaves takes its folders away
                for each in (*reversed(self.path.parents), self.path, self.staging):
                    if not each.exists():
                        each.mkdir(mode=0o700, exist_ok=True)
                        sync_folder(each.parent)
                        self._made = [*(made for made in self._made if made != each), each]
                self._lock = lock_pulls(self.staging / _LOCK, str(self.path))
                return
        raise LockedError(
            f"Other pulls come and go in {self.path}.", remedy="Try again when they are done; it is safe."
        )

    def _read_ticket(self) -> UnfinishedPull | None:
        ticket = UnfinishedPull.read(self.staging)
        if ticket is None:
            return None
        begun = {name: value for name, value in ticket.subject.items() if name != "source"}
        if begun != self.subject:
            raise UsageError(
                f"{self.path} holds an unfinished pull of something else: {_listed(begun)}.",
                remedy=f"Finish that one, or remove {self.staging}, or name another folder.",
                parameter="to",
            )
        if ticket.subject.get("source", self.source) == self.source:
            return ticket
        # The source has another address by now. Pages are asked for by links to the old one; blobs are not.
        if self.subject.get("api") == "v1":
            self.clear()
            return None
        ticket.subject, ticket.operation_url = {"source": self.source, **begun}, ""
        return ticket

    def begin(self, started_at: str) -> UnfinishedPull:
        """Return a pull that begins now, with nothing of it here yet."""
        return UnfinishedPull({"source": self.source, **self.subject}, started_at)

    def states(self) -> FormerStates:
        """Return where former states and edited files are kept; raises UsageError for a folder that has none beside."""
        return FormerStates(self._beside or former_beside(self.path))

    @property
    def formats_here(self) -> set[str]:
        """The formats that a former pull left here, of which all files are still there, whatever is in them."""
        named = {file.name for file in self._former}
        gone = {format_of(name) for name in named if not (self.path / name).exists()}
        return {format_of(name) for name in named} - gone

    def _check(self) -> None:
        """Refuse a folder that holds what no pull brought there."""
        entries = sorted(
            each.name
            for each in self.path.iterdir()
            if not each.name.startswith((".", _OPEN_IN_OFFICE)) and each.name.lower() not in _NOBODYS
        )
        is_ours = FILE_NAME in entries
        strangers = [
            name
            for name in entries
            if name not in (*self._former_names, FILE_NAME) and (not is_ours or name.endswith(DATA_SUFFIXES))
        ]
        if strangers:
            raise UsageError(
                f"{self.path} holds {strangers[0]}, which no pull brought there, and the two would be mixed up.",
                remedy="Name an empty folder.",
                parameter="to",
            )

    def check_partner(self, partner: str, begun: str) -> None:
        """Raise UsageError if what is here is another partner's data, as far as that is known.

        `begun` is the partner of the pull that is under way.
        """
        theirs = begun or (self.receipt.partner if self.receipt else "")  # what is begun here is the former partner's
        if partner and theirs and partner != theirs:
            held = "an unfinished pull of data" if begun else "data"
            start_again = f"Remove {self.staging} to start again, or name another folder."
            raise UsageError(
                f"{self.path} holds {held} of the partner {theirs}, and this is the data of {partner}.",
                remedy=start_again if begun else "Name another folder.",
                parameter="to",
            )

    def find(self, file: ReceiptFile) -> Path | None:
        """Return where a verified file is: staged, or moved into place by a run that was killed then.

        The file is hashed whenever it is to be used: what was proven may have been damaged since. A staged file that
        is damaged is deleted, so that it is fetched again. Raises OSError.
        """
        path = self._find(file)
        if path is None or measured(path) == file.measured:
            return path
        if path.parent == self.staging:
            path.unlink()
        return None

    def proven(self, file: ReceiptFile) -> Path:
        """Return where a verified file is, as `find` does; raises ProofError for one that is damaged or gone."""
        path = self.find(file)
        if path is None:
            raise ProofError(f"{file.name} is no longer as it was written.", remedy="Trying again fetches it again.")
        return path

    def _find(self, file: ReceiptFile) -> Path | None:
        if file.is_in(self.staging):
            return self.staging / file.name
        was_moved = self.receipt is None and file.name in self._former_names and file.is_in(self.path)
        return self.path / file.name if was_moved else None

    def clear(self) -> None:
        """Delete what an unfinished pull left."""
        self.ticket = None
        for each in self.staging.iterdir():
            if each.name != _LOCK:
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def keep(self, receipt: Receipt, states_kept: int = STATES_KEPT) -> Receipt:
        """Move the staged files of the receipt into the folder in place of the former ones, and write the receipt.

        The former state is kept beside the folder, with the `states_kept` latest, and so is every file that was
        edited; the receipt that is returned says where those are. Raises ProofError where the staged files are not
        all there, and LockedError where a file cannot be replaced; before the first step that cannot be taken back,
        where that is possible.
        """
        names = [each.name for each in receipt.files]
        self._check_ready(receipt)
        sync_folder(self.staging)
        receipt = preserved(self.path, self.states, self._former, self.receipt, receipt, states_kept)
        # From here a crash leaves an unfinished receipt that names every file, so that the next pull can clean up.
        fresh = (NamedFile(each.name, each.sha256) for each in receipt.files)
        moved = tuple(dict.fromkeys([*self._former, *fresh]))
        note = UnfinishedReceipt(source=receipt.source, api=receipt.api, request=receipt.request, files=moved)
        self._write(note)
        self._replace_former(names)
        if lost := [file.name for file in receipt.files if not file.is_in(self.path)]:
            raise ProofError(f"{lost[0]} did not arrive in {self.path}.", remedy="Trying again is safe.")
        self._write(receipt)
        self.clear()
        with suppress(OSError, UsageError):  # the next pull tries again
            self.states().prune(states_kept)
        return receipt

    @property
    def _former_names(self) -> list[str]:
        return list(dict.fromkeys(file.name for file in self._former))

    def _check_ready(self, receipt: Receipt) -> None:
        """Refuse, before anything is replaced, what can be found by then."""
        names = {each.name.lower() for each in receipt.files}
        assert all(_SAFE_NAME.fullmatch(name) for name in names)
        if len(names) != len(receipt.files):
            raise ProofError("Two files of this pull would have the same name.", remedy="Nothing was replaced.")
        for file in receipt.files:
            self.proven(file)
        for name in (FILE_NAME, *self._former_names):
            with _error_if_in_use(self.path / name), suppress(FileNotFoundError):
                (self.path / name).replace(self.path / name)  # to itself: it fails where a program has the file open

    def _replace_former(self, names: Sequence[str]) -> None:
        by_letters = {name.lower(): name for name in names}
        for former in self._former_names:
            new = by_letters.get(former.lower(), "")
            if former != new and not (new and self._is_moved(former, new)):
                with _error_if_in_use(self.path / former):
                    (self.path / former).unlink(missing_ok=True)
        for name in names:
            if (self.staging / name).exists():
                with _error_if_in_use(self.path / name):
                    (self.staging / name).replace(self.path / name)
        sync_folder(self.path)

    def _is_moved(self, former: str, new: str) -> bool:
        """Whether a former file is the new one by now: some disks ignore the case of letters."""
        old, fresh = self.path / former, self.path / new
        return not (self.staging / new).exists() and old.exists() and fresh.exists() and old.samefile(fresh)

    @property
    def is_held(self) -> bool:
        """Whether it was entered and is not left yet: nobody else may touch what is in it."""
        return self._lock is not None

    @property
    def has_fetched(self) -> bool:
        """Whether something was fetched that a next run need not fetch again."""
        return any(any(self.staging.glob(pattern)) for pattern in ("*.part", "*.gz.json", "items-*"))

    def leave(self) -> None:
        """Let go of the folder. What can be gone on with stays; otherwise nothing does that was not there before."""
        lock, self._lock = self._lock, None
        if self._is_unfinished():
            if lock is not None:
                lock.release()
            return
        if lock is not None:
            self.clear()
            lock.remove()
        for each in reversed(self._made):
            try:
                each.rmdir()
            except OSError:  # it is not empty, or another pull is there by now
                return

    def _is_unfinished(self) -> bool:
        try:
            return UnfinishedPull.read(self.staging) is not None
        except UsageError:  # a newer Counterfoil's: nothing here is ours to remove
            return True

    def _write(self, receipt: Receipt | UnfinishedReceipt) -> None:
        fresh = self.staging / FILE_NAME
        write_durably(fresh, documents.encode(receipt, VERSION, indent=2))
        with _error_if_in_use(self.path / FILE_NAME):
            fresh.replace(self.path / FILE_NAME)
        sync_folder(self.path)

    def _read_former(self) -> tuple[NamedFile, ...]:
        """Read the receipt in the folder, and return the files that it names."""
        found = read_receipt(self.path)
        if found is None:
            return ()
        if (subject := identity(found.api, found.request)) != self.subject:
            raise UsageError(
                f"{self.path} holds another pull: {_listed(subject)}.", remedy="Name another folder.", parameter="to"
            )
        if not all(_SAFE_NAME.fullmatch(file.name) for file in found.files):  # it names what is to be deleted
            raise UsageError(
                f"{self.path / FILE_NAME} names files that no pull writes.",
                remedy="Name an empty folder.",
                parameter="to",
            )
        self.receipt = found if isinstance(found, Receipt) else None
        return tuple(NamedFile(file.name, file.sha256) for file in found.files)


def lock_pulls(path: Path, what: str) -> FileLock:
    """Take the lock that keeps other pulls out of `what`; waits for nobody.

    Raises LockedError if another pull holds it, DataFolderError if the disk has no locks, and FileNotFoundError if
    the folder of the lock does not exist.
    """
    try:
        return FileLock.take(path)
    except BlockingIOError:
        raise LockedError(
            f"Another pull is writing to {what}.", remedy="Try again when it is done; it is safe."
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise DataFolderError(
            f"{what} cannot be locked: {error.strerror}.",
            remedy="Name a folder on a disk that has file locks; a disk of this machine has.",
        ) from None


@contextmanager
def _error_if_in_use(path: Path) -> Iterator[None]:
    """Raise LockedError where a file cannot be replaced. Windows replaces none that a program has open."""
    try:
        yield
    except PermissionError as error:
        raise LockedError(
            f"{path} cannot be replaced: {error.strerror}.",
            remedy="Close the program that has it open, and see that you may write there. Trying again is safe.",
        ) from error


def _listed(subject: Mapping[str, str]) -> str:
    return ", ".join(subject.values())
