"""The reference reader: one JSON object becomes the text to store in each column, or is refused with a reason.

It is slow and complete: it sees doubled keys, every spelling in any letter case, quoted numbers, nested values and
unknown attributes. The quick readers leave to it every line that they are not sure of, and its verdict counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from counterfoil.columns import EXTRA, LineItemTable, Spelling
from counterfoil.line_items.values import (
    ATTRIBUTES_MAX,
    NESTING_MAX,
    NumberText,
    Refused,
    check_text,
    compact,
    is_blank,
    nameless,
    stored_value,
    texts_within,
)

OnRefused = Callable[[int, Refused], None]  # the line's number, and why; raises to stop everything


def _refuse_constant(text: str) -> Any:
    raise Refused("not a JSON number", value=text, remedy="Amounts are plain JSON numbers such as 12.50.")


def _pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return pairs


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=NumberText, parse_int=NumberText, parse_constant=_refuse_constant
)


def parse_object(line: bytes | str) -> list[tuple[str, Any]]:
    """Parse one JSON object into its pairs, in order, doubled keys included; raises Refused."""
    try:
        text = line.decode() if isinstance(line, bytes) else line
        parsed = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8 at byte {error.start + 1}", remedy="Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Refused(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise Refused(f"nested more than {NESTING_MAX} deep") from error
    # An object is a list of pairs here, an array a list of anything: the first character distinguishes them.
    if not isinstance(parsed, list) or not text.lstrip().startswith("{"):
        raise Refused("not a JSON object", remedy="Each line is one line item, {...}.")
    if len(parsed) > ATTRIBUTES_MAX:
        raise Refused(f"more than {ATTRIBUTES_MAX:,} attributes")
    return parsed


def read_object(table: LineItemTable, pairs: list[tuple[str, Any]], raw: Mapping[str, bytes]) -> dict[str, str]:
    """Turn the pairs of one object into stored texts by column name; absent and null values are left out.

    `raw` gives the bytes of each top-level value, so that unknown attributes are kept as they were written.
    Raises Refused for doubled keys (in any letter case, or in two spellings) and for values of a wrong type.
    """
    item: dict[str, str] = {}
    seen: set[str] = set()
    extra: list[str] = []
    for key, value in pairs:
        spelling = table.spelling_of(key)
        identity = spelling.column.name if spelling else key.lower()
        if identity in seen:
            raise Refused("given twice", attribute=key, remedy="Keep one of the two.")
        seen.add(identity)
        if spelling is None:
            if not table.is_constant(key):
                extra.append(extra_member(key, raw[key]))
            continue
        text = stored_value(spelling, key, value, raw.get(key, b""))
        if text is not None:
            item[spelling.column.name] = text
    if extra:
        item[EXTRA] = "{" + ",".join(extra) + "}"
    return item


def extra_member(key: str, raw: bytes) -> str:
    """Return the member of `Extra` that keeps an unknown attribute; raises Refused."""
    if is_blank(key):
        raise nameless(repr(key) if key else "", raw.decode(errors="replace"))
    check_text(key, key)
    return f"{json.dumps(key, ensure_ascii=False)}:{compact(key, raw)}"


def read_json_line(table: LineItemTable, line: bytes) -> dict[str, str]:
    """Read one line; raises Refused."""
    pairs = parse_object(line)
    try:
        raw = {key: bytes(value) for key, value in msgspec.json.decode(line, type=dict[str, msgspec.Raw]).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        for key, value in pairs:  # msgspec takes half a surrogate pair for bad JSON; say which attribute holds it
            for text in (key, *texts_within(value)):
                check_text(key, text)
        raise Refused(f"not JSON: {error}") from error
    return read_object(table, pairs, raw)


def read_json_value(spelling: Spelling, key: str, raw: bytes) -> str | None:
    """Read one value of a line by itself; raises Refused (and ValueError, RecursionError for what is not JSON)."""
    value = _DECODER.decode(raw.decode())
    msgspec.json.decode(raw, type=msgspec.Raw)
    return stored_value(spelling, key, value, raw.strip())


def read_lines(
    table: LineItemTable, lines: Iterable[tuple[int, bytes]], on_refused: OnRefused
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the good ones of numbered lines, each with its number and its texts; passes over blank lines."""
    for number, line in lines:
        if not line or line.isspace():
            continue
        try:
            item = read_json_line(table, line)
        except Refused as refused:
            on_refused(number, refused)
        else:
            yield number, item
