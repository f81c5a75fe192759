"""Locks by name on PostgreSQL: advisory locks of a connection that is open as long as the store is.

The server takes them back when that connection ends, however it ends: so a process that dies holds nothing, and one
that lives may have lost what it held. `is_lost` asks the server.

The trap: to PostgreSQL a lock belongs to the connection, which may take it twice. Threads of one process share the
connection, so what this process holds is also kept here.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Final

from counterfoil.disk import file_lock
from counterfoil.errors import DataFolderError, LockedError
from counterfoil.storage.failures import translated_errors
from counterfoil.storage.locks import Held

_ASK_AGAIN_S: Final = 0.05


class PostgresLocks:
    """The advisory locks of one store; `address` is what psycopg connects with. Close it."""

    are_certain: Final = False

    def __init__(self, address: dict[str, Any]) -> None:
        self._address = address
        self._connection: Any = None
        self._held: dict[str, _HeldKey] = {}
        self._one = threading.RLock()

    def take(self, name: str, *, once: bool = False) -> Held:
        """Take a lock, or raise LockedError at once where it is held."""
        with self._one, translated_errors():
            if name not in self._held and self._asked("SELECT pg_try_advisory_lock(%s)", name):
                self._held[name] = _HeldKey(self, name)
                return self._held[name]
        raise LockedError(f"Another publication holds {name}.", remedy="Try again when it is done.")

    @contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Hold a lock for the length of a context; raises LockedError after `file_lock.PATIENCE_S`."""
        until = time.monotonic() + file_lock.PATIENCE_S
        while True:
            try:
                held = self.take(name)
                break
            except LockedError:
                if time.monotonic() > until:
                    raise LockedError(f"Another process holds {name}.", remedy="Try again.") from None
            time.sleep(_ASK_AGAIN_S)
        try:
            yield
        finally:
            held.release()

    def is_held(self, held: _HeldKey) -> bool:
        """Whether a lock is still held: the connection that took it lives."""
        with self._one:
            if self._held.get(held.name) is not held:
                return False
            try:
                self._connection.execute("SELECT 1")
            except Exception:  # noqa: BLE001 - of any kind: whoever cannot ask holds nothing
                self._forget()
            return self._held.get(held.name) is held

    def give_back(self, held: _HeldKey) -> None:
        """Release a lock, if it is still held."""
        with self._one:
            if self._held.get(held.name) is held:
                del self._held[held.name]
                with suppress(DataFolderError), translated_errors():  # a lost connection has released it
                    self._asked("SELECT pg_advisory_unlock(%s)", held.name)

    def close(self) -> None:
        """End the connection, and with it every lock."""
        with self._one:
            self._forget()

    def _asked(self, statement: str, name: str) -> bool:
        try:
            return bool(self._open().execute(statement, (_key(name),)).fetchone()[0])
        except Exception:
            if self._connection is not None and self._connection.closed:
                self._forget()
            raise

    def _open(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._forget()
            # Loaded here, because who has no PostgreSQL need not have its driver.
            self._connection = import_module("psycopg").connect(**self._address, autocommit=True)
            first, second = (self._connection.execute("SELECT pg_backend_pid()").fetchone() for _ in range(2))
            if first != second:
                raise DataFolderError(
                    "database_url leads to a pool that gives each statement another connection, where locks end.",
                    remedy="Name the server itself, or let the pool keep a connection for a session.",
                )
        return self._connection

    def _forget(self) -> None:
        self._held.clear()
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None


class _HeldKey:
    def __init__(self, locks: PostgresLocks, name: str) -> None:
        self._locks = locks
        self.name = name

    @property
    def is_lost(self) -> bool:
        """Whether the connection that took it has ended."""
        return not self._locks.is_held(self)

    def release(self) -> None:
        """Release it; may be called twice."""
        self._locks.give_back(self)


def _key(name: str) -> int:
    """Return the 64 bits by which PostgreSQL knows a lock."""
    return int.from_bytes(hashlib.sha256(f"counterfoil/{name}".encode()).digest()[:8], "big", signed=True)
