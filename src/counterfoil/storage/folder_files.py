"""Stored files in a folder of a local disk.

A file's bytes are synced when it is closed, or, where they are few, with its name when its publication is sealed; only
then may the catalog list it. Folders are made when a file needs them and deleted with their last file, so the writer of
a file may find that its folder vanished in between, and makes it again. Only the owner can read what is here: it is
every partner's bill.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from counterfoil.disk.durability import inherit_owner, sync_many, write_durably
from counterfoil.disk.hashing import DiskWriter
from counterfoil.errors import DamagedError, DataFolderError
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.files import Deleted, FileWriter, Found
from counterfoil.storage.places import checked

T = TypeVar("T")

_ATTEMPTS_MAX: Final = 16
_SYNCED_AT_ONCE_BYTES: Final = 1 << 20  # a file of so many; the system writes it out while more is computed
_UNFINISHED: Final = ".part"
_NOT_CACHED: Final = frozenset([errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
_CACHED_ONLY: Final = getattr(os, "RWF_NOWAIT", 0)
_PLAIN: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # Windows has only the second
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN


class FolderFiles:
    """The files below one folder, which is made when it is first needed."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        """Use `<data>/files`. What need not be `durable` is not synced."""
        self._root, self._durable = root, durable

    def create(self, path: str) -> FileWriter:
        """Make a file; raises FileExistsError where there is one."""
        with translated_errors():
            full = self._root / checked(path)
            descriptor = in_its_folder(full, lambda: os.open(full, _NEW, 0o600))
            inherit_owner(descriptor, full.parent)
            return _StoredFileWriter(descriptor, path, durable=self._durable)

    def sync(self, paths: Iterable[str]) -> None:
        """Make closed files durable: their bytes, their names, and those of all folders above them."""
        root = self._root.absolute()
        top = root.parent.parent  # it holds the data folder, whose name may be new as well
        files = [root / checked(path) for path in paths]
        folders = {folder for file in files for folder in file.parents if folder.is_relative_to(top)}
        with translated_errors():
            sync_many(files, sorted(folders, key=lambda folder: -len(folder.parts)))

    def open(self, path: str) -> _DiskReader:
        """Open a file for reading; raises DamagedError where there is none."""
        try:
            with translated_errors():
                return _DiskReader(os.open(self._root / checked(path), os.O_RDONLY | _PLAIN))
        except FileNotFoundError as error:
            raise DamagedError(f"The stored file {path} is missing.", remedy="Run: counterfoil verify") from error

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step, durably."""
        target = self._root / checked(path)
        # The same name each time: what a killed process left is written over when the same is put again.
        unfinished = target.name + _UNFINISHED
        with translated_errors():
            in_its_folder(target, lambda: write_durably(target, content, unfinished=unfinished))

    def get(self, path: str) -> bytes | None:
        """Return a small file's content, None where there is none."""
        with translated_errors(), suppress(FileNotFoundError):
            return (self._root / checked(path)).read_bytes()
        return None

    def find(self, prefix: str = "") -> Iterator[Found]:
        """Yield every file below a folder, in order of path."""
        with translated_errors():
            for folder, folders, names in os.walk(self._root / prefix):
                folders.sort()
                for name in sorted(names):
                    full = Path(folder, name)
                    with suppress(FileNotFoundError):
                        yield Found(full.relative_to(self._root).as_posix(), full.lstat().st_size)

    def paths(self, folder: str) -> list[str]:
        """Return the paths of the files in one folder, in any order: quicker than `find`, which asks for sizes."""
        with translated_errors(), suppress(FileNotFoundError):
            return [folder + path.name for path in (self._root / folder).iterdir()]
        return []

    def move(self, path: str, to: str) -> None:
        """Give a file another path, durably; one that is not there is left so."""
        source, target = self._root / checked(path), self._root / checked(to)
        with translated_errors(), suppress(FileNotFoundError):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.replace(target)
            self.sync([to])
            self._remove_empty(source.parent)

    def delete(self, paths: Iterable[str]) -> Deleted:
        """Delete files, and the folders that hold nothing after that; those that are not there are passed over."""
        deleted, refused = Deleted(), None
        for full in [self._root / checked(path) for path in paths]:
            try:
                with translated_errors():
                    with suppress(FileNotFoundError, NotADirectoryError):
                        size_bytes = full.lstat().st_size
                        full.unlink()
                        deleted += Deleted(1, size_bytes)
                    self._remove_empty(full.parent)
            except DataFolderError as error:
                refused = error  # another user's file must not keep the others here
        if refused is not None:
            raise refused
        return deleted

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    return
                raise
            folder = folder.parent


class _StoredFileWriter(FileWriter, DiskWriter):
    def __init__(self, descriptor: int, path: str, *, durable: bool) -> None:
        super().__init__(path)
        self._descriptor, self._durable = descriptor, durable

    def _end(self, *, whole: bool) -> None:
        super()._end(whole=whole and self._durable and self.size_bytes >= _SYNCED_AT_ONCE_BYTES)


class _DiskReader:
    """Closed when nobody refers to it any more.

    Closing it under another thread would let the descriptor be handed out again, and that thread would read somebody
    else's file. A file that is deleted meanwhile can be read to its end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.size_bytes = os.fstat(descriptor).st_size

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end of the file."""
        with translated_errors():
            if hasattr(os, "pread"):
                return os.pread(self._descriptor, length, offset)
            with self._lock:  # Windows reads where the file stands
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                return os.read(self._descriptor, length)

    def read_cached(self, offset: int, length: int) -> bytes | bytearray | None:
        """Return what the system holds in memory at `offset`; None when that would mean waiting for the disk.

        A fresh buffer each time: the transport may keep what it is given until the socket has taken it.
        """
        if not _CACHED_ONLY:
            return None
        piece = bytearray(length)
        try:
            count = os.preadv(self._descriptor, [piece], offset, _CACHED_ONLY)
        except OSError as error:
            if error.errno in _NOT_CACHED:
                return None
            raise
        if count < length:
            del piece[count:]
        return piece


def in_its_folder(full: Path, make: Callable[[], T]) -> T:
    """Make a file, after making its folder as often as somebody takes it away; raises DataFolderError in the end."""
    for _ in range(_ATTEMPTS_MAX):
        try:
            return make()
        except FileNotFoundError:
            make_private_folders(full.parent)
    raise DataFolderError(
        f"The folder of {full.name} vanished again and again.", remedy="Look for what deletes folders there."
    )


def make_private_folders(folder: Path) -> None:
    """Make a folder and all above it that are missing, for their owner alone."""
    if not folder.exists():
        make_private_folders(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            inherit_owner(folder, folder.parent)
