"""A bounded memory of the values used last. An entry may be dropped at any time, so it is only ever a cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """The values used last, up to a bound on the sum of their sizes. Safe to use from several threads."""

    def __init__(self, bound: int, size: Callable[[Value], int] = lambda _: 1) -> None:
        self._bound = bound
        self._size = size
        self._total = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """Return the value of the key, if it is here, and count it as used."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and drop those that were not used for longest."""
        with self._lock:
            self._pop(key)
            self._values[key] = value
            self._total += self._size(value)
            while self._total > self._bound:
                _, dropped = self._values.popitem(last=False)
                self._total -= self._size(dropped)

    def drop(self, key: Key) -> None:
        """Drop a value, if it is here."""
        with self._lock:
            self._pop(key)

    def _pop(self, key: Key) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._total -= self._size(dropped)
