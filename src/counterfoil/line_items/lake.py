"""The lake: Parquet files whose columns are a line item's exact texts, with values beside them for engines to use.

A number has two columns: `<Name>Text`, the text as it came in, and `<Name>`, the same value as DECIMAL(28,15). A date
has `<Name>Text` and `<Name>`, a timestamp in UTC. Only the texts count: sums, hashes and proofs use them, because 15
decimals and microseconds may not hold every digit. A published file also has the SHA-256 of each line item; a pulled
one does not.

Files describe themselves: the schema's metadata says of each column what it is for and, of an attribute, how it is
rendered. So a reader of another version treats a missing column as absent, keeps one it does not know, and renders what
the file was written with.

The conversion here takes texts that were checked (`numbers.why_not_a_number`). It is exact by construction: plain
digits are cast by Arrow, everything else goes through `numbers.for_lake`. Arrow's own parser must never see an
exponent: `1E-999999999` crashes the whole process (pyarrow 26.0.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, Column, Type, table_of
from counterfoil.model import Kind

TEXT_SUFFIX: Final = "Text"
DIGEST: Final = "LineItemSha256"
FORM: Final = 2  # of the files; form 1 had other columns and no description
DECIMAL: Final = pa.decimal128(numbers.LAKE_PRECISION, numbers.LAKE_SCALE)
MOMENT: Final = pa.timestamp("us", tz="UTC")
_TYPED: Final = {Type.NUMBER: DECIMAL, Type.DATE: MOMENT}
_METADATA_KEY: Final = b"counterfoil"
_DESCRIBED: Final = ("name", "type", "basic", "graph", "v1", "codec")  # what a file says of an attribute
_UNDESCRIBED: Final = "it does not describe its columns as a lake file does"
_USUAL_MOMENT: Final = "^([1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"
_FINER: Final = re.compile(r"(?<=\.[0-9]{6})[0-9]+")

# 13 digits before the point and 25 after fill 128 bits: room to round in, enough for every source we know of. Only
# 12 may be used: rounding may carry into the 13th, and Arrow's round overflows in silence.
_ROOMY: Final = pa.decimal128(38, 25)
_PLAIN: Final = r"^-?[0-9]{1,13}(\.[0-9]{1,15})?$"
_PLAIN_LONG: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,25})?$"
_GLANCE: Final = 100
_LARGEST: Final = Decimal("9" * (numbers.LAKE_PRECISION - numbers.LAKE_SCALE) + "." + "9" * numbers.LAKE_SCALE)


class Role(StrEnum):
    """What a column of a lake file is for. Only attributes are hashed, rendered and listed."""

    ATTRIBUTE = "attribute"  # the text that came in
    CONVENIENCE = "convenience"  # an attribute's value as a number or a time, for engines and BI tools
    PRIVATE = "private"  # what Counterfoil keeps for itself


def text_name(column: Column) -> str:
    """Return the lake column that holds the exact text of an attribute."""
    return column.name if column.type in (Type.TEXT, Type.FLAG) else column.name + TEXT_SUFFIX


def lake_schema(kind: Kind, *, digests: bool = True) -> pa.Schema:
    """Return the columns of a lake file: as in the table of columns, then `Extra`; every one may be null.

    With `digests`, the SHA-256 of each line item comes last. The schema's metadata describes every column.
    """
    fields: list[pa.Field] = []
    described: dict[str, dict[str, object]] = {}
    for column in table_of(kind).columns:
        if (typed := _TYPED.get(column.type)) is not None:
            fields.append(pa.field(column.name, typed))
            described[column.name] = {"role": Role.CONVENIENCE, "of": column.name}
        fields.append(pa.field(text_name(column), pa.string()))
        described[text_name(column)] = {"role": Role.ATTRIBUTE, **_described(column)}
    fields.append(pa.field(EXTRA, pa.string()))
    described[EXTRA] = {"role": Role.ATTRIBUTE, "name": EXTRA}
    if digests:
        fields.append(pa.field(DIGEST, pa.binary(32)))
        described[DIGEST] = {"role": Role.PRIVATE}
    document = {"form": FORM, "kind": kind.value, "columns": described}
    return pa.schema(fields, metadata={_METADATA_KEY: json.dumps(document)})


def columns_of(schema: pa.Schema, kind: Kind) -> tuple[Column, ...]:
    """Return the attributes that a lake file was written with, in its order, as its own schema describes them.

    They may differ from today's table: a file of an older or newer version has other columns. Without a description
    (the file was written by something else) they are those of today's table that are there. Raises ValueError for a
    description that is damaged.
    """
    described = _description(schema)
    if not described:
        return tuple(column for column in table_of(kind).columns if text_name(column) in schema.names)
    try:
        return tuple(
            _column(each)
            for name, each in described.items()
            if each["role"] == Role.ATTRIBUTE and name != EXTRA and name in schema.names
        )
    except (KeyError, TypeError) as error:
        raise ValueError(_UNDESCRIBED) from error


def is_described(schema: pa.Schema) -> bool:
    """Tell whether a file describes its columns as a lake file does; raises ValueError for a damaged description."""
    return bool(_description(schema))


def _description(schema: pa.Schema) -> dict[str, Any]:
    try:
        told = json.loads((schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    except (ValueError, RecursionError) as error:
        raise ValueError(_UNDESCRIBED) from error
    described = told.get("columns", {}) if isinstance(told, dict) else None
    if not isinstance(described, dict):
        raise ValueError(_UNDESCRIBED)  # noqa: TRY004 - of the file, not of an argument
    return described


def _described(column: Column) -> dict[str, object]:
    members = msgspec.to_builtins(column)
    return {name: members[name] for name in _DESCRIBED}


def _column(described: dict[str, Any]) -> Column:
    codecs, types = {codec.value for codec in Codec}, {type_.value for type_ in Type}
    return Column(
        name=str(described["name"]),
        type=Type(described["type"]) if described["type"] in types else Type.TEXT,
        basic=described["basic"],
        graph=described["graph"],
        v1=described["v1"],
        codec=Codec(described["codec"]) if described["codec"] in codecs else Codec.SAME,  # of a newer version
    )


def text_schema(kind: Kind) -> pa.Schema:
    """Return the columns that `batch_to_lake` takes: one of text for each attribute, then `Extra`."""
    names = [column.name for column in table_of(kind).columns]
    return pa.schema([pa.field(name, pa.string()) for name in (*names, EXTRA)])


def batch_to_lake(kind: Kind, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, int]]:
    """Return the lake's form of a batch of text columns, and how many decimals of each number had to be rounded.

    The columns are found by name; one that is missing is null throughout, and one that the lake does not know is
    an error. Dictionaries of text are welcome. Only numbers with a rounded value are in the counts.
    """
    given, names = set(batch.schema.names), text_schema(kind).names
    assert given.issubset(names), f"not columns of {kind}: {sorted(given.difference(names))}"
    absent = pa.nulls(batch.num_rows, pa.string())
    texts = [batch.column(name) if name in given else absent for name in names]
    arrays, inexact = lake_arrays(kind, [_plain_text(each) for each in texts])
    return pa.RecordBatch.from_arrays(arrays, schema=lake_schema(kind, digests=False)), inexact


def lake_arrays(
    kind: Kind, texts: Sequence[pa.Array], decimals: Callable[[pa.Array], tuple[pa.Array, int]] | None = None
) -> tuple[list[pa.Array], dict[str, int]]:
    """Return the lake's columns for columns of text as `text_schema` orders them, and how many decimals were rounded.

    Dictionaries of text stay dictionaries. `decimals` may be a quicker twin of `decimals_of`.
    """
    convert = decimals or decimals_of
    columns = table_of(kind).columns
    dates = [given for column, given in zip(columns, texts, strict=False) if column.type is Type.DATE]
    moments = iter(moments_of(dates))
    arrays: list[pa.Array] = []
    inexact: dict[str, int] = {}
    for column, given in zip(columns, texts, strict=False):
        if column.type is Type.NUMBER:
            numbers_, rounded = convert(given)
            arrays.append(numbers_)
            if rounded:
                inexact[column.name] = rounded
        elif column.type is Type.DATE:
            arrays.append(next(moments))
        arrays.append(given)
    arrays.append(texts[-1])
    return arrays, inexact


def moments_of(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Return columns of ISO 8601 dates as moments in UTC, to the microsecond (what is finer is cut off).

    A text without an offset is taken for UTC. Anything but a date becomes null.
    """
    if not columns:
        return []
    encoded = [each if pa.types.is_dictionary(each.type) else each.dictionary_encode() for each in columns]
    # All at once, because each call into Arrow takes as long as some hundred dates.
    moments = _moments(pa.concat_arrays([each.dictionary for each in encoded]))
    begins = accumulate((len(each.dictionary) for each in encoded), initial=0)
    return [
        moments.slice(begin, len(each.dictionary)).take(each.indices)
        for begin, each in zip(begins, encoded, strict=False)
    ]


def _moments(texts: pa.StringArray) -> pa.Array:
    # Arrow takes a twentieth of the time, and is as strict where dates are of this form.
    if _all(pc.match_substring_regex(texts, _USUAL_MOMENT)):
        with suppress(pa.ArrowInvalid):
            empty = pc.equal(pc.binary_length(texts), 0)
            return pc.if_else(empty, pa.scalar(None, pa.string()), texts).cast(MOMENT)
    return pa.array([_moment(text) for text in texts.to_pylist()], MOMENT)


def _moment(text: str | None) -> datetime | None:
    try:
        read = datetime.fromisoformat(_FINER.sub("", (text or "").upper()))
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def decimals_of(texts: pa.Array) -> tuple[pa.Array, int]:
    """Return checked number texts as DECIMAL(28,15), and how many were rounded. Null and '' become null."""
    if pa.types.is_dictionary(texts.type):
        decimals, rounded = _convert(_plain_text(texts.dictionary))
        decimals = decimals.take(texts.indices)
        rounded = rounded.take(texts.indices) if rounded is not None else None
    else:
        decimals, rounded = _convert(_plain_text(texts))
    return decimals, 0 if rounded is None else int(pc.sum(rounded).as_py() or 0)


def _plain_text(texts: pa.Array) -> pa.Array:
    return texts if texts.type == pa.string() else texts.cast(pa.string())


def _convert(texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return the decimals, and which were rounded (None for none); three ways, the cheapest that is exact."""
    # Most columns with long numbers show it at once, and looking at all is dear.
    if all(_all(pc.match_substring_regex(some, _PLAIN)) for some in (texts.slice(0, _GLANCE), texts)):
        return texts.cast(DECIMAL), None
    plain = pc.match_substring_regex(texts, _PLAIN_LONG)
    if _all(plain):
        return _round(texts)
    nothing = pa.scalar(None, pa.string())
    decimals, rounded = _round(pc.if_else(plain, texts, nothing))
    odd_decimals, odd_rounded = _one_by_one(pc.if_else(plain, nothing, texts))
    return pc.coalesce(decimals, odd_decimals), pc.coalesce(rounded, odd_rounded)


def _all(found: pa.Array) -> bool:
    return bool(pc.all(found, min_count=0).as_py())  # nulls are skipped


def _round(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    value = texts.cast(_ROOMY)
    nearest = pc.round(value, numbers.LAKE_SCALE, "half_to_even")
    return nearest.cast(DECIMAL), pc.not_equal(value, nearest)


def _one_by_one(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    encoded = texts.dictionary_encode()
    decimals: list[Decimal | None] = []
    rounded: list[bool | None] = []
    for text in encoded.dictionary.to_pylist():
        value, inexact = numbers.for_lake(text) if text else (None, None)
        if value is not None and value.copy_abs() > _LARGEST:
            value = _LARGEST.copy_sign(value)  # the nearest that the type can hold
        decimals.append(value)
        rounded.append(inexact)
    return (
        pa.array(decimals, DECIMAL).take(encoded.indices),
        pa.array(rounded, pa.bool_()).take(encoded.indices),
    )
