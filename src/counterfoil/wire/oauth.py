"""The token endpoint's bodies, in the two shapes that Microsoft's tools speak: v2.0 (scope) and v1 (resource).

Only client credentials are supported. The older shape writes its numbers as strings, and every refusal has the form
that OAuth libraries look for, never that of our other APIs.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from counterfoil.errors import BadRequestError, NotFoundError, RequestError, UnauthenticatedError

FORM_TYPE: Final = "application/x-www-form-urlencoded"
NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FIELDS_MAX = 50
CLIENT_ID_LENGTH_MAX: Final = 128
_SECRET_LENGTH_MAX = 1024
_ASSERTION_LENGTH_MAX = 16 * 1024
_AUDIENCE_LENGTH_MAX = 256
_DEFAULT_SCOPE = "/.default"

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# What we call each refusal: OAuth's code, and the number beside it that tools written for Microsoft look at.
CODES: Final[Mapping[str, tuple[str, int]]] = {
    "invalid_request": ("invalid_request", 900144),
    "unsupported_grant_type": ("unsupported_grant_type", 70003),
    "invalid_scope": ("invalid_scope", 70011),
    "invalid_resource": ("invalid_resource", 500011),
    "invalid_client": ("invalid_client", 7000215),
    "unknown_assertion": ("invalid_client", 700027),
    "assertion_not_now": ("invalid_client", 700024),
    "assertion_misplaced": ("invalid_client", 700023),
    "invalid_tenant": ("invalid_request", 90002),  # Microsoft has no code of its own for it
    "temporarily_unavailable": ("temporarily_unavailable", 90055),
    "unsupported_response_type": ("unsupported_response_type", 70005),
}
# What is refused before anybody looks at OAuth in it: the code and the number by status.
_CODES_BY_STATUS: Final[Mapping[int, tuple[str, int]]] = {
    404: ("invalid_request", 90023),
    405: ("invalid_request", 900561),
    413: ("invalid_request", 90023),
    429: ("temporarily_unavailable", 90055),
    500: ("server_error", 50000),
    503: ("temporarily_unavailable", 90033),
}
_OTHERWISE: Final = ("invalid_request", 90023)
_ENDPOINTS: Final = frozenset(("oauth2", "discovery", "v2.0", ".well-known"))


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A well-formed request for a token: who asks, and for which audience.

    Either the secret or the assertion is empty. With an assertion the client id may be, for the assertion names it.
    """

    client_id: str
    secret: str
    assertion: str
    audience: str


def parse_token_request(body: bytes, *, content_type: str, authorization: str, resource: bool) -> TokenRequest:
    """Read a form; `resource` marks the older shape. Raises RequestError with a code of `CODES`."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise refused("invalid_request", f"The request body must be of type {FORM_TYPE}.")
    form = _form(body)
    grant = _needed(form, "grant_type")
    if grant != "client_credentials":
        raise refused("unsupported_grant_type", "The grant type must be 'client_credentials'.")
    client_id, secret, assertion = _credentials(form, authorization)
    return TokenRequest(client_id, secret, assertion, _audience(form, resource=resource))


def refused(code: str, why: str) -> RequestError:
    """Return the error for an OAuth code; only a client that is not known is a 401."""
    kind = UnauthenticatedError if CODES[code][0] == "invalid_client" else BadRequestError
    return kind(why, code=code)


def token_answer(
    token: str, request: TokenRequest, *, now: datetime, lifetime: timedelta, resource: bool
) -> dict[str, object]:
    """Return the body that carries a token. It promises a second less than the token lives, as Microsoft's does."""
    lifetime_s = int(lifetime.total_seconds())
    left_s = lifetime_s - 1
    if not resource:
        return {"token_type": "Bearer", "expires_in": left_s, "ext_expires_in": left_s, "access_token": token}
    begins_at = int(now.timestamp())
    return {
        "token_type": "Bearer",
        "expires_in": str(left_s),
        "ext_expires_in": str(left_s),
        "expires_on": str(begins_at + lifetime_s),
        "not_before": str(begins_at),
        "resource": request.audience,
        "access_token": token,
    }


def is_authority_path(path: str) -> bool:
    """Whether a path is below a tenant's authority: its clients read OAuth's errors and no others."""
    _, _, *behind = path.split("/", 3)
    return bool(behind) and behind[0].lower() in _ENDPOINTS


def error_body(refused: RequestError, *, now: datetime, trace_id: str, correlation_id: str) -> dict[str, object]:
    """Return the body of a refusal, whether or not it has a code of `CODES`."""
    code, why = refused.code, str(refused)
    code, number = CODES.get(code) or _CODES_BY_STATUS.get(refused.status, _OTHERWISE)
    if isinstance(refused, NotFoundError):
        why = (
            "This authority has no such endpoint. It gives tokens for client credentials at oauth2/v2.0/token; "
            "there is no sign-in by browser, device code or refresh token."
        )
    stamp = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return {
        "error": code,
        "error_description": (
            f"AADSTS{number}: {why} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {stamp}"
        ),
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
    }


def discovery_document(authority: str, *, older: bool = False) -> dict[str, object]:
    """Return what describes an authority; `authority` is `<base URL>/<tenant>`.

    msal accepts an issuer that equals the authority it was given, so the document names the address it came from.
    Microsoft's libraries cannot read a document without an authorization endpoint: there is one, which refuses.
    """
    endpoints = f"{authority}/oauth2" if older else f"{authority}/oauth2/v2.0"
    return {
        "issuer": f"{authority}/" if older else f"{authority}/v2.0",
        "token_endpoint": f"{endpoints}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "RS256"],
        "authorization_endpoint": f"{endpoints}/authorize",
        "jwks_uri": f"{authority}/discovery/keys" if older else f"{authority}/discovery/v2.0/keys",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["none"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        raise refused("invalid_request", "The request body is not a form in UTF-8.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise refused("invalid_request", "A parameter of the request body is there twice.")
    return form


def _needed(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise refused("invalid_request", f"The request body must contain the following parameter: '{name}'.")
    return value


def _credentials(form: Mapping[str, str], authorization: str) -> tuple[str, str, str]:
    """Return client id, secret and assertion: a secret from the form or from a Basic header, or an assertion."""
    if "client_assertion" in form or "client_assertion_type" in form:
        return _asserted(form, authorization)
    if authorization:
        if "client_secret" in form:
            raise refused("invalid_request", "The client secret was sent in two places.")
        client_id, secret = _basic(authorization)
        if form.get("client_id", client_id) != client_id:
            raise refused("invalid_request", "Two client ids were sent.")
    else:
        client_id, secret = _needed(form, "client_id"), _needed(form, "client_secret")
    if len(client_id) > CLIENT_ID_LENGTH_MAX or len(secret) > _SECRET_LENGTH_MAX:
        raise refused("invalid_request", "The client id or secret is too long.")
    return client_id, secret, ""


def _asserted(form: Mapping[str, str], authorization: str) -> tuple[str, str, str]:
    assertion, client_id = _needed(form, "client_assertion"), form.get("client_id", "")
    if _needed(form, "client_assertion_type") != ASSERTION_TYPE:
        raise refused("invalid_request", f"The client_assertion_type must be '{ASSERTION_TYPE}'.")
    if authorization or "client_secret" in form:
        raise refused("invalid_request", "A client secret was sent beside the client assertion.")
    if len(client_id) > CLIENT_ID_LENGTH_MAX or len(assertion) > _ASSERTION_LENGTH_MAX:
        raise refused("invalid_request", "The client id or assertion is too long.")
    return client_id, "", assertion


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.strip().partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        text = ""
    if scheme.lower() != "basic" or not text:
        raise refused("invalid_request", "The Authorization header is not of the form Basic.")
    # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
    client_id, _, secret = (unquote_plus(part) for part in text.partition(":"))
    if not client_id or not secret:
        raise refused("invalid_request", "The Authorization header holds no client id or no secret.")
    return client_id, secret


def _audience(form: Mapping[str, str], *, resource: bool) -> str:
    if resource:
        audience, code = _needed(form, "resource"), "invalid_resource"
    else:
        audience, code = _needed(form, "scope").strip(), "invalid_scope"
        if not audience.endswith(_DEFAULT_SCOPE):
            raise refused(code, f"The scope must be one audience followed by '{_DEFAULT_SCOPE}'.")
        audience = audience.removesuffix(_DEFAULT_SCOPE)
    if not 1 <= len(audience) <= _AUDIENCE_LENGTH_MAX or any(not "!" <= char <= "~" for char in audience):
        raise refused(code, "It must name one audience.")
    return audience
