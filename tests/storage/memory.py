"""A store without paths, for tests: objects in memory, a catalog in a database in memory, and locks that are leases.

What `Store` promises must not depend on a folder, nor on locks that only death releases. A lease here ends when a test
says so, under the nose of whoever holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from counterfoil.disk import file_lock
from counterfoil.errors import DamagedError, LockedError
from counterfoil.storage import schema, sqlite
from counterfoil.storage.catalog import Catalog
from counterfoil.storage.change_log import ChangeLog
from counterfoil.storage.files import Deleted, FileWriter, Found
from counterfoil.storage.locks import Held
from counterfoil.storage.places import checked
from counterfoil.storage.store import Store


class MemoryFiles:
    """Objects by path. One that is being written is not there until it is closed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._begun: set[str] = set()

    def create(self, path: str) -> FileWriter:
        """Make an object."""
        if checked(path) in self._begun | self.objects.keys():
            raise FileExistsError(path)
        self._begun.add(path)
        return _MemoryWriter(path, self.objects)

    def sync(self, paths: Iterable[str]) -> None:
        """Names are as durable as the objects."""
        assert all(checked(path) in self.objects for path in paths)

    def open(self, path: str) -> _MemoryReader:
        """Open an object."""
        if checked(path) not in self.objects:
            raise DamagedError(f"The stored file {path} is missing.")
        return _MemoryReader(self.objects[path])

    def put(self, path: str, content: bytes) -> None:
        """Write an object in one step."""
        self.objects[checked(path)] = content

    def get(self, path: str) -> bytes | None:
        """Return an object."""
        return self.objects.get(checked(path))

    def paths(self, folder: str) -> list[str]:
        return [found.path for found in self.find(folder) if "/" not in found.path.removeprefix(folder)]

    def find(self, prefix: str = "") -> Iterator[Found]:
        """Yield every object whose path begins so."""
        yield from [Found(path, len(data)) for path, data in sorted(self.objects.items()) if path.startswith(prefix)]

    def move(self, path: str, to: str) -> None:
        """Give an object another path."""
        if checked(path) in self.objects:
            self.objects[checked(to)] = self.objects.pop(path)

    def delete(self, paths: Iterable[str]) -> Deleted:
        """Delete objects."""
        gone = [self.objects.pop(path) for path in map(checked, paths) if path in self.objects]
        return Deleted(len(gone), sum(map(len, gone)))


class _MemoryWriter(FileWriter):
    def __init__(self, path: str, objects: dict[str, bytes]) -> None:
        super().__init__(path)
        self._objects = objects
        self._data = bytearray()

    def _put(self, view: memoryview) -> None:
        self._data += view

    def _end(self, *, whole: bool) -> None:
        if whole:
            self._objects[self.path] = bytes(self._data)


class _MemoryReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return some bytes."""
        return self._data[offset : offset + length]

    def read_cached(self, offset: int, length: int) -> bytes:
        """Return some bytes: they are all at hand."""
        return self.read(offset, length)


class Leases:
    """Locks that end when `end_all` is called, whoever holds them."""

    are_certain: Final = False

    def __init__(self) -> None:
        self._held: dict[str, _Lease] = {}
        self._waiting = threading.Lock()

    def take(self, name: str, *, once: bool = False) -> Held:
        """Take a lease, or raise LockedError."""
        if name in self._held:
            raise LockedError(f"Another publication holds {name}.", remedy="Try again when it is done.")
        self._held[name] = _Lease(self._held, name)
        return self._held[name]

    @contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Hold a lock for a moment."""
        if not self._waiting.acquire(timeout=file_lock.PATIENCE_S):
            raise LockedError(f"Another process holds {name}.", remedy="Try again.")
        try:
            yield
        finally:
            self._waiting.release()

    def close(self) -> None:
        """They last as long as the process."""

    def end_all(self) -> None:
        """End every lease now."""
        self._held.clear()


class _Lease:
    def __init__(self, held: dict[str, _Lease], name: str) -> None:
        self._held = held
        self._name = name

    @property
    def is_lost(self) -> bool:
        """Whether it ended."""
        return self._held.get(self._name) is not self

    def release(self) -> None:
        """Give it back."""
        if not self.is_lost:
            del self._held[self._name]


class MemoryDatabase(sqlite.SqliteDatabase):
    """A database in memory, which has one connection: one transaction at a time, readers too."""

    def __init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        sqlite.set_up(engine)
        super().__init__(engine)
        self._one = threading.RLock()
        with self.writing() as connection:
            schema.fill(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give the connection."""
        with self._one, super().reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give the connection in a transaction."""
        with self._one, super().writing() as connection:
            yield connection

    def settle(self) -> None:
        """Nothing is safer here."""

    def close(self) -> None:
        """It lasts as long as the process."""


def memory_store(data: Path) -> Callable[[], Store]:
    """Return what opens one store again and again; the path is nothing but a place for scratch files."""
    files, locks = MemoryFiles(), Leases()
    log = ChangeLog(MemoryDatabase(), files, locks)
    log.check()
    store = Store(Catalog(log), files, locks, MemoryFiles(), data / "scratch")
    return lambda: store
