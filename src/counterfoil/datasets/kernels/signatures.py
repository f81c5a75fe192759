"""The types of what kernels are given, and how each is handed to compiled code: in words of eight bytes.

An array is seven words or nine: two that its owner is counted by, how many elements, the size of one, their address,
then the length and the step of each dimension. That is how numba's own code describes one. This is written here, and
not left to numba, because numba takes longer to load than a small publication takes.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from operator import index
from struct import Struct
from typing import Any, ClassVar, Final, Protocol

import numpy as np

_SIGNED: Final = Struct("q")
_UNSIGNED: Final = Struct("Q")


class _Interface(ctypes.Structure):
    """What numpy tells of an array to C: its PyArrayInterface."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int) for name in ("two", "nd", "typekind", "itemsize", "flags")),
        *((name, ctypes.c_size_t) for name in ("shape", "strides", "data")),
    ]


_interface_at: Final = ctypes.PYFUNCTYPE(ctypes.POINTER(_Interface), ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_ARRAYS: Final = {dimensions: Struct(f"{5 + 2 * dimensions}q") for dimensions in (1, 2)}


class Argument(Protocol):
    """The type of one argument."""

    def packed(self, value: Any) -> bytes:
        """Return the words for a value; raises TypeError for one of another type.

        What was returned before may be given again, as long as the value is alive and of that size.
        """


@dataclass(frozen=True)
class Scalar:
    """An integer."""

    name: str

    def packed(self, value: Any) -> bytes:
        """Return the integer."""
        return (_UNSIGNED if self.name == "uint64" else _SIGNED).pack(index(value))


@dataclass(frozen=True)
class Elements:
    """An array of integers."""

    element: Scalar
    dimensions: int = 1
    writable: bool = True
    step: int | None = None  # from one element to the next, where they overlap

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self.element.name)

    def packed(self, value: Any) -> bytes:
        """Return what describes the array; raises TypeError for one that the kernel was not compiled for."""
        if type(value) is bytes:
            return value
        laid_out = value.flags.c_contiguous if self.step is None else value.size <= 1 or value.strides == (self.step,)
        if not (value.dtype == self._dtype and value.ndim == self.dimensions and laid_out) or (
            self.writable and not value.flags.writeable
        ):
            raise TypeError(f"an array of {value.dtype}, {value.shape} in steps of {value.strides}, is not {self}")
        interface = value.__array_struct__  # a third of the time that `__array_interface__` takes
        address = _interface_at(interface, None)[0].data
        words: bytes = _ARRAYS[self.dimensions].pack(
            0, 0, value.size, value.itemsize, address, *value.shape, *value.strides
        )
        return words


@dataclass(frozen=True)
class Several:
    """A tuple."""

    parts: tuple[Argument, ...]

    def packed(self, value: Any) -> bytes:
        """Return the words of all parts."""
        if type(value) is bytes:
            return value
        return b"".join([part.packed(one) for part, one in zip(self.parts, value, strict=True)])
