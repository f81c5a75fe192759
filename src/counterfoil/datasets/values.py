"""One line item, read the plain way: a JSON object or a CSV row becomes the text to store in each column.

This is the reference. It is slow and complete: it sees doubled keys, every spelling in any letter case, quoted
numbers, nested values and attributes nobody has told us of. `json_lines` has a fast path for what is usual and comes
here for the rest; a test holds the two to the same answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, Column, LineItemTable, Spelling, Type

NESTING_MAX = 64
_ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)


class Refused(Exception):  # noqa: N818 - not an error of the program: a verdict about one line
    """A line cannot be right: `attribute`, `value`, why, and what to do."""

    def __init__(self, reason: str, attribute: str = "", value: str | None = None, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason, self.attribute, self.value, self.remedy = reason, attribute, value, remedy


class _NumberText(str):
    """A JSON number as the text that stood in the line; a str of its own kind, to tell 1 from "1"."""

    __slots__ = ()


@dataclass(slots=True)
class LineItem:
    """The stored texts of one line item by column name, absent and null alike left out."""

    values: dict[str, str] = field(default_factory=dict)


def _refuse_constant(text: str) -> Any:
    raise Refused("not a JSON number", value=text, remedy="Amounts are plain JSON numbers such as 12.50.")


def _pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return pairs


def parse_object(line: bytes | str) -> list[tuple[str, Any]]:
    """Parse one JSON object into its pairs, in order, doubled keys kept; raises Refused."""
    try:
        text = line.decode() if isinstance(line, bytes) else line
        parsed = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_float=_NumberText,
            parse_int=_NumberText,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8 at byte {error.start + 1}", remedy="Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Refused(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise Refused(f"nested more than {NESTING_MAX} deep") from error
    # An object is a list of pairs here, an array a list of anything: the first byte tells them apart.
    if not isinstance(parsed, list) or not text.lstrip().startswith("{"):
        raise Refused("not a JSON object", remedy="Each line is one line item, {...}.")
    return parsed


def read_object(table: LineItemTable, pairs: list[tuple[str, Any]], raw: Mapping[str, bytes]) -> LineItem:
    """Turn the pairs of one object into stored texts.

    `raw` gives the bytes of each top-level value, so that what we do not know is kept as it was written.
    Raises Refused for doubled keys (in any letter case, or in two spellings) and for values of a wrong type.
    """
    item = LineItem()
    seen: set[str] = set()
    extra: list[str] = []
    for key, value in pairs:
        lowered = key.lower()
        spelling = table.spellings.get(lowered)
        identity = spelling.column.name if spelling else lowered
        if identity in seen:
            raise Refused("given twice", attribute=key, remedy="Keep one of the two.")
        seen.add(identity)
        if spelling is None:
            if lowered not in table.constants:
                check_text(key, key)
                extra.append(f"{_json_text(key)}:{_compact(key, raw[key])}")
            continue
        text = _stored(spelling, key, value, raw.get(key, b""))
        if text is not None:
            item.values[spelling.column.name] = text
    if extra:
        item.values[EXTRA] = "{" + ",".join(extra) + "}"
    return item


def read_json_line(table: LineItemTable, line: bytes) -> LineItem:
    """Read one line; raises Refused."""
    pairs = parse_object(line)
    try:
        raw = {key: bytes(value) for key, value in msgspec.json.decode(line, type=dict[str, msgspec.Raw]).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        for key, value in pairs:  # half a surrogate pair is no JSON to msgspec; say which attribute holds it
            for text in (key, *_strings(value)):
                check_text(key, text)
        raise Refused(f"not JSON: {error}") from error
    return read_object(table, pairs, raw)


def _stored(spelling: Spelling, key: str, value: Any, raw: bytes) -> str | None:
    if value is None:
        return None
    match spelling.column.type:
        case Type.NUMBER if isinstance(value, str):
            return stored_number(spelling, key, str(value))
        case Type.DATE if isinstance(value, str) and not isinstance(value, _NumberText):
            return stored_date(key, value)
        case Type.FLAG:
            return stored_flag(key, value)
        case Type.TEXT:
            return _stored_as_text(spelling, key, value, raw)
        case type_:
            raise Refused(f"not a {type_.value}", key, _shown(raw))


def _stored_as_text(spelling: Spelling, key: str, value: Any, raw: bytes) -> str:
    if isinstance(value, _NumberText) and not spelling.column.digits:
        raise Refused("a number where a text belongs", key, value)
    if isinstance(value, bool):
        raise Refused("not a text", key, _shown(raw))
    if isinstance(value, str):
        return stored_text(spelling, key, str(value))
    return stored_structure(spelling.column, key, raw)


def stored_text(spelling: Spelling, key: str, text: str) -> str:
    """Return the text to store; raises Refused for characters that no store keeps."""
    check_text(key, text)
    if spelling.from_v1 and spelling.column.codec is Codec.RESELLER and text == "0":
        return ""  # v1 writes 0 for "no reseller" on billing rows, because .NET reads an integer there
    return text


def stored_structure(column: Column, key: str, raw: bytes) -> str:
    """Keep an array or object given where Graph has text that holds JSON (v1's ProductQualifiers, Tags)."""
    compact = _compact(key, raw)
    return "" if column.codec is Codec.LIST and compact == "[]" else compact


def stored_number(spelling: Spelling, key: str, text: str) -> str | None:
    """Return the text of a number, or None for an empty one; raises Refused."""
    if not text:
        return None
    if reason := numbers.why_not_a_number(text):
        raise Refused(reason, key, text, "Amounts are plain JSON numbers such as 12.50.")
    if spelling.from_v1 and spelling.column.codec is Codec.RATE:
        return numbers.rate_to_percent(text)
    return text


def stored_date(key: str, text: str) -> str | None:
    """Return an ISO date as it stands, or None for an empty one; raises Refused."""
    if not text:
        return None
    if reason := why_not_a_date(text):
        raise Refused(reason, key, text, "Dates are ISO 8601, such as 2026-11-20T00:00:00Z.")
    return text


def why_not_a_date(text: str) -> str | None:
    """Say why `text` is no ISO 8601 date of the calendar, or None when it is one."""
    if _ISO_DATE.fullmatch(text) is None:
        return "not an ISO 8601 date"
    try:
        # Python reads at most six fractional digits on some versions and nine here: the fraction needs no calendar.
        datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text).upper())
    except ValueError:
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


def check_text(key: str, text: str) -> None:
    """Refuse U+0000 and lone surrogates: no UTF-8 store keeps them."""
    if "\0" in text:
        raise Refused("holds the character U+0000", key)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("holds half a surrogate pair", key) from error


def _compact(key: str, raw: bytes) -> str:
    try:
        text = msgspec.json.format(raw, indent=-1).decode()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Refused(f"not JSON: {error}", key) from error
    if text.count("[") + text.count("{") > NESTING_MAX and _nests_deeper(json.loads(text, parse_int=str), NESTING_MAX):
        raise Refused(f"nested more than {NESTING_MAX} deep", key)
    if "\\u" in text:
        for inner in _strings(json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)):
            check_text(key, inner)
    return text


def _nests_deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (depth == 0 or any(_nests_deeper(each, depth - 1) for each in inner))


def _strings(value: Any) -> list[str]:
    """Every text in a parsed value, where an object is a list of pairs."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _strings(inner)]
    return []


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shown(raw: bytes) -> str:
    return raw.decode(errors="replace")
