"""Throttling, outages, and every error body that the two APIs, the storage and the authority are known to send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

from counterfoil.server.faults.replies import Reply
from counterfoil.server.faults.shapes import Fault, Instead, Outcome, Parameter, Value
from counterfoil.server.faults.turns import Ask, Route, Turn
from counterfoil.server.refusals import Dialect
from counterfoil.wire import blob_storage, graph, v1

EVERYWHERE: Final = tuple(Route)
GRAPH: Final = (Route.SUBMIT, Route.OPERATION, Route.MANIFEST)
_JSON: Final = {"content-type": "application/json; charset=utf-8"}
_HTML: Final = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr></body></html>"
_CHALLENGE: Final = {"www-authenticate": 'Bearer realm="", error="invalid_token"'}


def reply_of(status: int, body: bytes | str, headers: Mapping[str, str]) -> Reply:
    """Return an answer that the server did not give."""
    return Reply(status, body=body.encode() if isinstance(body, str) else body).with_headers(headers)


def graph_reply(turn: Turn, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a refusal as Graph writes it."""
    ids = {"request_id": turn.ids.request_id, "client_request_id": turn.ids.client_request_id}
    body = json.dumps(graph.error_body(code, message, now=turn.now, **ids))
    own = {"content-type": graph.CONTENT_TYPE, "request-id": ids["request_id"]}
    return reply_of(status, body, own | {"client-request-id": ids["client_request_id"]} | dict(headers or {}))


def storage_reply(turn: Turn, status: int, code: str, message: str) -> Reply:
    """Return a refusal as Azure Storage writes it."""
    body = blob_storage.error_body(code, message, request_id=turn.ids.request_id, now=turn.now)
    headers = {"content-type": blob_storage.XML_CONTENT_TYPE, "x-ms-error-code": code}
    return reply_of(status, body, headers | {"x-ms-request-id": turn.ids.request_id})


def _busy(turn: Turn, status: int, headers: Mapping[str, str]) -> Reply:
    """Say in the caller's dialect that there is too much to do."""
    if turn.dialect is Dialect.STORAGE:
        reply = storage_reply(turn, status, "ServerBusy", "The server is busy.")
    elif turn.dialect is Dialect.PARTNER_CENTER and status == 429:
        reply = reply_of(status, v1.throttled_body(1), _JSON)
    elif turn.dialect is Dialect.PARTNER_CENTER:
        reply = reply_of(status, v1.error_body("0", "The service is not available."), _JSON)
    elif turn.dialect is Dialect.GRAPH:
        code = "TooManyRequests" if status == 429 else "ServiceUnavailable"
        reply = graph_reply(turn, status, code, "Please retry again later.")
    else:
        reply = reply_of(status, json.dumps(_oauth("temporarily_unavailable", 90055, "Try again.")), _JSON)
    return reply.with_headers(headers)


def _after(turn: Turn) -> Mapping[str, str]:
    return {"retry-after": str(turn.given["wait"])}


def _busy_with(status: int, *, after: bool) -> Instead:
    async def answer(turn: Turn, ask: Ask) -> Reply:
        return _busy(turn, status, _after(turn) if after else {})

    return answer


async def _throttled_by_date(turn: Turn, ask: Ask) -> Reply:
    until = turn.now + timedelta(seconds=turn.given["seconds"])
    return _busy(turn, 429, {"retry-after": format_datetime(until, usegmt=True)})


def _oauth(error: str, code: int, text: str) -> dict[str, object]:
    return {"error": error, "error_description": f"AADSTS{code}: {text}", "error_codes": [code]}


_WAIT: Final = {"wait": Parameter("1", Value.TEXT, "what Retry-After says")}
_FRACTION: Final = {"wait": Parameter("0.128", Value.TEXT, "what Retry-After says")}
_SECONDS: Final = {"seconds": Parameter(1, Value.SECONDS, "how far ahead the date is")}


def _outage(name: str, about: str, instead: Instead, parameters: Mapping[str, Parameter] | None = None) -> Fault:
    group = "Throttling and outages"
    return Fault(
        name,
        group,
        about,
        EVERYWHERE,
        Outcome.RECOVERS,
        instead,
        times=2,
        patience=True,
        parameters=parameters or {},
    )


OUTAGES: Final = (
    _outage("throttled", "429 with `Retry-After` in seconds", _busy_with(429, after=True), _WAIT),
    _outage("throttled-silently", "429 without `Retry-After`", _busy_with(429, after=False)),
    _outage("throttled-by-date", "429 with a date in `Retry-After`", _throttled_by_date, _SECONDS),
    _outage(
        "throttled-by-fraction",
        "429 with a fraction of a second, as Graph sends",
        _busy_with(429, after=True),
        _FRACTION,
    ),
    _outage("unavailable", "503 with `Retry-After`", _busy_with(503, after=True), _WAIT),
    _outage("unavailable-silently", "503 without `Retry-After`: a storm of them", _busy_with(503, after=False)),
)


@dataclass(frozen=True, slots=True)
class _Body:
    """One error body; with `code` it is put into the dialect's envelope, otherwise `text` goes out as it is."""

    name: str
    routes: tuple[Route, ...]
    status: int
    code: str = ""
    text: str = ""
    outcome: Outcome = Outcome.FAILS
    times: int | None = None
    headers: Mapping[str, str] | None = None

    def fault(self) -> Fault:
        where = "" if not self.code else f" `{self.code}`"
        shown = self.text if len(self.text) <= 90 else self.text[:87] + "..."
        said = f": {shown}" if self.code else f" with the body `{shown}`" if shown else " without a body"
        return Fault(
            self.name,
            "Error bodies",
            f"{self.status}{where}{said}",
            self.routes,
            self.outcome,
            self.answer,
            times=self.times,
            patience=self.outcome is Outcome.RECOVERS,
            borne=1 if self.status == 401 else 4,  # a new token, once
        )

    async def answer(self, turn: Turn, ask: Ask) -> Reply:
        headers = self.headers or {}
        if not self.code:
            return reply_of(self.status, self.text, headers)
        if turn.dialect is Dialect.STORAGE:
            return storage_reply(turn, self.status, self.code, self.text).with_headers(headers)
        if turn.dialect is Dialect.PARTNER_CENTER:
            return reply_of(self.status, v1.error_body(self.code, self.text), _JSON).with_headers(headers)
        return graph_reply(turn, self.status, self.code, self.text, headers)


_PAGE: Final = (Route.PAGE,)
_BLOB: Final = (Route.BLOB,)
_TOKEN: Final = (Route.TOKEN,)
_ASKED_AGAIN: Final = (Route.OPERATION, Route.MANIFEST)
_RECOVERS: Final = Outcome.RECOVERS
_HTML_TYPE: Final = {"content-type": "text/html"}
_EXPIRED: Final = "Lifetime validation failed, the token is expired."
_PRIVILEGES: Final = "Insufficient privileges to complete the operation."
_WRONG_SECRET: Final = json.dumps(_oauth("invalid_client", 7000215, "Invalid client secret provided."))
_UNKNOWN_CLIENT: Final = json.dumps(_oauth("unauthorized_client", 700016, "Application was not found."))

_BODIES: Final = (
    _Body("graph-bad-request", GRAPH, 400, "BadRequest", "The parameter 'invoiceId' is not valid."),
    _Body("graph-token-expired", GRAPH, 401, "InvalidAuthenticationToken", _EXPIRED, _RECOVERS, 1, _CHALLENGE),
    _Body("graph-token-empty", GRAPH, 401, "InvalidAuthenticationToken", "Access token is empty.", headers=_CHALLENGE),
    _Body("graph-denied", GRAPH, 403, "Authorization_RequestDenied", _PRIVILEGES),
    _Body("graph-denied-silently", GRAPH, 403, "Forbidden", ""),
    _Body("graph-not-found", _ASKED_AGAIN, 404, "NotFound", "There is no such operation.", Outcome.DETECTS, 1),
    _Body("graph-unknown-segment", GRAPH, 404, "BadRequest", "Resource not found for the segment 'partners'."),
    _Body("graph-wrong-method", GRAPH, 405, "MethodNotAllowed", "Use another method here."),
    _Body("graph-gone", _ASKED_AGAIN, 410, "Gone", "The operation has expired.", Outcome.DETECTS, 1),
    _Body("graph-wrong-media", (Route.SUBMIT,), 415, "UnsupportedMediaType", "Send application/json."),
    _Body("graph-internal", GRAPH, 500, "InternalServerError", "Internal server error.", _RECOVERS, 2),
    _Body("graph-unknown-error", GRAPH, 500, "UnknownError", "", _RECOVERS, 2),
    _Body("graph-general-exception", GRAPH, 500, "generalException", "General exception.", _RECOVERS, 2),
    _Body("v1-token-refused", _PAGE, 401, "400", "Access denied.", _RECOVERS, 1, {"www-authenticate": "Bearer"}),
    _Body("v1-no-mfa", _PAGE, 401, "900421", "The token has no MFA claim."),
    _Body("v1-denied", _PAGE, 403, "2032", "Access denied."),
    _Body("v1-not-found", _PAGE, 404, "1000", "There is no such invoice."),
    _Body("v1-invalid", _PAGE, 400, "3000", "The parameter currencycode is missing."),
    _Body("v1-invalid-query", _PAGE, 400, "", '{"message":"The request is invalid."}', headers=_JSON),
    _Body("v1-not-acceptable", _PAGE, 406, "3000", "Line items are application/json."),
    _Body("v1-timeout", _PAGE, 408, "0", "The request took too long.", _RECOVERS, 2),
    _Body("v1-conflict", _PAGE, 409, "3000", "The request conflicts with another."),
    _Body("v1-precondition", _PAGE, 412, "3000", "The condition is not met."),
    _Body("v1-internal", _PAGE, 500, "0", "Something went wrong.", _RECOVERS, 2),
    _Body("v1-not-defined", _PAGE, 501, "0", "Not defined."),
    _Body("storage-mismatch", _BLOB, 403, "AuthorizationPermissionMismatch", "This request is not authorized."),
    _Body("storage-invalid-range", _BLOB, 416, "InvalidRange", "The range is invalid.", Outcome.DETECTS, 1),
    _Body("storage-internal", _BLOB, 500, "InternalError", "Please retry the request.", _RECOVERS, 2),
    _Body("storage-timed-out", _BLOB, 500, "OperationTimedOut", "It took too long.", _RECOVERS, 2),
    _Body("token-wrong-secret", _TOKEN, 401, "", _WRONG_SECRET, headers=_JSON),
    _Body("token-unknown-client", _TOKEN, 400, "", _UNKNOWN_CLIENT, headers=_JSON),
    _Body("gateway-html", EVERYWHERE, 502, "", _HTML.format("502 Bad Gateway"), _RECOVERS, 2, _HTML_TYPE),
    _Body("gateway-silent", EVERYWHERE, 502, "", "", _RECOVERS, 2),
    _Body("gateway-text", EVERYWHERE, 504, "", "upstream timed out", _RECOVERS, 2, {"content-type": "text/plain"}),
    _Body("login-page", EVERYWHERE, 200, "", _HTML.format("Sign in"), headers=_HTML_TYPE),
)

ERRORS: Final = tuple(body.fault() for body in _BODIES)
