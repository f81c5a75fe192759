"""Inner loops over bytes, compiled by numba. Their modules are imported when first asked for, as `kernels.lines`."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    return import_module(f"{__name__}.{name}")
