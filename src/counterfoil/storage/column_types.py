"""How the catalog keeps times and JSON, so that every engine stores and compares them alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text, TypeDecorator

from counterfoil.disk.documents import canonical

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(value: datetime) -> int:
    """Return an aware time as microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """A naive time has no place here: subtracting it raises TypeError."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Integers only, so that what comes back is what went in, to the microsecond."""
        return None if value is None else _EPOCH + _MICROSECOND * value


class Json(TypeDecorator[dict[str, Any]]):
    """A JSON object or struct, kept as text. Amounts are in it as strings, never as JSON numbers."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Sorted and without spaces: equal objects are equal texts."""
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """The object that was stored."""
        return None if value is None else dict(json.loads(value))
