"""A worker: a program that does the tasks it is given, run by `jobs` and by nobody else.

It reads tasks from its standard input and writes what they tell and return to its standard output.
"""

from __future__ import annotations

import os
import pickle
import sys
from queue import SimpleQueue
from threading import Thread
from traceback import format_exc
from typing import Any, BinaryIO

from counterfoil.errors import CounterfoilError


def _receive(tasks: BinaryIO, received: SimpleQueue[Any]) -> None:
    """Read tasks. Where nobody gives any more, nobody waits for a result either."""
    while True:
        try:
            received.put(pickle.load(tasks))  # noqa: S301 - from the program that started this one
        except EOFError:
            os._exit(0)


def main() -> None:
    """Do the tasks, one after the other."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed is no result

    def send(what: str, content: object) -> None:
        results.write(pickle.dumps((what, content)))
        results.flush()

    received: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive, args=(sys.stdin.buffer, received), daemon=True).start()
    while True:
        task, value = received.get()
        try:
            result = task(value, lambda count: send("told", count))
        except CounterfoilError as error:
            send("raised", error)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            error.add_note(format_exc())
            send("raised", error)
        else:
            send("returned", result)


if __name__ == "__main__":
    main()
