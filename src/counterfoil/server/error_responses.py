"""Error responses: one error, in the words of the API that was called, which the path's first segment names.

Only the text of a RequestError may reach a caller. Whatever else went wrong is answered with a bare 500 under a
request id, and logged under that id by the entry point.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import secrets
import socket
import uuid
import zlib
from binascii import b2a_base64
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Scope

from counterfoil.errors import (
    DataFolderError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)
from counterfoil.wire import blob_storage, graph, oauth, v1

LOG = logging.getLogger("counterfoil.server")
RETRY_AFTER_S: Final = 30
_SHORTAGES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_CLIENT_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)


class ApiDialect(Enum):
    """The APIs that a caller may be speaking."""

    GRAPH = "graph"
    PARTNER_CENTER = "partner-center"
    STORAGE = "storage"
    OAUTH = "oauth"
    PLAIN = "plain"


_DIALECTS: Final = {
    "v1.0": ApiDialect.GRAPH,
    "beta": ApiDialect.GRAPH,
    "v1": ApiDialect.PARTNER_CENTER,
    "blobs": ApiDialect.STORAGE,
}


class InternalError(RequestError):
    """Something broke on our side; the caller learns only the request id."""

    status = 500


@dataclass(frozen=True, slots=True)
class RequestIds:
    """The ids of an answer: ours, and the caller's own (ours again if it sent none)."""

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


def request_id_of(dialect: ApiDialect, scope: Scope) -> str:
    """Return the id under which the caller sees the answer: in v1 its own, if it sent one."""
    own = _echo(scope, b"ms-requestid") if dialect is ApiDialect.PARTNER_CENTER else b""
    return own.decode("ascii") or RequestIds.of(scope).request_id


def header(scope: Scope, name: bytes) -> str:
    """Return a request header, or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def dialect_of(path: str) -> ApiDialect:
    """Return the API that a path belongs to."""
    found = _DIALECTS.get(path[1:].partition("/")[0].lower())
    return found or (ApiDialect.OAUTH if oauth.is_authority_path(path) else ApiDialect.PLAIN)


def as_refusal(error: Exception) -> RequestError:
    """Return the error that a caller sees: this one if it was raised for callers, else one that says almost nothing."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {})["Allow"]
        return MethodNotAllowedError(f"Use {allowed} here.", allow=allowed)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFoundError("There is nothing at this address.")
    if isinstance(error, DataFolderError):  # no room left, or locked: it may work later, and nothing was done
        LOG.warning("%s", error)
        return UnavailableError("The service cannot store anything now; try again.", retry_after_s=RETRY_AFTER_S)
    short = isinstance(error, OSError) and error.errno in _SHORTAGES
    if short or isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "new thread" in str(error)):
        LOG.warning("the machine is short of something: %s", error or "memory")
        return UnavailableError("The service is short of resources now; try again.", retry_after_s=RETRY_AFTER_S)
    return InternalError("The service failed to answer. The request id leads its operator to the cause.")


def refusal(
    dialect: ApiDialect, error: RequestError, scope: Scope, now: datetime
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of the response to an error in a dialect."""
    ids = RequestIds.of(scope)
    write = {
        ApiDialect.GRAPH: _graph,
        ApiDialect.PARTNER_CENTER: _partner_center,
        ApiDialect.STORAGE: _storage,
        ApiDialect.OAUTH: _oauth,
        ApiDialect.PLAIN: _plain,
    }[dialect]
    status, headers, body = write(error, ids, scope, now)
    if isinstance(error, MethodNotAllowedError):
        headers["allow"] = error.allow
    if isinstance(error, UnavailableError):
        headers["retry-after"] = str(error.retry_after_s)
    headers["content-length"] = str(len(body))
    return status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body


_Answer = tuple[int, dict[str, str], bytes]

_GRAPH_CODES: Final = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    429: graph.THROTTLED_CODE,
    500: "InternalServerError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


def _graph(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Answer:  # noqa: ARG001
    code = error.code or _GRAPH_CODES[error.status]
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


def _partner_center(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Answer:  # noqa: ARG001
    if isinstance(error, InternalError):
        error.message += f" Request id: {request_id_of(ApiDialect.PARTNER_CENTER, scope)}."
    status, own, body = v1.error_answer(error)
    return status, {name.decode(): value.decode() for name, value in (*own, *v1_headers(scope))}, body


def v1_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers that every v1 answer has."""
    request_id = request_id_of(ApiDialect.PARTNER_CENTER, scope).encode("ascii")
    process = zlib.crc32(f"{socket.gethostname()} {os.getpid()}".encode()) % 10**9
    return [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"ms-requestid", request_id),
        (b"ms-correlationid", _echo(scope, b"ms-correlationid") or request_id),
        (b"ms-cv", b2a_base64(secrets.token_bytes(12), newline=False) + b".0"),
        (b"ms-serverid", b"%09d" % process),
        (b"x-locale", _echo(scope, b"x-locale") or b"en-US"),
    ]


def _echo(scope: Scope, name: bytes) -> bytes:
    return v1.echo(header(scope, name).encode("latin-1"))


_STORAGE_CODES: Final = {
    403: "AuthenticationFailed",
    404: "BlobNotFound",
    405: "UnsupportedHttpVerb",
    500: "InternalError",
    503: "ServerBusy",
}
_STORAGE_STATUS: Final = {"InvalidRange": 416, "ConditionNotMet": 412}


def _storage(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Answer:
    code = error.code or _STORAGE_CODES.get(error.status, "InvalidInput")
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


def _plain(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Answer:  # noqa: ARG001
    body = {"error": {"message": str(error), "requestId": ids.request_id}}
    return error.status, {"content-type": "application/json", "request-id": ids.request_id}, json.dumps(body).encode()


def _oauth(error: RequestError, ids: RequestIds, scope: Scope, now: datetime) -> _Answer:  # noqa: ARG001
    try:
        correlation_id = str(uuid.UUID(ids.client_request_id))
    except ValueError:
        correlation_id = ids.request_id
    body = oauth.error_body(error, now=now, trace_id=ids.request_id, correlation_id=correlation_id)
    headers = {"content-type": "application/json", **oauth.NO_STORE}
    if isinstance(error, UnauthenticatedError):
        headers["www-authenticate"] = 'Basic realm="counterfoil"'
    return error.status, headers, json.dumps(body).encode()
