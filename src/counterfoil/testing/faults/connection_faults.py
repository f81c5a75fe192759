"""Answers that come late, slowly, in part or damaged, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from counterfoil.testing.faults.fault import (
    EVERYWHERE,
    Change,
    ClientOutcome,
    Json,
    Parameter,
    Route,
    ServerFault,
    Strike,
)
from counterfoil.testing.faults.reply import Reply

_JSON_ROUTES: Final = (Route.SUBMIT, Route.OPERATION, Route.MANIFEST, Route.PAGE, Route.TOKEN)
_READ: Final = tuple(route for route in Route if route is not Route.SUBMIT)


def _delivered(how: Callable[[Strike], Json]) -> Change:
    return lambda strike, reply: replace(reply, **how(strike))


def _shortened(strike: Strike, reply: Reply) -> Reply | None:
    """Cut the body and claim that it is whole, as a careless proxy does."""
    return replace(reply, body=reply.body[: len(reply.body) // 2]) if reply.good and len(reply.body) > 1 else None


def _flipped(strike: Strike, reply: Reply) -> Reply | None:
    if not reply.good or not reply.body:
        return None
    bit = strike.draw(8 * len(reply.body))
    body = bytearray(reply.body)
    body[bit // 8] ^= 1 << bit % 8
    return replace(reply, body=bytes(body))


def _fault(name: str, about: str, on: tuple[Route, ...], change: Change, times: int = 1, **more: Any) -> ServerFault:
    values: dict[str, Any] = {"outcome": ClientOutcome.RECOVERS, "uses_retry": True} | more
    return ServerFault(name, "Slow, cut and damaged answers", about, on, change=change, times=times, **values)


def _timed(name: str, about: str, default_s: float, meaning: str, how: Callable[[float], Json]) -> ServerFault:
    change = _delivered(lambda strike: how(strike.given["seconds"]))
    parameters = {"seconds": Parameter(default_s, meaning)}
    on, uses_retry = (_READ, True) if name == "stalled" else (EVERYWHERE, False)  # a good client waits for the others
    return _fault(name, about, on, change, parameters=parameters, uses_retry=uses_retry)


_CUT: Final = _delivered(lambda strike: {"cut_at": strike.draw(1000) / 1000})
_UNSENT: Final = _delivered(lambda _: {"unsent": True})
_STALLED: Final = "after half of the body nothing comes, then the connection ends"
_DROPPED: Final = "the request is carried out, and the connection ends without an answer"
_JSON_BIT: Final = "one bit of a JSON answer is another (of its gzip form, where it is sent so)"
_DETECTS: Final = ClientOutcome.DETECTS

DELIVERY_FAULTS: Final = (
    _timed("late", "nothing comes for a while", 2, "for how long", lambda s: {"late_s": s}),
    _timed("slow", "the body comes in small pieces", 2, "how long all of it takes", lambda s: {"slow_s": s}),
    _timed("stalled", _STALLED, 30, "how long nothing comes", lambda s: {"cut_at": 0.5, "stall_s": s}),
    _fault("cut", "the connection ends within the body, at a place drawn from the seed", _READ, _CUT, 2),
    _fault("dropped", _DROPPED, EVERYWHERE, _UNSENT, 2),
    _fault("shortened", "half of the body, with a `Content-Length` that agrees", _READ, _shortened, outcome=_DETECTS),
    _fault("flipped", "one bit of a blob is another, drawn from the seed", (Route.BLOB,), _flipped),
    _fault("flipped-json", _JSON_BIT, _JSON_ROUTES, _flipped, outcome=_DETECTS),
)
