"""How long to go on trying: bounded, jittered, and never sooner than the source asks.

Every call of these APIs only reads, the submit of an export too (it bears an Idempotency-Key), so each may be
repeated. What a newcomer would get wrong: a source that asks us to wait longer than we are ready to is not asked
again early; the refusal is passed on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil.periods import utc_now

WRONG_MAX: Final = 3  # a bit may flip on the way; what arrives wrong as often as this is wrong there


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is made and how long is waited in between; the clock and the dice can be given by a test."""

    attempts_max: int = 6
    first_wait_s: float = 0.5
    wait_s_max: float = 120.0
    sleep: Callable[[float], None] = field(default=time.sleep)
    async_sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    draw: Callable[[], float] = field(default=random.random)
    now: Callable[[], datetime] = field(default=utc_now)
    monotonic: Callable[[], float] = field(default=time.monotonic)

    def wait_s(self, attempts_made: int, retry_after_s: float | None) -> float | None:
        """Return how long to wait before the next attempt, or None to give up."""
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

    def wait_if_wrong_s(self, times: int) -> float | None:
        """Return how long to wait before asking again for what came wrong so many times, or None to give up."""
        return None if times >= WRONG_MAX else self.wait_s(times, None)
