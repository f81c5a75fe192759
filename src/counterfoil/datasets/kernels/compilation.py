"""The compilation of kernels, beside the work: by programs that leave their machine code in the folder for it.

Compiling takes seconds, much memory, and the lock of Python's interpreter, so it is left to processes of their own.
Each goes on to its end where the command ends before: the next command finds everything ready.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from counterfoil.datasets.kernels import machine_code
from counterfoil.errors import CounterfoilError

# The modules that each program compiles, in this order. What reads lines takes as long as all the others together, and
# a publication can begin without it.
SHARES: Final = (("column_texts", "plain_numbers", "rendering", "lines"), ("coding", "canonical_forms", "sha256"))
CAN_WAIT: Final = frozenset({"lines"})
_LOOK_EVERY_S: Final = 0.01
_log = logging.getLogger(__name__)


class Compilation:
    """Compiles all kernels that are not kept yet."""

    def __init__(self) -> None:
        kept = machine_code.folder_to_write()
        self.folder = kept or _scratch_folder()
        self._programs = [_start(self.folder, modules) for modules in SHARES]
        self._said: list[str] = []
        if kept:
            _log.warning("Compiling Counterfoil's inner loops: some seconds, once on this machine.")
        else:
            _log.warning(
                "Compiling Counterfoil's inner loops, at every start: there is nowhere to keep them. "
                "NUMBA_CACHE_DIR may name a folder that can be written to."
            )

    def find(self, name: str) -> int | None:
        """Load a kernel if it is compiled by now, and return its address."""
        return machine_code.find(name, self.folder)

    def wait_for(self, name: str) -> int:
        """Return the address of a kernel, once it is there; raises CounterfoilError if it cannot be compiled."""
        while True:
            ended = None not in [program.poll() for program in self._programs]  # looked at before the folder is
            if (address := self.find(name)) is not None:
                return address
            if ended:
                told = self.finish()
                raise CounterfoilError(
                    f"The inner loop {name} could not be compiled ({told[-1] if told else 'no reason was given'}).",
                    remedy="Counterfoil needs a working numba: install it again.",
                )
            time.sleep(_LOOK_EVERY_S)

    def finish(self) -> list[str]:
        """Wait until the programs have ended, and return the lines that they said of what went wrong."""
        while self._programs:
            self._said += self._programs.pop().communicate()[1].decode(errors="replace").splitlines()
        return self._said


@cache  # once in a process
def compilation() -> Compilation:
    """Return the compilation that is at work; the first call begins it, and says why nothing seems to happen."""
    return Compilation()


def _scratch_folder() -> Path:
    folder = mkdtemp(prefix="counterfoil-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _start(folder: Path, modules: tuple[str, ...]) -> subprocess.Popen[bytes]:
    source = str(Path(__file__).parents[3])
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }
    # -P: a file numba.py in the working directory is none of ours.
    command = [sys.executable, "-P", "-m", "counterfoil.datasets.kernels.compiler", str(folder), *modules]
    return subprocess.Popen(  # noqa: S603 - the program is our own
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C ends the command alone
    )
