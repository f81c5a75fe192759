"""A folder of immutable files, made by publications and listed by the catalog.

A publication is a folder with a name nobody used before. Its files are written once, each synced when it is
closed, and the folder when it is sealed; only then may the catalog list them. Until it does, they are orphans.

**Deleting what nobody lists.** A publication holds the lock in its folder from its first moment until after its
commit. Whoever cleans looks at the folder in this order: take the lock (without waiting; if it is held, leave
the folder alone), *then* ask the catalog what it lists there, then delete the rest. Asked before the lock was
taken, the catalog's answer could be old: the publication may have committed and let go in between, and its live
files would be deleted. With the lock in hand nobody can commit files of this folder any more. At the other end,
a cleaner may find a folder whose publication has not locked it yet; `begin` therefore looks, once it has the
lock, whether the folder still holds the very file it locked, and starts over under another name if not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self
from weakref import WeakSet

from counterfoil.errors import DamagedError, DataFolderError
from counterfoil.storage.failures import in_our_words

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOCK_NAME: Final = "lock"
_PUBLICATION: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", re.ASCII)
_ATTEMPTS_MAX: Final = 16
_WRITE_BYTES_MAX: Final = 1 << 30  # one write call takes no more than 2 GiB


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What cleaning a publication's folder deleted."""

    files: int
    size_bytes: int


class FileWriter(io.RawIOBase):
    """One new file, written once: counted and hashed on the way, and synced when it is closed.

    Nothing is buffered here, so give it large pieces. After `close` has returned, the bytes are on the disk.
    """

    def __init__(self, descriptor: int, stored: str) -> None:
        """Use `Publication.create`."""
        super().__init__()
        self.stored = stored
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._whole = True
        self._descriptor = descriptor

    @property
    def sha256(self) -> str:
        """The SHA-256 of all that was written, in hex."""
        return self._hash.hexdigest()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data`; raises FullDiskError.

        A file that could not be written is given up. What a buffer in front of it writes when it is forgotten goes
        nowhere then, rather than failing where nobody can catch it.
        """
        view = memoryview(data).cast("B")
        if not self._whole:
            return len(view)
        written = 0
        try:
            with in_our_words():
                while written < len(view):
                    written += os.write(self._descriptor, view[written : written + _WRITE_BYTES_MAX])
        except BaseException:
            self._whole = False
            raise
        self._hash.update(view)
        self.size_bytes += written
        return written

    def give_up(self) -> None:
        """Make no promise for this file any more, whatever is still written to it."""
        self._whole = False

    def writable(self) -> bool:
        """Writing is all it is for."""
        return True

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self.size_bytes

    def fileno(self) -> int:
        """The system's number of the open file."""
        return self._descriptor

    def close(self) -> None:
        """Sync and close. A file that could not be written is only closed: no promise is made for it."""
        if self.closed:
            return
        super().close()
        try:
            with in_our_words():
                if self._whole:
                    os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


class Publication:
    """A new folder of files, locked while this object is open. Leaving it as a context only lets go of the lock."""

    def __init__(self, folder: Path, lock: int) -> None:
        """Use `Files.begin`."""
        self.id = folder.name
        self.folder = folder
        self._lock: int | None = lock
        self._writers: WeakSet[FileWriter] = WeakSet()

    def create(self, name: str) -> FileWriter:
        """Make a file; raises FileExistsError when there is one of that name."""
        if _FILE_NAME.fullmatch(name) is None or name == LOCK_NAME:
            raise ValueError(f"{name!r} is not a name for a stored file")
        with in_our_words():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            writer = FileWriter(os.open(self.folder / name, flags, 0o644), f"{self.id}/{name}")
        self._writers.add(writer)
        return writer

    def seal(self) -> None:
        """Make the names of all files durable; after this the catalog may list them."""
        with in_our_words():
            for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
                sync_folder(folder)

    def abandon(self) -> None:
        """Delete everything and let go. Never after a commit: these may be live files then."""
        try:
            with in_our_words():
                for path in list(self.folder.iterdir()):
                    if path.name != LOCK_NAME:
                        _delete_all(path)
                _remove_folder(self.folder)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the lock. What the catalog does not list by now is an orphan, and what is not closed, given up."""
        for writer in self._writers:
            writer.give_up()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Files:
    """The folder of all publications."""

    def __init__(self, root: Path) -> None:
        """Use `<data>/files`; it is made when first needed."""
        self._root = root

    def begin(self) -> Publication:
        """Make a new publication and hold its lock."""
        with in_our_words():
            for _ in range(_ATTEMPTS_MAX):
                folder = self._root / uuid.uuid4().hex
                try:
                    folder.mkdir(parents=True)
                except FileNotFoundError:  # another publication came to nothing, and took away the root it had made
                    continue
                lock = _lock_new(folder)
                if lock is not None:
                    return Publication(folder, lock)
        raise DataFolderError(
            "A new publication's folder vanished again and again.", remedy="Look for what deletes files there."
        )

    def path(self, stored: str) -> Path:
        """Return where a stored path lies; nothing but a file of a publication has one."""
        publication, _, name = stored.partition("/")
        if not _PUBLICATION.fullmatch(publication) or not _FILE_NAME.fullmatch(name) or name == LOCK_NAME:
            raise DamagedError(f"{stored!r} is not the path of a stored file.")
        return self._root / publication / name

    def open(self, stored: str) -> BinaryIO:
        """Open a stored file for reading; raises DamagedError when it is gone."""
        path = self.path(stored)
        try:
            with in_our_words():
                return path.open("rb")
        except FileNotFoundError as error:
            raise DamagedError(f"The stored file {stored} is missing.", remedy="Run: counterfoil verify") from error

    def publications(self) -> Iterator[str]:
        """Yield the name of every publication's folder, live, dead or known to the catalog."""
        with in_our_words():
            names = [entry.name for entry in os.scandir(self._root)] if self._root.is_dir() else []
        yield from sorted(name for name in names if _PUBLICATION.fullmatch(name))

    def delete(self, stored: Iterable[str]) -> Cleaned:
        """Delete files that the catalog has forgotten, and the folders that hold nothing after that."""
        count = size_bytes = 0
        folders = set()
        with in_our_words():
            for path in map(self.path, stored):
                folders.add(path.parent)
                with contextlib.suppress(FileNotFoundError):
                    found_bytes = path.stat().st_size
                    path.unlink()
                    count, size_bytes = count + 1, size_bytes + found_bytes
            for folder in folders:
                _clean(folder, None)
        return Cleaned(count, size_bytes)

    def clean(self, publication: str, listed: Callable[[str], Collection[str]]) -> Cleaned | None:
        """Delete what the catalog does not list in a publication's folder; None when the publication is at work.

        `listed` is asked for the stored paths of the publication once the lock is held, never before.
        """
        folder = self._root / publication
        if _PUBLICATION.fullmatch(publication) is None:
            raise DamagedError(f"{publication!r} is not the name of a publication.")

        def names() -> set[str]:
            return {stored.partition("/")[2] for stored in listed(publication)}

        with in_our_words():
            return _clean(folder, names)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clean(folder: Path, names_to_keep: Callable[[], Collection[str]] | None) -> Cleaned | None:
    """Delete all but some files, and the folder once it is empty; without names, only an empty folder."""
    try:
        lock = _lock_old(folder)
    except FileNotFoundError:
        return Cleaned(0, 0)
    if lock is None:
        return None
    try:
        kept = None if names_to_keep is None else names_to_keep()
        count = size_bytes = left = 0
        for path in list(folder.iterdir()):
            if path.name == LOCK_NAME:
                continue
            if kept is None or path.name in kept:
                left += 1
                continue
            deleted = _delete_all(path)
            count, size_bytes = count + deleted.files, size_bytes + deleted.size_bytes
        if not left:
            _remove_folder(folder)
        return Cleaned(count, size_bytes)
    finally:
        os.close(lock)


def _delete_all(path: Path) -> Cleaned:
    """Delete a file, or a folder with all that is in it (a publication keeps what it is sorting in one)."""
    if path.is_dir() and not path.is_symlink():
        inside = [_delete_all(each) for each in list(path.iterdir())]
        path.rmdir()
        return Cleaned(sum(each.files for each in inside), sum(each.size_bytes for each in inside))
    size_bytes = path.lstat().st_size
    path.unlink()
    return Cleaned(1, size_bytes)


def _lock_new(folder: Path) -> int | None:
    """Make and take the lock of a folder just made; None when a cleaner came first."""
    path = folder / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except (FileExistsError, FileNotFoundError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _lock_old(folder: Path) -> int | None:
    """Take the lock of a folder that was found; None when it is held. Raises FileNotFoundError."""
    path = folder / LOCK_NAME
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    # Another cleaner deleted this lock, and somebody made a new one, while we were on our way.
    os.close(lock)
    return None


def _remove_folder(folder: Path) -> None:
    """Remove a folder of which we hold the lock; one that somebody put a file in stays."""
    (folder / LOCK_NAME).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
            raise
