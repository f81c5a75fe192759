"""Throttling, outages, and every error body that the two APIs, the storage and the authority are known to send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final

from counterfoil.errors import RequestError, shortened
from counterfoil.server.error_responses import ApiDialect
from counterfoil.testing.faults.fault import (
    EVERYWHERE,
    GRAPH,
    AskServer,
    ClientOutcome,
    Instead,
    Parameter,
    Route,
    ServerFault,
    Strike,
)
from counterfoil.testing.faults.reply import Reply, reply_of, reply_to

_JSON: Final = {"content-type": "application/json; charset=utf-8"}
_BUSY_CODES: Final = {ApiDialect.STORAGE: "ServerBusy", ApiDialect.OAUTH: "temporarily_unavailable"}
_HTML: Final = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr></body></html>"
_CHALLENGE: Final = {"www-authenticate": 'Bearer realm="", error="invalid_token"'}


def refused(
    strike: Strike, status: int, code: str, text: str, headers: Mapping[str, str | None] | None = None
) -> Reply:
    """Return a refusal in the words of the API that was called; a header of None is left out."""
    error = RequestError(text, code=code)
    error.status = status
    return reply_to(error, strike.dialect, strike.scope, strike.now).with_headers(headers or {})


def _busy(status: int, retry_after: Callable[[Strike], str | None]) -> Instead:
    """Say that there is too much to do."""

    async def answer(strike: Strike, ask: AskServer) -> Reply:
        code = _BUSY_CODES.get(strike.dialect, "")
        return refused(strike, status, code, "Please retry again later.", {"retry-after": retry_after(strike)})

    return answer


def _as_given(strike: Strike) -> str:
    return str(strike.given["wait"])


def _by_date(strike: Strike) -> str:
    return format_datetime(strike.now + timedelta(seconds=strike.given["seconds"]), usegmt=True)


def _oauth(error: str, code: int, text: str) -> dict[str, object]:
    return {"error": error, "error_description": f"AADSTS{code}: {text}", "error_codes": [code]}


_WAIT: Final = {"wait": Parameter("1", "what Retry-After says")}
_FRACTION: Final = {"wait": Parameter("0.128", "what Retry-After says")}
_SECONDS: Final = {"seconds": Parameter(1, "how far ahead the date is")}
_429, _503 = _busy(429, _as_given), _busy(503, _as_given)


def _outage(name: str, about: str, instead: Instead, parameters: Mapping[str, Parameter] | None = None) -> ServerFault:
    more: dict[str, Any] = {"times": 2, "uses_retry": True, "parameters": parameters or {}}
    return ServerFault(name, "Throttling and outages", about, EVERYWHERE, ClientOutcome.RECOVERS, instead, **more)


OUTAGES: Final = (
    _outage("throttled", "429 with `Retry-After` in seconds", _429, _WAIT),
    _outage("throttled-silently", "429 without `Retry-After`", _busy(429, lambda _: None)),
    _outage("throttled-by-date", "429 with a date in `Retry-After`", _busy(429, _by_date), _SECONDS),
    _outage("throttled-by-fraction", "429 with a fraction of a second, as Graph sends", _429, _FRACTION),
    _outage("unavailable", "503 with `Retry-After`", _503, _WAIT),
    _outage("unavailable-silently", "503 without `Retry-After`: a storm of them", _busy(503, lambda _: None)),
)


def _error(
    name: str,
    routes: tuple[Route, ...],
    status: int,
    code: str = "",
    text: str = "",
    outcome: ClientOutcome = ClientOutcome.FAILS,
    times: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> ServerFault:
    """Return a fault with one error body: with `code` in the dialect's envelope, otherwise `text` as it is."""

    async def answer(strike: Strike, ask: AskServer) -> Reply:
        return refused(strike, status, code, text, headers) if code else reply_of(status, text, headers or {})

    shown = shortened(text, 90)
    said = f" `{code}`: {shown}" if code else f" with the body `{shown}`" if shown else " without a body"
    more: dict[str, Any] = {"times": times, "uses_retry": outcome is ClientOutcome.RECOVERS}
    more["survived"] = 1 if status == 401 else 4  # a new token, once
    return ServerFault(name, "Error bodies", f"{status}{said}", routes, outcome, answer, **more)


_PAGE: Final = (Route.PAGE,)
_BLOB: Final = (Route.BLOB,)
_TOKEN: Final = (Route.TOKEN,)
_ASKED_AGAIN: Final = (Route.OPERATION, Route.MANIFEST)
_RECOVERS: Final = ClientOutcome.RECOVERS
_HTML_TYPE: Final = {"content-type": "text/html"}
_EXPIRED: Final = "Lifetime validation failed, the token is expired."
_PRIVILEGES: Final = "Insufficient privileges to complete the operation."
_WRONG_SECRET: Final = json.dumps(_oauth("invalid_client", 7000215, "Invalid client secret provided."))
_UNKNOWN_CLIENT: Final = json.dumps(_oauth("unauthorized_client", 700016, "Application was not found."))

ERRORS: Final = (
    _error("graph-bad-request", GRAPH, 400, "BadRequest", "The parameter 'invoiceId' is not valid."),
    _error("graph-token-expired", GRAPH, 401, "InvalidAuthenticationToken", _EXPIRED, _RECOVERS, 1, _CHALLENGE),
    _error("graph-token-empty", GRAPH, 401, "InvalidAuthenticationToken", "Access token is empty.", headers=_CHALLENGE),
    _error("graph-denied", GRAPH, 403, "Authorization_RequestDenied", _PRIVILEGES),
    _error("graph-denied-silently", GRAPH, 403, "Forbidden", ""),
    _error("graph-not-found", _ASKED_AGAIN, 404, "NotFound", "There is no such operation.", ClientOutcome.DETECTS, 1),
    _error("graph-unknown-segment", GRAPH, 404, "BadRequest", "Resource not found for the segment 'partners'."),
    _error("graph-wrong-method", GRAPH, 405, "MethodNotAllowed", "Use another method here."),
    _error("graph-gone", _ASKED_AGAIN, 410, "Gone", "The operation has expired.", ClientOutcome.DETECTS, 1),
    _error("graph-wrong-media", (Route.SUBMIT,), 415, "UnsupportedMediaType", "Send application/json."),
    _error("graph-internal", GRAPH, 500, "InternalServerError", "Internal server error.", _RECOVERS, 2),
    _error("graph-unknown-error", GRAPH, 500, "UnknownError", "", _RECOVERS, 2),
    _error("graph-general-exception", GRAPH, 500, "generalException", "General exception.", _RECOVERS, 2),
    _error("v1-token-refused", _PAGE, 401, "400", "Access denied.", _RECOVERS, 1, {"www-authenticate": "Bearer"}),
    _error("v1-no-mfa", _PAGE, 401, "900421", "The token has no MFA claim."),
    _error("v1-denied", _PAGE, 403, "2032", "Access denied."),
    _error("v1-not-found", _PAGE, 404, "1000", "There is no such invoice."),
    _error("v1-invalid", _PAGE, 400, "3000", "The parameter currencycode is missing."),
    _error("v1-invalid-query", _PAGE, 400, "", '{"message":"The request is invalid."}', headers=_JSON),
    _error("v1-not-acceptable", _PAGE, 406, "3000", "Line items are application/json."),
    _error("v1-timeout", _PAGE, 408, "0", "The request took too long.", _RECOVERS, 2),
    _error("v1-conflict", _PAGE, 409, "3000", "The request conflicts with another."),
    _error("v1-precondition", _PAGE, 412, "3000", "The condition is not met."),
    _error("v1-internal", _PAGE, 500, "0", "Something went wrong.", _RECOVERS, 2),
    _error("v1-not-defined", _PAGE, 501, "0", "Not defined."),
    _error("storage-mismatch", _BLOB, 403, "AuthorizationPermissionMismatch", "This request is not authorized."),
    _error("storage-invalid-range", _BLOB, 416, "InvalidRange", "The range is invalid.", ClientOutcome.DETECTS, 1),
    _error("storage-internal", _BLOB, 500, "InternalError", "Please retry the request.", _RECOVERS, 2),
    _error("storage-timed-out", _BLOB, 500, "OperationTimedOut", "It took too long.", _RECOVERS, 2),
    _error("token-wrong-secret", _TOKEN, 401, "", _WRONG_SECRET, headers=_JSON),
    _error("token-unknown-client", _TOKEN, 400, "", _UNKNOWN_CLIENT, headers=_JSON),
    _error("gateway-html", EVERYWHERE, 502, "", _HTML.format("502 Bad Gateway"), _RECOVERS, 2, _HTML_TYPE),
    _error("gateway-silent", EVERYWHERE, 502, "", "", _RECOVERS, 2),
    _error("gateway-text", EVERYWHERE, 504, "", "upstream timed out", _RECOVERS, 2, {"content-type": "text/plain"}),
    _error("login-page", EVERYWHERE, 200, "", _HTML.format("Sign in"), headers=_HTML_TYPE),
)
