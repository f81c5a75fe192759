"""The types of what kernels are given, and how each is handed to compiled code.

Compiled code is called as numba's own code calls it: a pointer to the result, a pointer to an exception, then every
argument in words. An array is seven words or nine: two that its owner is counted by, how many elements, the size of
one, their address, then the length and the step of each dimension. This is written here, and not left to numba,
because numba takes longer to load than a small publication takes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import index
from typing import Any, Protocol

import numpy as np


class Argument(Protocol):
    """The type of one argument."""

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """The C types of the words that it takes."""

    def words(self, value: Any) -> Iterable[int]:
        """Return the words for a value; raises TypeError for one of another type."""


@dataclass(frozen=True)
class Scalar:
    """An integer."""

    name: str

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """One word."""
        return (getattr(ctypes, f"c_{self.name}"),)

    def words(self, value: Any) -> Iterable[int]:
        """Return the integer."""
        return (index(value),)


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

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self.element.name)

    def words(self, value: Any) -> Iterable[int]:
        """Return what describes the array; raises TypeError for one that the kernel was not compiled for."""
        laid_out = value.flags.c_contiguous if self.step is None else value.size <= 1 or value.strides == (self.step,)
        if not (value.dtype == self._dtype and value.ndim == self.dimensions and laid_out) or (
            self.writable and not value.flags.writeable
        ):
            raise TypeError(f"an array of {value.dtype}, {value.shape} in steps of {value.strides}, is not {self}")
        address = value.__array_interface__["data"][0]
        return 0, 0, value.size, value.itemsize, address, *value.shape, *value.strides


@dataclass(frozen=True)
class Several:
    """A tuple."""

    parts: tuple[Argument, ...]

    @property
    def c_types(self) -> tuple[type[Any], ...]:
        """Those of all parts."""
        return tuple(chain.from_iterable(part.c_types for part in self.parts))

    def words(self, value: Any) -> Iterable[int]:
        """Return the words of all parts."""
        words: list[int] = []
        for part, one in zip(self.parts, value, strict=True):
            words += part.words(one)
        return words
