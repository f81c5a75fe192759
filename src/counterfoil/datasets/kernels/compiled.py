"""How kernels are compiled: by numba, in a process of its own, at their first call and once for each machine.

A kernel has its types written out. What was compiled is kept, as plain machine code, and is loaded and called without
numba, which takes longer to load than a small publication takes. See `machine_code` for where it is kept.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import Any, Final, TypeVar, cast

import numpy as np

from counterfoil.datasets.kernels import machine_code
from counterfoil.datasets.kernels.compilation import SHARES, compilation
from counterfoil.datasets.kernels.signatures import Argument, Elements, Scalar, Several

F = TypeVar("F", bound=Callable[..., Any])

BYTE: Final = Scalar("uint8")
WORD: Final = Scalar("uint64")
INTEGER: Final = Scalar("int32")
LONG: Final = Scalar("int64")
BYTES: Final = Elements(BYTE)
# Eight bytes from every place on: they overlap, and seven in eight are not aligned.
WORDS: Final = Elements(WORD, step=1)
INTEGERS: Final = Elements(INTEGER)
LONGS: Final = Elements(LONG)
FIXED_BYTES: Final = Elements(BYTE, writable=False)  # what Arrow lends
FIXED_INTEGERS: Final = Elements(INTEGER, writable=False)
TABLE: Final = Elements(INTEGER, dimensions=2)
BYTE_TABLE: Final = Elements(BYTE, dimensions=2)
WORD_TABLE: Final = Elements(WORD, dimensions=2)
NOTHING: Final = Several(())  # the result of a kernel that returns none


class Part:
    """A function that is compiled as a part of the kernels that call it."""

    def __init__(self, function: Callable[..., Any], *, inlined: bool = False) -> None:
        self.function, self.inlined = function, inlined


class Kernel(Part):
    """A function that is compiled for these types; it is called from Python, and by other kernels as a part."""

    def __init__(self, function: Callable[..., Any], result: Scalar | Several, arguments: tuple[Argument, ...]) -> None:
        super().__init__(function)
        self.result, self.arguments = result, Several(arguments)
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self._loading = Lock()
        self._entry: Callable[..., int] | None = None
        self._results = ctypes.c_int64 * (len(result.parts) if isinstance(result, Several) else 1)

    def __call__(self, *given: Any) -> Any:
        """Call the compiled function; the first call loads it, and compiles it where that was never done."""
        entry = self._entry or self.load()
        results, fault = self._results(), ctypes.c_void_p()
        if entry(ctypes.byref(results), ctypes.byref(fault), self.arguments.packed(given)):
            raise IndexError(f"the kernel {self.name} looked beyond what it was given")  # if it was compiled to check
        return results[0] if isinstance(self.result, Scalar) else tuple(results) or None

    def is_ready(self) -> bool:
        """Load the kernel if it is kept, or else begin its compilation; returns whether it can be called at once."""
        with self._loading:
            if self._entry is None:
                address = machine_code.find(self.name) or compilation().find(self.name)
                self._entry = self._entry_at(address) if address else None
            return self._entry is not None

    def load(self) -> Callable[..., int]:
        """Return the compiled function, once it is there; raises CounterfoilError if it cannot be compiled."""
        if not self.is_ready():
            address = compilation().wait_for(self.name)
            with self._loading:
                self._entry = self._entry or self._entry_at(address)
        assert self._entry is not None
        return self._entry

    def _entry_at(self, address: int) -> Callable[..., int]:
        # A function made so lets other threads run while the kernel does.
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(address)


class WrittenKernel(Kernel):
    """A kernel in LLVM's language, which its function returns when it is called without arguments."""


def several(*parts: Argument) -> Several:
    """Return the type of a tuple."""
    return Several(parts)


def part(function: F) -> F:
    """Compile a function as a part of the kernels that call it."""
    return cast("F", Part(function))


def inner_part(function: F) -> F:
    """Compile a small function into the kernels that call it: a call hands over seven words for each array."""
    return cast("F", Part(function, inlined=True))


def kernel(result: Scalar | Several, *arguments: Argument) -> Callable[[F], F]:
    """Make a kernel of a function, for arguments of these types."""

    def make(function: F) -> F:
        return cast("F", Kernel(function, result, arguments))

    return make


def is_ready(*kernels: Callable[..., Any]) -> bool:
    """Whether kernels can be called at once. If not, their compilation has begun."""
    return all(each.is_ready() for each in kernels if isinstance(each, Kernel))


def kernels_of(module: str) -> list[Kernel]:
    """Return the kernels that a module of this folder defines."""
    members = vars(import_module(f"{__package__}.{module}")).values()
    return [each for each in members if isinstance(each, Kernel) and each.name.startswith(f"{module}.")]


def prepare(*, wait: bool = False) -> int:
    """Load what is kept, begin to compile the rest, and return how many kernels that is; with `wait`, until it is done.

    Raises CounterfoilError if a kernel that was waited for cannot be compiled.
    """
    kernels = [kernel for modules in SHARES for module in modules for kernel in kernels_of(module)]
    missing = [kernel for kernel in kernels if not kernel.is_ready()]
    if missing and wait:
        compilation().finish()
        for kernel in missing:
            kernel.load()
    return len(missing)


@inner_part
def copy_words(words: Any, start: Any, length: Any, out: Any, at: Any) -> Any:
    """Copy some bytes, and up to fifteen too many; returns where the copy ends."""
    # An unsigned index lets numba skip the check for a negative index.
    source, target, step = np.uint64(start), np.uint64(at), np.uint64(8)
    out[target] = words[source]
    out[target + step] = words[source + step]  # most texts are short: this saves a branch that cannot be foretold
    place, end = step + step, np.uint64(length)
    while place < end:
        out[target + place] = words[source + place]
        place += step
    return at + length


def words_of(text: np.ndarray) -> np.ndarray:
    """Return the eight bytes that begin at each place of a text, the last seven places aside, as integers."""
    # `as_strided` gives the same, and takes forty times as long: a few thousand calls to a publication.
    return np.ndarray((len(text) - 7,), dtype="<u8", buffer=text.data, strides=(1,))
