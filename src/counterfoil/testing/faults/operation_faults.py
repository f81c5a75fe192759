"""Exports whose operation is hard to find, never ends, fails, or says what it is in another way."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import format_datetime
from typing import Any, Final

from counterfoil.testing.faults.error_faults import refused
from counterfoil.testing.faults.fault import (
    GRAPH,
    AskServer,
    Change,
    ClientOutcome,
    Json,
    Parameter,
    Route,
    ServerFault,
    Strike,
    on_document,
    path_of,
)
from counterfoil.testing.faults.reply import Reply, reply_of
from counterfoil.wire.graph import NAMESPACE, NO_DATA_CODE, NO_DATA_MESSAGE

_TYPE: Final = f"#{NAMESPACE}."


def _unfinished(status: str, retry_after: Callable[[Strike], str | None]) -> Change:
    def change(strike: Strike, reply: Reply) -> Reply | None:
        document = reply.json() if reply.good else None
        if not isinstance(document, dict) or "status" not in document:
            return None
        kept = {name: value for name, value in document.items() if name not in ("resourceLocation", "error")}
        running = kept | {"@odata.type": f"{_TYPE}runningOperation", "status": status}
        return reply.with_json(running).with_headers({"retry-after": retry_after(strike)})

    return change


def _by_date(strike: Strike) -> str:
    return format_datetime(strike.now, usegmt=True)


def _failed(strike: Strike, document: Json) -> None:
    document.pop("resourceLocation", None)
    error = {"code": strike.given["code"], "message": strike.given["message"]}
    document |= {"@odata.type": f"{_TYPE}failedOperation", "status": "failed", "error": error}


def _renamed(status: str) -> Change:
    def edit(strike: Strike, document: Json) -> None:
        document["status"] = status

    return on_document(lambda document: document.get("status") == "succeeded", edit)


def _dates_as_documented(strike: Strike, document: Json) -> None:
    document["createdDateTime"] = document["createdDateTime"].removesuffix("Z")
    if "lastActionDateTime" in document:
        document["lastActionDateTime"] = document["lastActionDateTime"].removesuffix("Z") + ".5046691Z"


def _location(how: Callable[[Strike, str], str | None]) -> Change:
    def change(strike: Strike, reply: Reply) -> Reply | None:
        location = reply.header("location")
        return reply.with_headers({"location": how(strike, location)}) if location else None

    return change


def _with_body(strike: Strike, reply: Reply) -> Reply | None:
    location = reply.header("location")
    if not location:
        return None
    identity = {"@odata.type": f"{_TYPE}runningOperation", "id": location.rpartition("/")[2]}
    return reply.with_json(identity | {"status": "running"}).with_headers({"content-type": "application/json"})


async def _redirected(strike: Strike, ask: AskServer) -> Reply:
    return reply_of(302, b"", {"location": strike.given["url"] + strike.scope["path"]})


async def _export_lost(strike: Strike, ask: AskServer) -> Reply:
    return refused(strike, 404, "NotFound", "There is no operation with this id.")


def _fault(name: str, about: str, change: Change | None, times: int | None = None, **more: Any) -> ServerFault:
    values = {"routes": (Route.OPERATION,), "outcome": ClientOutcome.RECOVERS, "change": change, "times": times} | more
    return ServerFault(name, "Operations", about, **values)


def _waited(name: str, about: str, status: str, times: int | None, **more: Any) -> ServerFault:
    change = _unfinished(status, lambda strike: str(strike.given["wait"]))
    return _fault(name, about, change, times, parameters={"wait": Parameter("1", "what Retry-After says")}, **more)


def _submit(name: str, about: str, change: Change, **more: Any) -> ServerFault:
    return _fault(name, about, change, routes=(Route.SUBMIT,), **more)


_URL: Final = {"url": Parameter("https://elsewhere.example", "where it leads")}
_CODE, _MESSAGE = Parameter(NO_DATA_CODE, "the error's code"), Parameter(NO_DATA_MESSAGE, "the error's message")
_FAILED: Final = on_document(lambda document: "status" in document, _failed)
_DATES: Final = on_document(lambda document: "createdDateTime" in document, _dates_as_documented)
_ELSEWHERE: Final = _location(lambda strike, location: strike.given["url"] + path_of(location))
_FAILS: Final[dict[str, Any]] = {"outcome": ClientOutcome.FAILS}
_LOST: Final[dict[str, Any]] = {"instead": _export_lost, "outcome": ClientOutcome.DETECTS}
_AWAY: Final[dict[str, Any]] = {"instead": _redirected, "routes": (*GRAPH, Route.PAGE), "parameters": _URL, **_FAILS}
_BOTH: Final[dict[str, Any]] = {"routes": (Route.OPERATION, Route.MANIFEST)}
_AS_DOCUMENTED: Final = "dates as the documentation shows them: one without a zone, one with seven digits"
_ANOTHER_HOST: Final = "`Location` on another host, which must not get the token"
_UNKNOWN: Final = _renamed("unknownFutureValue")
_ERROR: Final[dict[str, Any]] = {"parameters": {"code": _CODE, "message": _MESSAGE}, **_FAILS}

OPERATION_FAULTS: Final = (
    _waited("operation-slow", "an operation is `running` for a few polls", "running", 2),
    _waited("operation-not-started", "an operation is `notStarted` at first", "notStarted", 2),
    _waited("operation-stuck", "an operation is `running` for ever", "running", None, **_FAILS),
    _fault("operation-silent", "`running` without `Retry-After`", _unfinished("running", lambda _: None), 1),
    _fault("operation-by-date", "`running` with a date in `Retry-After`", _unfinished("running", _by_date), 2),
    _fault("operation-failed", "an operation ends in failure", _FAILED, **_ERROR),
    _fault("operation-completed", "the status is `completed`, as the tables have it", _renamed("completed")),
    _fault("operation-unknown", "the status is `unknownFutureValue`", _UNKNOWN, **_FAILS),
    _fault("operation-dates", _AS_DOCUMENTED, _DATES, **_BOTH),
    _fault("operation-lost", "404: the operation that was just accepted is not known; a new one is", None, 1, **_LOST),
    _submit("submit-without-location", "202 without `Location`", _location(lambda *_: None), **_FAILS),
    _submit("submit-relative-location", "`Location` without scheme and host", _location(lambda _, at: path_of(at))),
    _submit("submit-elsewhere", _ANOTHER_HOST, _ELSEWHERE, parameters=_URL, **_FAILS),
    _submit("submit-with-body", "202 with a running operation as its body", _with_body),
    _fault("redirected", "302 to another host, which must not get the token", None, **_AWAY),
)
