"""Pulls as on Windows with the plain install: `python tests/client/without_posix.py '{"url": ...}'`.

It is run by its path and imports nothing of the tests, so that a wheel can be tried with it. No module that only POSIX
has can be imported here, nor any that the plain install does not bring; where Windows has one of its own, there is a
stand-in. A missing module often has a fallback, so importing alone proves little. Everything is used here: both
clients, both APIs, all forms, and the command line.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import json
import os
import sys
import types
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

POSIX_ONLY = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty"}
POSIX_CALLS = ("fork", "getuid", "geteuid", "getgid", "mkfifo", "sched_getaffinity", "fchown", "killpg")


class Blocking(importlib.abc.MetaPathFinder):
    """Refuses to import some modules, by the first part of their names."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Raise for a module that is not there; leave the others to those who know them."""
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def become_windows(server_libraries: set[str]) -> None:
    """Take away what Windows and the plain install have not, and give what Windows has for locking."""
    blocked = POSIX_ONLY | server_libraries
    for name in [name for name in sys.modules if name.partition(".")[0] in blocked]:
        del sys.modules[name]
    sys.meta_path.insert(0, Blocking(blocked))
    for call in POSIX_CALLS:
        if hasattr(os, call):
            delattr(os, call)
    locks: Any = types.ModuleType("msvcrt")
    locks.LK_NBLCK = 2
    locks.locking = lambda descriptor, _, size: os.lockf(descriptor, os.F_TLOCK, size)
    sys.modules["msvcrt"] = locks


def pulls(given: dict[str, Any]) -> list[list[object]]:
    """Pull by each client, API and form; return what each receipt says."""
    ours: Any = import_module("counterfoil")  # not before the system is what it should be
    ask = ours.ask_unbilled(
        import_module("counterfoil.model").Kind.USAGE, "current", "EUR", now=datetime.fromisoformat(given["now"])
    )
    found: list[list[object]] = []
    for api in ours.Api:
        with ours.Client(given["url"], given["tokens"][api]) as client:
            for form in ours.Format:
                receipt = client.pull(ask, Path(given["to"]) / f"{api}-{form}", api=api, format=form)
                found.append([api, form, receipt.proof, receipt.line_items])
            found.append([api, "stream", "", sum(1 for _ in client.line_items(ask, api=api))])

        async def later(api: str = api) -> list[object]:
            async with ours.AsyncClient(given["url"], given["tokens"][api]) as client:
                receipt = await client.pull(
                    ask, Path(given["to"]) / f"{api}-async", api=api, format=ours.Format.PARQUET
                )
            return [api, "async", receipt.proof, receipt.line_items]

        found.append(asyncio.run(later()))
    return found


def commands(given: dict[str, Any]) -> list[int]:
    """Pull and verify by the command line; return the exit codes."""
    main = import_module("counterfoil.cli").main
    to = str(Path(given["to"]) / "command")
    what = ["--kind", "usage", "--period", given["now"][:7], "--currency", "EUR"]
    lines = [["pull", given["url"], *what, "--to", to, "--token", given["tokens"]["graph"]], ["pulls", "verify", to]]
    codes: list[int] = []
    for line in lines:
        try:
            main(line)
        except SystemExit as ended:
            codes.append(int(ended.code or 0))
    return codes


def tried(given: dict[str, Any]) -> None:
    """Do all of it, and print what came."""
    become_windows(set(given["blocked"]))
    found = {
        "package": import_module("counterfoil").__file__,
        "pulls": pulls(given),
        "codes": commands(given),
        "modules": sorted(POSIX_ONLY & sys.modules.keys()),
    }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    tried(json.loads(sys.argv[1]))
