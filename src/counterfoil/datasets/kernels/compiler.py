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

import llvmlite.binding as llvm
import numba
from numba import types

from counterfoil.datasets.kernels import machine_code
from counterfoil.datasets.kernels.compilation import CAN_WAIT
from counterfoil.datasets.kernels.compiled import NOTHING, Kernel, Part, WrittenKernel, kernels_of
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
_NICER: Final = 19


def compile_kernel(kernel: Kernel) -> tuple[str, bytes]:
    """Return the symbol and the machine code of a kernel."""
    written = kernel.function() if isinstance(kernel, WrittenKernel) else _compiled(kernel)
    return kernel.name, _target_machine().emit_object(llvm.parse_assembly(written))


def _compiled(kernel: Kernel) -> str:
    """Return in LLVM's language what numba makes of a kernel."""
    result = types.none if kernel.result == NOTHING else _type_of(kernel.result)
    arguments = tuple(map(_type_of, kernel.arguments.parts))
    function = _jitted(kernel)
    function.compile(result(*arguments))
    done = function.overloads[arguments]
    entry = done.library.get_function(done.fndesc.llvm_func_name)
    return str(done.library.get_llvm_str()) + _caller(kernel.name, entry)


def _caller(name: str, entry: Any) -> str:
    """Return the function of that name, which calls another with arguments that it loads from words.

    That is many times as quick as to hand over a hundred arguments from Python.
    """
    kinds = [str(argument.type) for argument in entry.arguments]
    loads = []
    for number, kind in enumerate(kinds[2:]):
        loads.append(f"%at{number} = getelementptr i64, ptr %words, i64 {number}")
        loads.append(f"%argument{number} = load {kind}, ptr %at{number}")
    given = ["ptr %result", "ptr %fault", *(f"{kind} %argument{number}" for number, kind in enumerate(kinds[2:]))]
    body = "\n".join([*loads, f'%status = call i32 @"{entry.name}"({", ".join(given)})', "ret i32 %status"])
    return f'define i32 @"{name}"(ptr %result, ptr %fault, ptr %words) {{\n{body}\n}}\n'


def _target_machine() -> Any:
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu="generic", opt=3, reloc="default", codemodel="jitdefault", jit=True)


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
    return numba.njit(**_OPTIONS, forceinline=part.inlined)(rebuilt)


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
