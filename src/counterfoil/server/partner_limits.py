"""What one partner may have at once, and how often: whoever asks without end slows down nobody else.

A partner has so many *turns* for each sort of work. Who finds them all taken waits in line, first come first served,
and is refused only if that takes too long: a client with more connections than turns never notices, while one that
reads no answer keeps its own line waiting. Turns bound memory, since an answer is held until it was read, and threads.

An *allowance* bounds how often: so many at once, then so many a minute. In development there is none.

Everything here belongs to one event loop, and each server process counts alone. Refusals are `TooOftenError`, which
each API words in its own way; they come before anything is done, because SDKs send a refused request again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from counterfoil.errors import RequestError, TooOftenError, UnavailableError
from counterfoil.server.lru_cache import LruCache
from counterfoil.settings import Settings

WAIT_S: Final = 10
PAGES_AT_ONCE: Final = 8  # of up to 8 MB each
BLOBS_AT_ONCE: Final = 64  # of which one piece of a megabyte is in memory
READS_AT_ONCE: Final = 4  # threads, which share one interpreter: more of them are no quicker
WRITES_AT_ONCE: Final = 2  # threads
ALL_WRITES_AT_ONCE: Final = 8  # threads: while another process holds the catalog's lock, they all wait for it
EXPORTS_IN_A_ROW: Final = 600
_RETRY_S: Final = 5
_PARTNERS_COUNTED_MAX: Final = 10_000


def too_many() -> RequestError:
    """Return the refusal of a partner that has too many requests at once."""
    return TooOftenError("There are too many requests at once; wait before you try again.", retry_after_s=_RETRY_S)


def busy() -> RequestError:
    """Return the refusal that storage words as `ServerBusy`: it knows no 429, and its clients slow down at this."""
    return UnavailableError("The service is busy; try again.", retry_after_s=_RETRY_S)


class Turns:
    """So many at once for each key. Take a turn, wait for it if you do not get it, and give it back in any case."""

    def __init__(self, at_once: int, wait_s: float = WAIT_S, refused: Callable[[], RequestError] = too_many) -> None:
        self._at_once, self._wait_s, self._refused = at_once, wait_s, refused
        self._taken: dict[str, int] = {}
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, key: str) -> None:
        """Take a turn; raises RequestError if none comes free in time."""
        taken = self._taken.get(key, 0)
        if taken < self._at_once:
            self._taken[key] = taken + 1
            return
        line = self._lines.setdefault(key, deque())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(key)  # it came in the moment in which we left
            turn.cancel()
            if isinstance(error, TimeoutError):
                raise self._refused() from None
            raise

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Take a turn for as long as the context lasts; raises as `take` does."""
        await self.take(key)
        try:
            yield
        finally:
            self.give_back(key)

    def give_back(self, key: str) -> None:
        """Give a turn back; the first in line has it."""
        line = self._lines.get(key, ())
        while line:
            turn = line.popleft()
            if not turn.done():  # else who waited for it has left
                turn.set_result(None)
                return
        self._lines.pop(key, None)
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]


class Allowance:
    """So many in a row for each key, then so many a minute. With 0 a minute, as often as anybody likes."""

    def __init__(self, a_minute: float, in_a_row: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._in_a_row, self._clock = a_minute / 60, in_a_row, clock
        self._left: LruCache[str, tuple[float, float]] = LruCache(_PARTNERS_COUNTED_MAX)  # how many, and when

    def spend(self, key: str) -> None:
        """Count one; raises TooOftenError, with the time to wait, if that is too many."""
        if not self._per_s:
            return
        now = self._clock()
        left, since = self._left.get(key) or (self._in_a_row, now)
        left = min(self._in_a_row, left + (now - since) * self._per_s)
        if left < 1:
            wait_s = max(1, math.ceil((1 - left) / self._per_s))
            raise TooOftenError("There were too many requests; wait before you try again.", retry_after_s=wait_s)
        self._left.put(key, (left - 1, now))


@dataclass(frozen=True, slots=True)
class PartnerLimits:
    """The limits of a server. As it is made by default: turns, and no allowances."""

    requests: Allowance = field(default_factory=lambda: Allowance(0, 0))
    exports: Allowance = field(default_factory=lambda: Allowance(0, 0))
    pages: Turns = field(default_factory=lambda: Turns(PAGES_AT_ONCE))
    blobs: Turns = field(default_factory=lambda: Turns(BLOBS_AT_ONCE, refused=busy))
    reads: Turns = field(default_factory=lambda: Turns(READS_AT_ONCE))
    writes: Turns = field(default_factory=lambda: Turns(WRITES_AT_ONCE))
    all_writes: Turns = field(default_factory=lambda: Turns(ALL_WRITES_AT_ONCE, refused=busy))

    @classmethod
    def from_settings(cls, settings: Settings, *, development: bool) -> PartnerLimits:
        """Return the limits that an operator set; in development nobody is refused for asking often."""
        if development:
            return cls()
        return cls(
            requests=Allowance(settings.requests_a_minute, settings.requests_a_minute),
            exports=Allowance(settings.exports_a_minute, max(EXPORTS_IN_A_ROW, settings.exports_a_minute)),
        )
