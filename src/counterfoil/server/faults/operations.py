"""Exports whose operation is hard to find, never ends, fails, or says what it is in another way."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import format_datetime
from typing import Any, Final

from counterfoil.server.faults.editing import Json, on_document, path_of, with_json
from counterfoil.server.faults.refusing import GRAPH, graph_reply, reply_of
from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Change, Fault, Outcome, Parameter, Value
from counterfoil.server.faults.turns import Ask, Route, Turn
from counterfoil.wire.graph import NAMESPACE, NO_DATA_CODE, NO_DATA_MESSAGE

_GROUP: Final = "Operations"
_TYPE: Final = f"#{NAMESPACE}."
_SUBMIT: Final = (Route.SUBMIT,)
_OPERATION: Final = (Route.OPERATION,)
_ELSEWHERE: Final = "https://elsewhere.example"


def _unfinished(status: str, retry_after: Callable[[Turn], str | None]) -> Change:
    def change(turn: Turn, reply: Reply) -> Reply | None:
        document = reply.json() if reply.good else None
        if not isinstance(document, dict) or "status" not in document:
            return None
        document.pop("resourceLocation", None)
        document.pop("error", None)
        document |= {"@odata.type": f"{_TYPE}runningOperation", "status": status}
        return with_json(reply, document).with_headers({"retry-after": retry_after(turn)})

    return change


def _by_date(turn: Turn) -> str:
    return format_datetime(turn.now, usegmt=True)


def _failed(turn: Turn, document: Json) -> None:
    document.pop("resourceLocation", None)
    error = {"code": turn.given["code"], "message": turn.given["message"]}
    document |= {"@odata.type": f"{_TYPE}failedOperation", "status": "failed", "error": error}


def _renamed(status: str) -> Change:
    def edit(turn: Turn, document: Json) -> None:
        document["status"] = status

    return on_document(lambda document: document.get("status") == "succeeded", edit)


def _dates_as_documented(turn: Turn, document: Json) -> None:
    document["createdDateTime"] = document["createdDateTime"].removesuffix("Z")
    if "lastActionDateTime" in document:
        document["lastActionDateTime"] = document["lastActionDateTime"].removesuffix("Z") + ".5046691Z"


def _location(how: Callable[[Turn, str], str | None]) -> Change:
    def change(turn: Turn, reply: Reply) -> Reply | None:
        location = reply.header("location")
        return reply.with_headers({"location": how(turn, location)}) if location else None

    return change


def _with_body(turn: Turn, reply: Reply) -> Reply | None:
    location = reply.header("location")
    if not location:
        return None
    identity = {"@odata.type": f"{_TYPE}runningOperation", "id": location.rpartition("/")[2]}
    return with_json(reply, identity | {"status": "running"}).with_headers({"content-type": "application/json"})


async def _redirected(turn: Turn, ask: Ask) -> Reply:
    return reply_of(302, b"", {"location": turn.given["url"] + turn.scope["path"]})


async def _export_lost(turn: Turn, ask: Ask) -> Reply:
    return graph_reply(turn, 404, "NotFound", "There is no operation with this id.")


def _operation(
    name: str, about: str, change: Change, outcome: Outcome = Outcome.RECOVERS, times: int | None = 2, **more: Any
) -> Fault:
    return Fault(name, _GROUP, about, more.pop("routes", _OPERATION), outcome, change=change, times=times, **more)


_URL: Final = {"url": Parameter(_ELSEWHERE, Value.TEXT, "where it leads")}
_ERROR: Final = {
    "code": Parameter(NO_DATA_CODE, Value.TEXT, "the error's code"),
    "message": Parameter(NO_DATA_MESSAGE, Value.TEXT, "the error's message"),
}


def _wait(turn: Turn) -> str:
    return str(turn.given["wait"])


_WAIT: Final = {"wait": Parameter("1", Value.TEXT, "what Retry-After says")}
_HAS_STATUS: Final[Callable[[Json], bool]] = lambda document: "status" in document  # noqa: E731

OPERATIONS: Final = (
    _operation(
        "operation-slow", "an operation is `running` for a few polls", _unfinished("running", _wait), parameters=_WAIT
    ),
    _operation(
        "operation-not-started",
        "an operation is `notStarted` at first",
        _unfinished("notStarted", _wait),
        parameters=_WAIT,
    ),
    _operation(
        "operation-stuck",
        "an operation is `running` for ever",
        _unfinished("running", _wait),
        Outcome.FAILS,
        None,
        parameters=_WAIT,
    ),
    _operation("operation-silent", "`running` without `Retry-After`", _unfinished("running", lambda _: None), times=1),
    _operation("operation-by-date", "`running` with a date in `Retry-After`", _unfinished("running", _by_date)),
    _operation(
        "operation-failed",
        "an operation ends in failure",
        on_document(_HAS_STATUS, _failed),
        Outcome.FAILS,
        None,
        parameters=_ERROR,
    ),
    _operation(
        "operation-completed", "the status is `completed`, as the tables have it", _renamed("completed"), times=None
    ),
    _operation(
        "operation-unknown",
        "the status is `unknownFutureValue`",
        _renamed("unknownFutureValue"),
        Outcome.FAILS,
        None,
    ),
    _operation(
        "operation-dates",
        "dates as the documentation shows them: one without a zone, one with seven digits",
        on_document(lambda document: "createdDateTime" in document, _dates_as_documented),
        times=None,
        routes=(Route.OPERATION, Route.MANIFEST),
    ),
    Fault(
        "operation-lost",
        _GROUP,
        "404: the operation that was just accepted is not known; a new one is",
        _OPERATION,
        Outcome.DETECTS,
        instead=_export_lost,
        times=1,
    ),
    _operation(
        "submit-without-location",
        "202 without `Location`",
        _location(lambda *_: None),
        Outcome.FAILS,
        None,
        routes=_SUBMIT,
    ),
    _operation(
        "submit-relative-location",
        "`Location` without scheme and host",
        _location(lambda _, location: path_of(location)),
        times=None,
        routes=_SUBMIT,
    ),
    _operation(
        "submit-elsewhere",
        "`Location` on another host, which must not get the token",
        _location(lambda turn, location: turn.given["url"] + path_of(location)),
        Outcome.FAILS,
        None,
        routes=_SUBMIT,
        parameters=_URL,
    ),
    _operation("submit-with-body", "202 with a running operation as its body", _with_body, times=None, routes=_SUBMIT),
    Fault(
        "redirected",
        _GROUP,
        "302 to another host, which must not get the token",
        (*GRAPH, Route.PAGE),
        Outcome.FAILS,
        instead=_redirected,
        parameters=_URL,
    ),
)
