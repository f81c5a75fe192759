"""The types of what kernels are given, and how each is handed to compiled code.

Compiled code is called as numba's own code calls it: a pointer to the result, a pointer to an exception, then every
argument in words. An array is seven words or nine: two that its owner is counted by, how many elements, the size of
one, their address, then the length and the step of each dimension. This is written here, and not left to numba,
because numba takes longer to load than a small publication takes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from operator import index
from typing import Any, Protocol


class Argument(Protocol):
    """The type of one argument."""

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """The C types of the words that it takes."""

    def words(self, value: Any) -> Iterator[int]:
        """Yield the words for a value; raises TypeError for one of another type."""


@dataclass(frozen=True)
class Scalar:
    """An integer."""

    name: str

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """One word."""
        return (getattr(ctypes, f"c_{self.name}"),)

    def words(self, value: Any) -> Iterator[int]:
        """Yield the integer."""
        yield index(value)


@dataclass(frozen=True)
class Elements:
    """An array of integers."""

    element: Scalar
    dimensions: int = 1
    writable: bool = True
    step: int | None = None  # from one element to the next, where they overlap

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """Five words, and two for each dimension."""
        return (ctypes.c_ssize_t,) * (5 + 2 * self.dimensions)

    def words(self, value: Any) -> Iterator[int]:
        """Yield what describes the array; raises TypeError for one that the kernel was not compiled for."""
        described = value.__array_interface__
        address, read_only = described["data"]
        shape, steps = described["shape"], described["strides"]
        expected = None if self.step is None or value.size <= 1 else (self.step,)
        if (value.dtype.name, len(shape), steps) != (self.element.name, self.dimensions, expected) or (
            read_only and self.writable
        ):
            raise TypeError(f"an array of {value.dtype}, {shape} in steps of {steps}, where {self} is expected")
        yield from (0, 0, value.size, value.itemsize, address, *shape, *value.strides)


@dataclass(frozen=True)
class Several:
    """A tuple."""

    parts: tuple[Argument, ...]

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """Those of all parts."""
        return tuple(chain.from_iterable(part.c_types for part in self.parts))

    def words(self, value: Any) -> Iterator[int]:
        """Yield the words of all parts."""
        for part, one in zip(self.parts, value, strict=True):
            yield from part.words(one)
