"""Numbers drawn by a counter: the n-th draw under a key, without any state.

Why our own: of the standard library's `random` only `random()` itself is promised to stay the same, and that is a
float; numpy promises less. This is SplitMix64's output function over `key + n` steps, fifteen lines that can never
change under us, under keys made by BLAKE2b. It is not cryptography and does not need to be. Never use `hash()`,
sets or the order of a dict from elsewhere here: PYTHONHASHSEED must not affect the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
T = TypeVar("T")


def key_of(*parts: str | int) -> int:
    """Return the 64-bit key that `parts` name; other parts, another key."""
    digest = hashlib.blake2b(digest_size=8, person=b"counterfoil-1")
    for part in parts:
        text = str(part).encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(digest.digest(), "big")


def draw(key: int, count: int) -> int:
    """Return the `count`-th draw under `key`: 64 bits, evenly spread."""
    mixed = (key + count * _STEP) & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return mixed ^ mixed >> 31


def guid_of(high: int, low: int) -> str:
    """Write two draws as a GUID (of version 4, as tenant and subscription ids are)."""
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[low >> 62]}{text[17:20]}-{text[20:]}"


class Draws:
    """One draw after the other under one key, for things that are made once and not once a line."""

    def __init__(self, *parts: str | int) -> None:
        self._key = key_of(*parts)
        self._count = 0

    def bits(self) -> int:
        """Return 64 bits."""
        self._count += 1
        return draw(self._key, self._count)

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        return self.bits() * limit >> 64

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of `choices`."""
        return choices[self.below(len(choices))]

    def one_in(self, odds: int) -> bool:
        """Return True once in `odds` draws, on average."""
        return self.below(odds) == 0

    def guid(self) -> str:
        """Return a GUID."""
        return guid_of(self.bits(), self.bits())

    def code(self, length: int) -> str:
        """Return capital letters and digits, as product ids are made of."""
        return "".join(self.pick("0123456789BCDFGHJKLMNPQRSTVWXZ") for _ in range(length))
