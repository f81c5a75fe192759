"""Error answers of all dialects, turned into one error that says what to do.

Five bodies occur in practice: Graph's, Partner Center's, its gateway's, Azure storage's XML, and none or HTML. Partner
Center's throttling body is not its error body, and its codes are texts of digits.
"""

from __future__ import annotations

import json
import re
from typing import Final

from counterfoil.client.protocol.addresses import shown, without_query
from counterfoil.client.protocol.messages import SourceAnswer
from counterfoil.errors import RefusedError

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
_TRY_LATER: Final = frozenset({408, 429, 502, 503, 504})
_XML_CODE: Final = re.compile(r"<Code>([^<]*)</Code>")
_XML_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
MFA_CODE: Final = "900421"
NO_MFA: Final = (
    "Code 900421: a person's token must come from a sign-in with multi-factor authentication. Sign in again with it, "
    "or use an application's own token (client_id and client_secret_env), which needs none."
)
_REMEDIES: Final = {
    400: "The source rejects the request; repeating it unchanged does not help.",
    401: "The token is missing, expired or for another audience: get a new one and try again.",
    403: "The application or user lacks the permission PartnerBilling.Read.All, or consent to it.",
    404: "Check the base URL and the API; the source may also have forgotten the operation.",
    410: "It has expired: pull again, which makes a new export.",
}


def refused(answer: SourceAnswer) -> RefusedError:
    """Return the error for an answer that is not a success."""
    code, message = read_error(answer.body)
    where = f"{answer.request.method} {without_query(answer.request.url)}"
    why = ": ".join(part for part in (shown(code), shown(message)) if part)
    ids = shown(answer.request_ids)
    text = f"{where} was refused with {answer.status}" + (f", {why}" if why else "") + (f" ({ids})" if ids else "")
    error = RefusedError(
        text + ".", status=answer.status, code=code, request_ids=ids, remedy=_remedy(answer.status, code)
    )
    if answer.status in _TRY_LATER:
        error.exit_code = 4
    return error


def _remedy(status: int, code: str) -> str:
    if code == MFA_CODE:
        return NO_MFA
    if status in RETRIED:
        return "Trying again later is safe."
    return _REMEDIES.get(status, "Trying again is safe, but unlikely to help.")


def read_error(body: bytes) -> tuple[str, str]:
    """Return the code and message of an error body in any dialect; '' for what it lacks."""
    text = body[:65536].decode(errors="replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return _read_other(text)
    if not isinstance(parsed, dict):
        return "", ""
    error = parsed.get("error")
    if isinstance(error, dict):  # Graph
        return _text(error.get("code")), _text(error.get("message"))
    if isinstance(error, str):  # an OAuth token endpoint
        return error, _text(parsed.get("error_description"))
    # Partner Center, or its gateway, or its query binder
    code = parsed.get("code", parsed.get("statusCode"))
    return _text(code), _text(parsed.get("description") or parsed.get("message"))


def _read_other(text: str) -> tuple[str, str]:
    code, message = _XML_CODE.search(text), _XML_MESSAGE.search(text)
    if code:
        return code[1], message[1] if message else ""
    return "", "" if text.lstrip().startswith("<") else text.strip()


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
