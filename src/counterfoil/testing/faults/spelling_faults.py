"""The same line items in every spelling that sources are known to use: quoted numbers, nulls, dates, loose files.

Nothing here may change a value, and no number may go through a float: a line item maps names to the unchanged JSON of
each value. Blobs that are spelled differently are other bytes, so their manifest is made to agree (see `faulty_app`):
they are not damaged, they are what another source writes.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Final

import msgspec

from counterfoil.columns import Type, table_of
from counterfoil.model import Kind
from counterfoil.testing.faults.fault import ClientOutcome, LineItem, Repack, Respell, Route, ServerFault

_BOM: Final = b"\xef\xbb\xbf"
_WHOLE_SECOND: Final = re.compile(rb'"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z"')
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.]*")
_NO_DATE: Final = b'"0001-01-01T00:00:00"'
_WEST: Final = timezone(timedelta(hours=-8))


@cache
def _types() -> dict[str, Type]:
    """The type of every attribute, by each of its names in lower case."""
    return {name: spelling.column.type for kind in Kind for name, spelling in table_of(kind).spellings.items()}


def _each(of: Type | None, respelled: Callable[[bytes], bytes | None]) -> Respell:
    """Apply to the values of a type; None stays None."""

    def respell(item: LineItem) -> LineItem:
        types = _types()
        new = dict(item)
        for name, raw in item.items():
            if (kind := types.get(name.lower())) is not None and of in (kind, None):
                value = respelled(bytes(raw))
                if value is not None:
                    new[name] = msgspec.Raw(value)
        return new

    return respell


def _quoted(raw: bytes) -> bytes | None:
    return b'"' + raw + b'"' if raw[:1] != b'"' and raw != b"null" else None


def _with_exponent(raw: bytes) -> bytes | None:
    return raw + b"E0" if _NUMBER.fullmatch(raw) else None


def _null(raw: bytes) -> bytes | None:
    return b"null" if raw == b'""' else None


def _dated(written: Callable[[bytes], bytes]) -> Callable[[bytes], bytes | None]:
    def respelled(raw: bytes) -> bytes | None:
        match = _WHOLE_SECOND.fullmatch(raw)
        return b'"' + written(match[1]) + b'"' if match is not None else None

    return respelled


def _in_the_west(second: bytes) -> bytes:
    return datetime.fromisoformat(second.decode() + "+00:00").astimezone(_WEST).isoformat().encode()


def _year_one(raw: bytes) -> bytes | None:
    return _NO_DATE if raw in (b'""', b"null") else None


_YEAR_ONE: Final = _each(Type.DATE, _year_one)


def _undated(item: LineItem) -> LineItem:
    """Where a source leaves a date out or empty, have .NET's. Graph's usual blobs get those of the full set."""
    is_v1 = "partnerId" in item
    table = table_of(Kind.USAGE if {"usageDate", "UsageDate"} & item.keys() else Kind.RECONCILIATION)
    dates = (column for column in (table.v1_columns if is_v1 else table.graph_full) if column.type is Type.DATE)
    absent = {(column.v1 or "") if is_v1 else column.name: msgspec.Raw(_NO_DATE) for column in dates}
    return absent | _YEAR_ONE(item)


def _with_unknown(item: LineItem) -> LineItem:
    return item | {"AttributeOfTheFuture": msgspec.Raw(b'{"a":[1.10,"x"]}')}


def packed(lines: Sequence[bytes]) -> bytes:
    """Return lines as a blob, like ours."""
    return gzip.compress(b"".join(line + b"\n" for line in lines), 1, mtime=0)


def _two_members(lines: Sequence[bytes]) -> bytes:
    middle = len(lines) // 2
    return packed(lines[:middle]) + packed(lines[middle:])


def _loose(lines: Sequence[bytes]) -> bytes:
    return gzip.compress(_BOM + b"\r\n\r\n".join(lines), 1, mtime=0)


def _spelled(name: str, about: str, respell: Respell | None, repack: Repack | None = None) -> ServerFault:
    routes = (Route.BLOB, Route.PAGE) if respell is not None else (Route.BLOB,)
    group = "Spellings of line items"
    return ServerFault(name, group, about, routes, ClientOutcome.RECOVERS, respell=respell, repack=repack)


_SEVEN_DIGITS: Final = _each(Type.DATE, _dated(lambda second: second + b".0000000Z"))
_WITH_OFFSET: Final = _each(Type.DATE, _dated(_in_the_west))
_NO_ZONE: Final = _each(Type.DATE, _dated(lambda second: second))

SPELLING_FAULTS: Final = (
    _spelled("quoted-numbers", 'numbers in quotes: `"24.0"`', _each(Type.NUMBER, _quoted)),
    _spelled("numbers-with-exponent", "numbers with an exponent: `24.0E0`", _each(Type.NUMBER, _with_exponent)),
    _spelled("nulls", '`null` where there would be `""`', _each(None, _null)),
    _spelled("dates-with-seven-digits", "`2026-11-20T00:00:00.0000000Z`", _SEVEN_DIGITS),
    _spelled("dates-with-offset", "`2026-11-19T16:00:00-08:00`, the same instant", _WITH_OFFSET),
    _spelled("dates-without-zone", "`2026-11-20T00:00:00`, in UTC", _NO_ZONE),
    _spelled("dates-of-year-one", "`0001-01-01T00:00:00` where there is no date", _undated),
    _spelled("unknown-attribute", "an unknown attribute", _with_unknown),
    _spelled(
        "blob-of-two-members", "the gzip file has two members: many readers stop after the first", None, _two_members
    ),
    _spelled("blob-loosely-written", "a byte order mark, CRLF, blank lines, no end of the last line", None, _loose),
)
