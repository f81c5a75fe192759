"""Compiles kernels with numba: a program, run by `compilation` and by nobody else.

python -m counterfoil.datasets.kernels.compiler FOLDER MODULE...
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import numba
from numba import types

from counterfoil.datasets.kernels import machine_code
from counterfoil.datasets.kernels.compilation import CAN_WAIT
from counterfoil.datasets.kernels.compiled import Kernel, Part, kernels_of
from counterfoil.datasets.kernels.signatures import Argument, Elements, Scalar, Several

# Kernels make no arrays, so nobody need count the references to those they were given. Counting, at every call of a
# part and for every array it is given, took half of the time of scanning. And without numba's wrappers, which convert
# Python's objects, machine code needs neither Python nor numba to run.
_OPTIONS: Final[dict[str, Any]] = {
    "error_model": "numpy",
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_NICER: Final = 10


def compile_kernel(kernel: Kernel) -> tuple[str, bytes]:
    """Return the symbol and the machine code of a kernel."""
    result = _type_of(kernel.result) if kernel.result.c_types else types.none
    arguments = tuple(map(_type_of, kernel.arguments.parts))
    function = _jitted(kernel)
    function.compile(result(*arguments))
    done = function.overloads[arguments]
    symbol = done.fndesc.llvm_func_name
    words = 2 + len(kernel.arguments.c_types)
    assert len(list(done.library.get_function(symbol).arguments)) == words, f"numba calls {kernel.name} otherwise"
    _, _, (code, _) = done.library.serialize_using_object_code()
    return symbol, code


@cache
def _jitted(part: Part) -> Any:
    """Return the function of a part as numba's own, with numba's own in the place of the parts that it calls."""
    function = part.function
    assert isinstance(function, FunctionType)
    names = {"__name__", *function.__code__.co_names}
    known = {
        name: _jitted(value) if isinstance(value, Part) else value
        for name, value in function.__globals__.items()
        if name in names
    }
    rebuilt = FunctionType(function.__code__, known, function.__name__)
    return numba.njit(**_OPTIONS, inline="always" if part.inlined else "never")(rebuilt)


def _type_of(form: Argument) -> Any:
    match form:
        case Scalar(name):
            return getattr(types, name)
        case Elements(element, dimensions, writable, step):
            array: Any = types.Array  # whose declared types admit no element but those that are known by name
            layout = "C" if step is None else "A"
            return array(_type_of(element), dimensions, layout, readonly=not writable, aligned=step is None)
        case Several(parts):
            return types.Tuple(tuple(map(_type_of, parts)))  # type: ignore[no-untyped-call]
    raise TypeError(form)


def main(folder: str, *modules: str) -> None:
    """Compile the kernels of some modules, one after the other, but for those that are there already."""
    for module in modules:
        if module in CAN_WAIT:
            os.nice(_NICER)
        for kernel in kernels_of(module):
            if machine_code.find(kernel.name, Path(folder)) is None:
                machine_code.keep(Path(folder), kernel.name, *compile_kernel(kernel))


if __name__ == "__main__":
    main(*sys.argv[1:])
