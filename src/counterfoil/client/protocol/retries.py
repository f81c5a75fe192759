"""Retries: how often, and how long to wait - bounded, jittered, and never less than the source asks for.

Every call of these APIs only reads, the submit of an export too (it has an Idempotency-Key), so each may be repeated.
A source that asks for a longer wait than `wait_s_max` is not asked again early: its refusal is passed on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from counterfoil.periods import utc_now


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is made and how many seconds are waited in between; tests may give clocks and random numbers.

    - `attempts_max`: calls in all, the first included. `first_wait_s` doubles with each, up to `wait_s_max`.
    - `answer_s_max`: how long an answer may take, until its last byte is there; then it is cut off.
    - `stall_s_max`: a download of which hardly anything comes for so long is cut off, and goes on from there.
    - `pull_s_max`: how long a pull may take; what it fetched is kept, and the next one goes on from there.
    - `sleep` waits in `Client`, `async_sleep` in `AsyncClient`. `draw` gives a number from 0 to 1.
    """

    attempts_max: int = 6
    first_wait_s: float = 0.5
    wait_s_max: float = 120.0
    answer_s_max: float = 180.0
    stall_s_max: float = 25.0
    pull_s_max: float = 72_000.0
    sleep: Callable[[float], None] = field(default=time.sleep)
    async_sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    draw: Callable[[], float] = field(default=random.random)
    now: Callable[[], datetime] = field(default=utc_now)
    monotonic: Callable[[], float] = field(default=time.monotonic)

    def wait_s(self, attempts_made: int, retry_after_s: float | None) -> float | None:
        """Return the seconds to wait before the next attempt, None to give up; the source asks for `retry_after_s`."""
        if attempts_made >= self.attempts_max:
            return None
        # Never more than doubling, and half of it drawn: a thousand clients do not come back in the same instant.
        backoff_s = min(self.first_wait_s * 2.0 ** (attempts_made - 1), self.wait_s_max)
        jittered_s = backoff_s * (0.5 + self.draw() / 2)
        if retry_after_s is None:
            return jittered_s
        if retry_after_s > self.wait_s_max:
            return None
        return retry_after_s + self.draw() * min(backoff_s, 1.0)
