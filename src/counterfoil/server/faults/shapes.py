"""What an entry of the catalogue is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.turns import Ask, Route, Turn

LineItem = dict[str, msgspec.Raw]
Instead = Callable[[Turn, Ask], Awaitable[Reply]]
Change = Callable[[Turn, Reply], Reply | None]
Respell = Callable[[LineItem], LineItem]
Repack = Callable[[Sequence[bytes]], bytes]


class Outcome(StrEnum):
    """What a good client makes of a fault."""

    RECOVERS = "gets everything"
    DETECTS = "notices: fails, or starts over"
    FAILS = "fails"


class Value(StrEnum):
    """What a rule may give for a parameter."""

    TEXT = "text"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a rule may say beyond what, where and how often."""

    default: Any
    value: Value
    about: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It answers `instead` of the server, makes a `change` of its answer, or spells line items otherwise.

    `times` is how often it strikes unless a rule says otherwise (None: every time), `at` at which blobs or pages.
    `patience` tells that it costs the client an attempt of the call each time, and `borne` how many of these in a row
    a good client bears. A `steady` fault is how a source is: always, or not at all.
    """

    name: str
    group: str
    about: str
    routes: tuple[Route, ...]
    outcome: Outcome
    instead: Instead | None = None
    change: Change | None = None
    respell: Respell | None = None
    repack: Repack | None = None
    times: int | None = None
    at: tuple[int, ...] = ()
    patience: bool = False
    borne: int = 4
    steady: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def remakes(self) -> bool:
        """Whether it is another spelling of the same line items: always there, not now and then."""
        return self.respell is not None or self.repack is not None
