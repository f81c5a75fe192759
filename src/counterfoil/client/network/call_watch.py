"""The clock over one call or download: whoever drips, hints or goes silent is cut off.

A timeout of httpx begins anew with every byte, and any number of early hints may come before an answer. So a thread
looks at the clock, and ends the connection, which ends the call in the thread that makes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Self

import httpx

STALL_BYTES_MIN: Final = 16 << 10  # in `Patience.stall_s_max` seconds: less is no download that ends in reasonable time
_AGAIN_S: Final = 1.0


class StoppedError(Exception):
    """The work was given up: another part of the same pull failed, or the caller's task was cancelled."""


class CallWatch:
    """A context around one call. `cut` is called, again and again until the call ends, once it took too long.

    That is after `seconds` in which fewer than `bytes_min` bytes came; without `bytes_min`, the whole call has to
    end by then. Make it in the thread that makes the call, and give `extensions` to httpx.
    """

    def __init__(self, seconds: float, bytes_min: int | None = None) -> None:
        self.thread_id = threading.get_ident()
        self.is_over = False
        self.extensions: dict[str, Any] = {}
        self.cut: Callable[[], None] = lambda: None
        self.answering: Callable[[httpx.Response], None] = lambda _: None  # is told of the head of an answer
        self._seconds = seconds
        self._bytes_min = bytes_min
        self._received = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counterfoil-watch", daemon=True)

    @property
    def reason(self) -> str:
        """Why the call was ended."""
        if self._bytes_min is None:
            return f"it took longer than {self._seconds:g} s"
        return f"fewer than {self._bytes_min:,} bytes came in {self._seconds:g} s"

    def received(self, size_bytes: int) -> None:
        """Count bytes that came."""
        self._received += size_bytes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        had = 0
        while not self._ended.wait(self._seconds):
            have = self._received
            if self._bytes_min is None or have - had < self._bytes_min:
                self.is_over = True
                break
            had = have
        while not self._ended.is_set():  # a connection that was being made is there only later
            self.cut()
            self._ended.wait(_AGAIN_S)
