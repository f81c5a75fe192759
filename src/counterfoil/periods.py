"""Billing periods, and the two clocks.

A billing period is a calendar month in UTC. The *business clock* decides which month `current` is, and may be
set in development; the *wall clock* ages tokens and links, and may not. Never use one for the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from counterfoil.errors import UsageError

_YEARS = (2000, 2999)
_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


def utc_now() -> datetime:
    """Return the time of the wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The business clock and the wall clock, each a function without arguments that returns an aware UTC time."""

    business: Callable[[], datetime] = field(default=utc_now)
    wall: Callable[[], datetime] = field(default=utc_now)


@dataclass(frozen=True, slots=True, order=True)
class BillingPeriod:
    """One calendar month."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `YYYY-MM`; raises UsageError for anything else."""
        match = _PERIOD.fullmatch(text)
        if match is None or int(match[1]) == 0:
            raise UsageError(f"{text!r} is not a billing period.", remedy="Write it as YYYY-MM, for instance 2026-11.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def containing(cls, moment: datetime) -> Self:
        """Return the month that holds `moment`, in UTC."""
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    @property
    def last(self) -> BillingPeriod:
        """The month before this one."""
        return BillingPeriod(self.year - 1, 12) if self.month == 1 else BillingPeriod(self.year, self.month - 1)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def business_clock(begins_at: datetime, wall: Callable[[], datetime]) -> Callable[[], datetime]:
    """Return a clock that shows `begins_at` now, and runs on at the wall clock's pace."""
    ahead = begins_at - wall()
    return lambda: wall() + ahead


def moment_of(given: datetime | str) -> datetime:
    """Return a time of billing from an ISO text; without a zone it is UTC. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, AttributeError, TypeError):
        raise UsageError(f"{given!r} is not a time.", remedy="Write it as 2026-11-05T09:00Z.") from None
    if not _YEARS[0] <= moment.year <= _YEARS[1]:  # the clock runs on from there, and `last` looks back
        raise UsageError(f"{given!r} is not a time of billing.", remedy=f"Give a year from {_YEARS[0]} to {_YEARS[1]}.")
    return moment


def timestamp(moment: datetime) -> str:
    """Write a time as the wire does: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
