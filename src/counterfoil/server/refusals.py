"""How each of our APIs says no: one error, four dialects, told apart by the first segment of the path.

What a newcomer would get wrong: only the text of a RequestError may reach a caller. Whatever else went wrong is
answered with a bare 500 under a request id, and logged under that id by the front.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from counterfoil.errors import (
    BadRequestError,
    DataFolderError,
    ForbiddenError,
    GoneError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    NotServedError,
    RequestError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaError,
)
from counterfoil.server.service import Scope
from counterfoil.wire import blob_storage, graph, v1

LOG = logging.getLogger("counterfoil.server")
RETRY_AFTER_S: Final = 30
_CLIENT_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)


class Dialect(Enum):
    """The APIs that a caller may be speaking."""

    GRAPH = "graph"
    PARTNER_CENTER = "partner-center"
    STORAGE = "storage"
    PLAIN = "plain"


_DIALECTS: Final = {
    "v1.0": Dialect.GRAPH,
    "beta": Dialect.GRAPH,
    "v1": Dialect.PARTNER_CENTER,
    "blobs": Dialect.STORAGE,
}


class InternalError(RequestError):
    """Something broke on our side; the caller learns only the request id."""

    status = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestIds:
    """What an answer is known by: our id of the request, and the caller's (ours again if it sent none)."""

    request_id: str
    client_request_id: str

    @classmethod
    def of(cls, scope: Scope) -> RequestIds:
        """Return the ids of a request; they are made when first asked for and stay the same."""
        ids = scope.get("counterfoil.ids")
        if isinstance(ids, cls):
            return ids
        made = str(uuid.uuid4())
        sent = header(scope, b"client-request-id")
        ids = cls(made, sent if _CLIENT_ID.fullmatch(sent) else made)
        scope["counterfoil.ids"] = ids
        return ids


def header(scope: Scope, name: bytes) -> str:
    """Return a request header, or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def dialect_of(path: str) -> Dialect:
    """Return the API that a path belongs to."""
    return _DIALECTS.get(path[1:].partition("/")[0].lower(), Dialect.PLAIN)


def as_refusal(error: Exception) -> RequestError:
    """Return what a caller is told about an error, which is next to nothing unless it was raised for them."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, DataFolderError):  # no room left, or locked: it may work later, and nothing was done
        LOG.warning("%s", error)
        return UnavailableError("The service cannot store anything now; try again.", retry_after_s=RETRY_AFTER_S)
    return InternalError("The service failed to answer. The request id leads its operator to the cause.")


def refusal(dialect: Dialect, error: RequestError, scope: Scope, now: datetime) -> Answer:
    """Return the answer that tells an error in a dialect."""
    ids = RequestIds.of(scope)
    tell = {
        Dialect.GRAPH: _graph,
        Dialect.PARTNER_CENTER: _partner_center,
        Dialect.STORAGE: _storage,
        Dialect.PLAIN: _plain,
    }[dialect]
    status, headers, body = tell(error, ids, scope, now)
    if isinstance(error, MethodNotAllowedError):
        headers["allow"] = error.allow
    if isinstance(error, UnavailableError):
        headers["retry-after"] = str(error.retry_after_s)
    headers["content-length"] = str(len(body))
    return Answer(status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body)


_Told = tuple[int, dict[str, str], bytes]

_GRAPH_CODES: Final[dict[type[RequestError], str]] = {
    BadRequestError: "BadRequest",
    UnauthenticatedError: "InvalidAuthenticationToken",
    ForbiddenError: "Authorization_RequestDenied",
    NotFoundError: "NotFound",
    MethodNotAllowedError: "MethodNotAllowed",
    NotAcceptableError: "NotAcceptable",
    GoneError: "Gone",
    TooLargeError: "RequestEntityTooLarge",
    UnsupportedMediaError: "UnsupportedMediaType",
    NotServedError: "NotImplemented",
    UnavailableError: "ServiceUnavailable",
    InternalError: "InternalServerError",
}


def _graph(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Told:  # noqa: ARG001
    code = error.code or next(code for kind, code in _GRAPH_CODES.items() if isinstance(error, kind))
    body = graph.error_body(
        code, str(error), now=now, request_id=ids.request_id, client_request_id=ids.client_request_id
    )
    headers = graph_headers(ids)
    if isinstance(error, UnauthenticatedError):
        headers["www-authenticate"] = 'Bearer realm="", error="invalid_token"'
    return error.status, headers, json.dumps(body).encode()


def graph_headers(ids: RequestIds) -> dict[str, str]:
    """Return the headers that every Graph answer with a body has."""
    return {
        "content-type": graph.CONTENT_TYPE,
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
        "cache-control": "no-store",
        "odata-version": "4.0",
    }


def _partner_center(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Told:  # noqa: ARG001
    status, own, body = v1.error_answer(error)
    request_id = _echoed(scope, b"ms-requestid") or ids.request_id
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ms-requestid": request_id,
        "ms-correlationid": _echoed(scope, b"ms-correlationid") or request_id,
        "cache-control": "no-store",
    }
    return status, headers | {name.decode(): value.decode() for name, value in own}, body


def _echoed(scope: Scope, name: bytes) -> str:
    sent = header(scope, name)
    return sent if _CLIENT_ID.fullmatch(sent) else ""


_STORAGE_CODES: Final[dict[type[RequestError], str]] = {
    ForbiddenError: "AuthenticationFailed",
    NotFoundError: "BlobNotFound",
    MethodNotAllowedError: "UnsupportedHttpVerb",
    UnavailableError: "ServerBusy",
    InternalError: "InternalError",
}
_STORAGE_STATUS: Final = {"InvalidRange": 416, "ConditionNotMet": 412}


def _storage(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Told:
    code = error.code or next(
        (code for kind, code in _STORAGE_CODES.items() if isinstance(error, kind)), "InvalidInput"
    )
    sent = {
        "x-ms-version": header(scope, b"x-ms-version"),
        "x-ms-client-request-id": header(scope, b"x-ms-client-request-id"),
    }
    headers = {
        "content-type": blob_storage.XML_CONTENT_TYPE,
        "x-ms-error-code": code,
        **blob_storage.identity_headers(sent, ids.request_id),
    }
    if isinstance(error, blob_storage.UnsatisfiableRangeError):
        headers["content-range"] = f"bytes */{error.size_bytes}"
    body = blob_storage.error_body(code, str(error), request_id=ids.request_id, now=now)
    return _STORAGE_STATUS.get(code, error.status), headers, body


def _plain(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Told:  # noqa: ARG001
    body = {"error": {"message": str(error), "requestId": ids.request_id}}
    return error.status, {"content-type": "application/json", "request-id": ids.request_id}, json.dumps(body).encode()
