"""How kernels are compiled: by numba, ahead of their first call, and once for each machine.

A kernel has its types written out, so importing its module compiles it, or loads what was compiled before. These
modules are imported by those about to use them and never at start-up, because numba alone takes half a second.

Numba notices a change in the file of a stored kernel, but not in the other files that the kernel calls. So a kernel is
stored under a name that includes a hash of all files in this folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import types

_LONG_S: Final = 0.2
_log = logging.getLogger(__name__)

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

BYTES = types.uint8[::1]
# Eight bytes from every place on: they overlap, and seven in eight are not aligned.
WORDS = types.Array(types.uint64, 1, "A", aligned=False)
INTEGERS = types.int32[::1]
LONGS = types.int64[::1]
FIXED_BYTES = types.Array(types.uint8, 1, "C", readonly=True)  # what Arrow lends
FIXED_INTEGERS = types.Array(types.int32, 1, "C", readonly=True)
TABLE = types.int32[:, ::1]

# Kernels make no arrays, so nobody need count the references to those they were given. Counting, at every call of a
# part and for every array it is given, took half of the time of scanning.
_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def several(*kinds: Any) -> Any:
    """Return the type of a tuple."""
    return types.Tuple(kinds)  # type: ignore[no-untyped-call]


def part(function: Kernel) -> Kernel:
    """Compile a function as a part of the kernels that call it."""
    return cast("Kernel", numba.njit(**_OPTIONS)(function))


def inner_part(function: Kernel) -> Kernel:
    """Compile a small function into the kernels that call it: a call hands over seven words for each array."""
    return cast("Kernel", numba.njit(**_OPTIONS, inline="always")(function))


def kernel(result: Any, *arguments: Any) -> Callable[[Kernel], Kernel]:
    """Compile a function for these types; the code is kept beside the source or in the user's cache folder."""

    def compile_now(function: Kernel) -> Kernel:
        function.__qualname__ = f"{function.__name__}-{_state_of_sources()}"
        signature, began, kept = result(*arguments), monotonic(), True
        try:
            compiled = numba.njit(signature, **_OPTIONS, cache=True)(function)
        except (RuntimeError, OSError):  # neither place can be written to: compile at every start
            compiled = numba.njit(signature, **_OPTIONS)(function)
            kept = False
        if compiled.stats.cache_misses and monotonic() - began > _LONG_S:
            _tell(kept=kept)
        return cast("Kernel", compiled)

    return compile_now


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


@cache  # once in a process, at the first of the kernels
def _tell(*, kept: bool) -> None:
    """Say why nothing seems to happen. Where nobody listens to the log, a warning goes to stderr as it is."""
    if kept:
        _log.warning("Compiling Counterfoil's inner loops: half a minute or so, once on this machine.")
    else:
        _log.warning(
            "Compiling Counterfoil's inner loops, at every start: there is nowhere to keep them. "
            "NUMBA_CACHE_DIR may name a folder that can be written to."
        )


@cache
def _state_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
