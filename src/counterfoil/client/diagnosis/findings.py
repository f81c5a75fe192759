"""Findings of `doctor`: each names one thing, its health, and what to do about it.

A finding is read by the person who has to repair it, so its remedy names the thing to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """Whether one thing works."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined: its health, and what to do where that is not good."""

    about: str
    health: Health
    told: str
    remedy: str = ""
