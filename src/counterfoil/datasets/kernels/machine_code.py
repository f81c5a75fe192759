"""The machine code of kernels: where it is kept, and how it is loaded.

It is kept beside the source or in the user's cache folder; NUMBA_CACHE_DIR names another place. It is compiled for
every processor of an architecture, not only for this one, so that an image may carry it. A file's name has a hash of
all that the code follows from. A file begins with the SHA-256 of the rest, for LLVM ends the process where code was
cut off.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import llvmlite.binding as llvm

_HERE: Final = Path(__file__).parent
_DIGEST_SIZE: Final = hashlib.sha256().digest_size


def find(name: str, scratch: Path | None = None) -> int | None:
    """Load a kernel that is kept, and return its address; None where it has to be compiled."""
    for folder in [*_folders(), *([scratch] if scratch else [])]:
        with suppress(OSError):
            data = (folder / file_name(name)).read_bytes()
            if hashlib.sha256(data[_DIGEST_SIZE:]).digest() == data[:_DIGEST_SIZE]:
                symbol, _, code = data[_DIGEST_SIZE:].partition(b"\n")
                return _load(symbol.decode(), code)
    return None


def keep(folder: Path, name: str, symbol: str, code: bytes) -> None:
    """Write a kernel into a folder, all at once: others may look for it, or write the same."""
    data = symbol.encode() + b"\n" + code
    path = folder / file_name(name)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fresh.write_bytes(hashlib.sha256(data).digest() + data)
    fresh.replace(path)


def folder_to_write() -> Path | None:
    """Return where kernels are kept from now on; None where no place can be written to."""
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


@cache
def file_name(name: str) -> str:
    """Return the name of a kernel's file."""
    return f"{name}-{_state_of_sources()}.code"


@cache
def _state_of_sources() -> str:
    """Return a hash of all source files in this folder, of what compiles them, and of the kind of machine."""
    numba = find_spec("numba")  # its version, without loading it
    assert numba is not None
    assert numba.origin is not None
    versions = [path.name for path in Path(numba.origin).parent.parent.glob("numba-*.dist-info")]
    digest = hashlib.sha256(f"{versions} {llvm.llvm_version_info} {llvm.get_process_triple()}".encode())
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _folders() -> list[Path]:
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(named)]
    caches = Path("~/Library/Caches" if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    with suppress(RuntimeError):  # the user has no home
        return [_HERE / "__pycache__", caches.expanduser() / "counterfoil"]
    return [_HERE / "__pycache__"]


def _load(symbol: str, code: bytes) -> int:
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return int(engine.get_function_address(symbol))


@cache
def _engine() -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
