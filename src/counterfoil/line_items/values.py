"""The rules of one value: what each column accepts, and the text that is stored for it.

These rules hold for every source: JSON lines and pages, CSV and Parquet, published or pulled. Whatever reads faster
may only accept what is accepted here.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

import msgspec

from counterfoil import numbers
from counterfoil.columns import Codec, Column, Spelling, Type
from counterfoil.line_items import dates, lost_values

NESTING_MAX = 64
ATTRIBUTES_MAX = 2_000  # of a line item, known or not; columns of a CSV or Parquet file
# Letters and symbols that show nothing: the fillers of Hangul, and the blank of Braille.
_SHOWN_AS_NOTHING: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# What is around values and seen by nobody: white space, no-break spaces, spaces of no width, byte order marks.
UNSEEN: Final = " \t\r\n\u00a0\u2007\u202f\u200b\u200e\u200f\u2060\ufeff"
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
            reason, remedy = f"not a {type_.value}", ""
            if type_ is Type.DATE and isinstance(value, NumberText) and dates.is_count(value):
                reason, remedy = dates.why_unreadable(value)
            raise Refused(reason, key, _shown(raw), remedy)


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
    is_rate = spelling.from_v1 and spelling.column.codec is Codec.RATE
    why_not = numbers.why_not_a_rate if is_rate else numbers.why_not_a_number
    number = text
    if text and why_not(text):
        number = undressed(text)
        if number and (reason := why_not(number)):
            if lost := lost_values.why_lost(number):
                raise Refused(lost, key, text, lost_values.REMEDY)
            raise Refused(reason, key, text, _NUMBER_REMEDY)
    if not number:
        return None
    return numbers.rate_to_percent(number) if is_rate else number


def stored_date(key: str, text: str) -> str | None:
    """Return a date as ISO 8601, unchanged if it is that already, or None for an empty one; raises Refused."""
    if not text or dates.why_not_a_date(text) is None:
        return text or None
    plain = undressed(text)
    iso = plain if not plain or dates.why_not_a_date(plain) is None else dates.only_reading(plain)
    if iso is None:
        reason, remedy = dates.why_unreadable(plain)
        if lost := lost_values.why_lost(plain):
            reason, remedy = lost, lost_values.REMEDY
        raise Refused(reason, key, text, remedy)
    return iso or None


def undressed(text: str) -> str:
    """Return a text without what is put around values: white space, a guard apostrophe, the formula `="..."`."""
    text = text.strip(UNSEEN)
    if text.startswith('="') and text.endswith('"') and '"' not in text[2:-1] and len(text) > len('="'):
        text = text[2:-1]
    return text.removeprefix("'").strip(UNSEEN)


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
    return not any(unicodedata.category(char)[0] in "LNPS" and char not in _SHOWN_AS_NOTHING for char in name)


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
