"""The rules of one value: what each column accepts, and the text that is stored for it.

These rules hold for every source: JSON lines and pages, CSV and Parquet, published or pulled. Whatever reads faster
may only accept what is accepted here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date
from typing import Any

import msgspec

from counterfoil import numbers
from counterfoil.columns import Codec, Column, Spelling, Type

NESTING_MAX = 64
ATTRIBUTES_MAX = 2_000  # of a line item, known or not; columns of a CSV or Parquet file
_ISO_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?(?:[Zz]|[+-]([0-9]{2}):([0-9]{2}))?)?",
    re.ASCII,
)
# Letters and symbols that show nothing: the fillers of Hangul, and the blank of Braille.
_UNSEEN = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_NUMBER_REMEDY = "Amounts are plain JSON numbers such as 12.50."


class Refused(Exception):  # noqa: N818 - not an error of the program: a verdict about one line
    """A line cannot be right: the attribute and value in question, why, and what to do.

    `line` is the line's number, where it is not given otherwise.
    """

    def __init__(
        self, reason: str, attribute: str = "", value: str | None = None, remedy: str = "", line: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.attribute, self.value, self.remedy, self.line = reason, attribute, value, remedy, line


class NumberText(str):
    """A JSON number as the text in the line; a separate type, to distinguish 1 from "1"."""

    __slots__ = ()


def stored_value(spelling: Spelling, key: str, value: Any, raw: bytes) -> str | None:
    """Return the text to store of a parsed JSON value, None if it is absent; raises Refused.

    Numbers are `NumberText`; `raw` is the value as it was written, without surrounding white space.
    """
    if value is None:
        return None
    match spelling.column.type:
        case Type.NUMBER if isinstance(value, str):
            return stored_number(spelling, key, str(value))
        case Type.DATE if isinstance(value, str) and not isinstance(value, NumberText):
            return stored_date(key, value)
        case Type.FLAG:
            return stored_flag(key, value)
        case Type.TEXT:
            return _stored_as_text(spelling, key, value, raw)
        case type_:
            raise Refused(f"not a {type_.value}", key, _shown(raw))


def _stored_as_text(spelling: Spelling, key: str, value: Any, raw: bytes) -> str:
    if isinstance(value, NumberText) and not spelling.column.digits:
        raise Refused("a number where a text belongs", key, value)
    if isinstance(value, bool):
        raise Refused("not a text", key, _shown(raw))
    if isinstance(value, str):
        return stored_text(spelling, key, str(value))
    return _stored_structure(spelling.column, key, raw)


def stored_text(spelling: Spelling, key: str, text: str) -> str:
    """Return the text to store; raises Refused for characters that no store keeps."""
    check_text(key, text)
    if spelling.from_v1 and spelling.column.codec is Codec.RESELLER and text == "0":
        return ""  # v1 writes 0 for "no reseller" on billing rows, because .NET reads an integer there
    return text


def _stored_structure(column: Column, key: str, raw: bytes) -> str:
    """Keep an array or object given where Graph has text that holds JSON (v1's ProductQualifiers, Tags)."""
    compacted = compact(key, raw)
    return "" if column.codec is Codec.LIST and compacted == "[]" else compacted


def stored_number(spelling: Spelling, key: str, text: str) -> str | None:
    """Return the text of a number, or None for an empty one; raises Refused."""
    if not text:
        return None
    is_rate = spelling.from_v1 and spelling.column.codec is Codec.RATE
    if reason := numbers.why_not_a_rate(text) if is_rate else numbers.why_not_a_number(text):
        raise Refused(reason, key, text, _NUMBER_REMEDY)
    return numbers.rate_to_percent(text) if is_rate else text


def stored_date(key: str, text: str) -> str | None:
    """Return an ISO date unchanged, or None for an empty one; raises Refused."""
    if not text:
        return None
    if reason := why_not_a_date(text):
        raise Refused(reason, key, text, "Dates are ISO 8601, such as 2026-11-20T00:00:00Z.")
    return text


def why_not_a_date(text: str) -> str | None:
    """Return why `text` is not an ISO 8601 date of the calendar, or None if it is one."""
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        return "not an ISO 8601 date"
    day, hour, minute, second, offset_hours, offset_minutes = match.groups(default="00")
    try:
        date.fromisoformat(day)
    except ValueError:
        return "not a date of the calendar"
    # Not datetime.fromisoformat: which times and offsets it takes differs between versions of Python.
    if max(hour, offset_hours) > "23" or max(minute, second, offset_minutes) > "59":
        return "not a date of the calendar"
    return None


def stored_flag(key: str, value: Any) -> str | None:
    """Return `true` or `false`, or None for an empty text; raises Refused."""
    text = str(value).lower() if isinstance(value, bool | str) else ""
    if value == "":
        return None
    if text not in ("true", "false"):
        raise Refused("neither true nor false", key, str(value))
    return text


def is_blank(name: str) -> bool:
    """Whether nothing of a name can be seen: it is empty, or white space, marks and invisible characters only."""
    return not any(unicodedata.category(char)[0] in "LNPS" and char not in _UNSEEN for char in name)


def nameless(where: str, value: str | None = None) -> Refused:
    """Return the verdict on an attribute without a name: no API can serve it, and nobody would know what it is."""
    return Refused(
        "a value in an attribute without a name",
        where,
        value,
        "Give it a name, or leave it out; pandas leaves its index out with index=False.",
    )


def check_text(key: str, text: str) -> None:
    """Refuse U+0000 and lone surrogates: no UTF-8 store keeps them."""
    if "\0" in text:
        raise Refused("holds the character U+0000", key)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("holds half a surrogate pair", key) from error


def compact(key: str, raw: bytes) -> str:
    """Return a JSON value without white space between its parts, otherwise as written; raises Refused."""
    try:
        text = msgspec.json.format(raw, indent=-1).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"not JSON: {error}", key) from error
    if text.count("[") + text.count("{") > NESTING_MAX and _nests_deeper(json.loads(text, parse_int=str), NESTING_MAX):
        raise Refused(f"nested more than {NESTING_MAX} deep", key)
    if "\\u" in text:
        for inner in texts_within(json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)):
            check_text(key, inner)
    return text


def _nests_deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (depth == 0 or any(_nests_deeper(each, depth - 1) for each in inner))


def texts_within(value: Any) -> list[str]:
    """Return every text in a parsed value, where an object is a list of pairs."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in texts_within(inner)]
    return []


def _shown(raw: bytes) -> str:
    return raw.decode(errors="replace")
