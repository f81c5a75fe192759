"""Answers that come late, slowly, in part or damaged, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from counterfoil.server.faults.refusing import EVERYWHERE
from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Change, Fault, Outcome, Parameter, Value
from counterfoil.server.faults.turns import Route, Turn

_GROUP: Final = "Slow, cut and damaged answers"
_JSON_ROUTES: Final = (Route.SUBMIT, Route.OPERATION, Route.MANIFEST, Route.PAGE, Route.TOKEN)
_READ: Final = tuple(route for route in Route if route is not Route.SUBMIT)


def _delivered(how: Callable[[Turn], dict[str, Any]]) -> Change:
    def change(turn: Turn, reply: Reply) -> Reply:
        return replace(reply, **how(turn))

    return change


def _shortened(turn: Turn, reply: Reply) -> Reply | None:
    """Cut the body and say that this is all of it, as a careless proxy does."""
    return replace(reply, body=reply.body[: len(reply.body) // 2]) if reply.good and len(reply.body) > 1 else None


def _flipped(turn: Turn, reply: Reply) -> Reply | None:
    if not reply.good or not reply.body:
        return None
    bit = turn.draw(8 * len(reply.body))
    body = bytearray(reply.body)
    body[bit // 8] ^= 1 << bit % 8
    return replace(reply, body=bytes(body))


def _seconds(default: float, about: str) -> dict[str, Parameter]:
    return {"seconds": Parameter(default, Value.SECONDS, about)}


BODIES: Final = (
    Fault(
        "late",
        _GROUP,
        "nothing comes for a while",
        EVERYWHERE,
        Outcome.RECOVERS,
        change=_delivered(lambda turn: {"late_s": turn.given["seconds"]}),
        times=1,
        parameters=_seconds(2, "for how long"),
    ),
    Fault(
        "slow",
        _GROUP,
        "the body comes in small pieces",
        EVERYWHERE,
        Outcome.RECOVERS,
        change=_delivered(lambda turn: {"slow_s": turn.given["seconds"]}),
        times=1,
        parameters=_seconds(2, "how long all of it takes"),
    ),
    Fault(
        "stalled",
        _GROUP,
        "after half of the body nothing comes, then the connection ends",
        _READ,
        Outcome.RECOVERS,
        change=_delivered(lambda turn: {"cut_at": 0.5, "stall_s": turn.given["seconds"]}),
        times=1,
        patience=True,
        parameters=_seconds(30, "how long nothing comes"),
    ),
    Fault(
        "cut",
        _GROUP,
        "the connection ends within the body, at a place drawn from the seed",
        _READ,
        Outcome.RECOVERS,
        change=_delivered(lambda turn: {"cut_at": turn.draw(1000) / 1000}),
        times=2,
        patience=True,
    ),
    Fault(
        "dropped",
        _GROUP,
        "the request is carried out, and the connection ends without an answer",
        EVERYWHERE,
        Outcome.RECOVERS,
        change=_delivered(lambda _: {"unsent": True}),
        times=2,
        patience=True,
    ),
    Fault(
        "shortened",
        _GROUP,
        "half of the body, with a `Content-Length` that agrees",
        _READ,
        Outcome.DETECTS,
        change=_shortened,
        times=1,
        patience=True,
    ),
    Fault(
        "flipped",
        _GROUP,
        "one bit of a blob is another, drawn from the seed",
        (Route.BLOB,),
        Outcome.RECOVERS,
        change=_flipped,
        times=1,
        patience=True,
    ),
    Fault(
        "flipped-json",
        _GROUP,
        "one bit of a JSON answer is another (of its gzip form, where it is sent so)",
        _JSON_ROUTES,
        Outcome.DETECTS,
        change=_flipped,
        times=1,
        patience=True,
    ),
)
