"""Error answers of all dialects, turned into one error that says what to do.

Six bodies occur in practice: Graph's, Partner Center's, its gateway's, a sign-in's, Azure storage's XML, and none or
HTML. Partner Center's throttling body is not its error body, and its codes are texts of digits. Names come in any
letter case.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from counterfoil.client.protocol.addresses import shown, without_query
from counterfoil.client.protocol.advice import advice_by_code, advice_by_status
from counterfoil.client.protocol.messages import Answerer, SourceAnswer
from counterfoil.errors import RefusedError

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
_TRY_LATER: Final = frozenset({408, 429, 502, 503, 504})
_OF_A_NETWORK: Final = frozenset({407, 511})  # no source answers so
_XML: Final = r"<(?:\w+:)?{0}(?:\s[^>]*)?>([^<]*)<"
_XML_CODE: Final = re.compile(_XML.format("Code"), re.IGNORECASE)
_XML_MESSAGE: Final = re.compile(_XML.format("Message"), re.IGNORECASE)
_STORAGE_CODE: Final = "x-ms-error-code"
_READ_MAX: Final = 65536


def refused(answer: SourceAnswer) -> RefusedError:
    """Return the error for an answer that is not a success."""
    code, message = error_of(answer)
    where = f"{answer.request.method} {without_query(answer.request.url)}"
    why = ": ".join(part for part in (shown(code), shown(message)) if part)
    ids = shown(answer.request_ids)
    text = f"{where} was refused with {answer.status}" + (f", {why}" if why else "") + (f" ({ids})" if ids else "")
    is_passing = answer.status in RETRIED
    who = answerer(answer)
    remedy = advice_by_code(who, code, message) or advice_by_status(who, answer.status, is_passing=is_passing)
    error = RefusedError(text + ".", status=answer.status, code=code, request_ids=ids, remedy=remedy)
    if answer.status in _TRY_LATER:
        error.exit_code = 4
    return error


def answerer(answer: SourceAnswer) -> Answerer:
    """Return who answered: who was asked, or something on the way that answers in its name, which sends pages."""
    if answer.status in _OF_A_NETWORK or (answer.is_for_people and not any(error_of(answer))):
        return Answerer.BETWEEN
    return answer.request.asked


def error_of(answer: SourceAnswer) -> tuple[str, str]:
    """Return the code and message of an error answer; '' for what it lacks."""
    code, message = read_error(answer.body)
    return code or answer.headers.get(_STORAGE_CODE, ""), message


def read_error(body: bytes) -> tuple[str, str]:
    """Return the code and message of an error body in any dialect; '' for what it lacks."""
    text = body[:_READ_MAX].decode("utf-8-sig", errors="replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return _read_other(text)
    if not isinstance(parsed, dict):
        return "", ""
    members = _in_lower_case(parsed)
    error = members.get("error", members.get("odata.error"))
    if isinstance(error, dict):  # Graph
        members = _in_lower_case(error)
        return _text(members.get("code")), _text(members.get("message"))
    if isinstance(error, str):  # an OAuth token endpoint
        return error, _text(members.get("error_description"))
    # Partner Center, or its gateway, or its query binder
    code = members.get("code", members.get("statuscode"))
    return _text(code), _text(members.get("description") or members.get("message"))


def _read_other(text: str) -> tuple[str, str]:
    code, message = _XML_CODE.search(text), _XML_MESSAGE.search(text)
    if code:
        return code[1].strip(), html.unescape(message[1]).strip() if message else ""
    return "", "" if text.lstrip().startswith("<") else text.strip()


def _in_lower_case(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in members.items()}


def _text(value: object) -> str:
    if isinstance(value, dict):  # OData of old: a message with its language
        value = _in_lower_case(value).get("value")
    return str(value) if isinstance(value, str | int) else ""
