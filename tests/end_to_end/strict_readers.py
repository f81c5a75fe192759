"""Line items read by the rules of Microsoft's SDKs: Jackson's for Java, System.Text.Json's for .NET.

Both bind each attribute to one type and throw at anything else, so one bad line item loses a whole page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from counterfoil.columns import Codec, Type, table_of
from counterfoil.model import Kind

DECIMAL_MAX: Final = Decimal(79228162514264337593543950335)
# Java's OffsetDateTime wants a zone and at most nine decimals; .NET takes up to sixteen, and none of either.
_JAVA_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NET_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,16})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
# What the models of both SDKs declare as a map, though it travels as a text that holds JSON.
MAPS: Final = frozenset({"tags", "additionalinfo"})
_INTEGERS: Final = frozenset({"resellermpnid"})  # of reconciliation in v1


class UnreadableError(Exception):
    """A reader of this kind throws here."""


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def read(text: bytes | str) -> Any:
    """Parse JSON strictly: no key twice, no NaN; numbers stay as they were written."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name.lower() for name, _ in pairs}) < len(pairs):
            raise UnreadableError("a key twice")
        return dict(pairs)

    def refuse(name: str) -> object:
        raise UnreadableError(name)

    return json.loads(text, object_pairs_hook=unique, parse_float=Number, parse_int=Number, parse_constant=refuse)


def expected(kind: Kind, *, v1: bool) -> Mapping[str, str]:
    """Return what type the models declare for each attribute, by its name in lower case."""
    found = {}
    for column in table_of(kind).columns:
        name = column.v1 if v1 else column.name
        if name is None or not (v1 or column.graph):
            continue
        declared = {Type.NUMBER: "number", Type.DATE: "date", Type.FLAG: "flag", Type.TEXT: "text"}[column.type]
        lowered = name.lower()
        if lowered in MAPS:
            declared = "map"
        elif v1 and column.codec is Codec.LIST:
            declared = "list"
        elif v1 and kind is Kind.RECONCILIATION and lowered in _INTEGERS:
            declared = "integer"
        found[lowered] = declared
    return found


def check_java(value: object, declared: str) -> None:
    """Bind a value as a strict ObjectMapper does; raises UnreadableError."""
    _bind(value, declared, _JAVA_DATE)


def check_net(value: object, declared: str) -> None:
    """Bind a value as System.Text.Json does to non-nullable types; raises UnreadableError."""
    _bind(value, declared, _NET_DATE)
    if declared == "number" and abs(Decimal(str(value))) > DECIMAL_MAX:
        raise UnreadableError("no decimal")
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise UnreadableError("half a surrogate")


READERS: Final[Mapping[str, Callable[[object, str], None]]] = {"Java": check_java, ".NET": check_net}


def _bind(value: object, declared: str, dates: re.Pattern[str]) -> None:
    plain_text = isinstance(value, str) and not isinstance(value, Number)
    match declared:
        case "number":
            good = isinstance(value, Number)
        case "integer":
            good = plain_text and re.fullmatch(r"\d{1,9}", str(value)) is not None
        case "date":
            good = plain_text and dates.fullmatch(str(value)) is not None
            if good:
                datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(value)))
        case "flag":
            good = isinstance(value, bool)
        case "list":
            good = isinstance(value, list) and all(isinstance(each, str) for each in value)
        case "map":
            good = plain_text and _is_map(str(value))
        case _:
            good = plain_text
    if not good:
        raise UnreadableError(f"{value!r} is no {declared}")


def _is_map(text: str) -> bool:
    """Whether a text is empty, or JSON of one object whose members are scalars."""
    if not text:
        return True
    try:
        members = read(text)
    except ValueError:
        return False
    return isinstance(members, dict) and not any(isinstance(each, dict | list) for each in members.values())
