"""What a flow can ask for: the vocabulary between the client's decisions and the two drivers that carry them out.

A *flow* is a generator. It decides everything - what to send, whether to try again, what to keep - and does nothing
by itself: it yields a step, and is sent the step's result. `Client` runs flows with blocking calls and threads,
`AsyncClient` with tasks, and neither decides anything. What a newcomer would get wrong: a flow must not touch the
network, the disk or the clock between two yields; what must, goes into a `Do`. Only a `Fetch` writes as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from counterfoil.client.protocol.addresses import Base
from counterfoil.client.protocol.messages import Request, whole_number

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Make one call and take the whole answer: an `Answer` or an `Unanswered`. A token goes to `base` alone."""

    request: Request
    base: Base
    token: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """Get a token. `refused` is the challenge of a source that does not take the last one; '' if there is no other."""

    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get a blob's bytes into `part`, from `offset` on where the answer allows it; a `Fetched` or an `Unanswered`.

    No token goes along. Beyond `size_max` it is ended soon: that cannot be right.
    """

    request: Request
    part: Path
    offset: int = 0
    size_max: int | None = None
    on_bytes: Callable[[int], None] = field(default=lambda _: None)
    on_begin: Callable[[int, Mapping[str, str]], None] = field(default=lambda _, __: None)


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass; gives nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Work on this machine - files, hashes, parsing - and give what the function returns.

    `heavy` work fills a processor: no more of it goes on at a time than there are processors.
    """

    work: Callable[[], Any]
    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Alone:
    """Run a flow while no other flow with the same key is running; gives its result."""

    key: object
    flow: Flow[Any]


@dataclass(frozen=True, slots=True)
class Together:
    """Run flows side by side; gives nothing. The first that fails ends the others, and its error is raised."""

    flows: Sequence[Flow[Any]]


Step: TypeAlias = Send | Sign | Fetch | Wait | Do | Alone | Together
Flow: TypeAlias = Generator[Step, Any, Result]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call that got no whole answer. `hopeless` says that the same call will not fare better; `remedy`, what will."""

    reason: str
    hopeless: bool = False
    received: int = 0
    remedy: str = "Trying again is safe."


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a blob's address answered: with the blob (then `size` bytes of it lie in the part file), or not."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""  # of an answer that is no blob: its beginning
    size: int = 0
    received: int = 0
    is_blob: bool = False  # whether the body is of the blob, and was written


def place_of(fetch: Fetch, status: int, headers: Mapping[str, str]) -> int | None:
    """Return where in the part file an answer's bytes belong; None if they are not what was asked for.

    A source that does not know ranges answers 200 with everything, and that is written from the start.
    """
    if status == 200:
        return 0
    if status != 206:
        return None
    unit, _, span = headers.get("content-range", "").partition(" ")
    right = unit == "bytes" and whole_number(span.partition("-")[0]) == fetch.offset
    return fetch.offset if right else None
