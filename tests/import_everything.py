"""Imports the modules named as arguments and prints what that did, beside importing. Run in a process of its own."""

import importlib
import logging
import os
import sys
import threading

EFFECTS = {"socket.bind", "socket.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename"}
seen = list[str]()


def watch(event: str, arguments: tuple[object, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in EFFECTS:
        seen.append(f"{event} {arguments}")


sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
handlers = logging.getLogger().handlers + logging.getLogger("counterfoil").handlers
compiling = {"numba"} & sys.modules.keys()
for trace in (*seen, *threading.enumerate()[1:], *handlers, *compiling):
    sys.stdout.write(f"{trace}\n")
