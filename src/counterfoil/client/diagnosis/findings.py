"""What is found when somebody looks for what is wrong: one thing each, how it is, and what to do about it.

What a newcomer would get wrong: a finding is told to the person who has to mend it. A remedy names the thing to
change, not the module that noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How it stands with one thing."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not good."""

    about: str
    health: Health
    told: str
    remedy: str = ""
