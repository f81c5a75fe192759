"""The lake's schema, and the one conversion from texts to it: publishing and pulling write the very same columns.

Line items arrive as columns of *text*. In the lake a number has two columns: `<Name>Text`, the text as it came
in, and `<Name>`, the same value as DECIMAL(28,15) for engines and BI tools. What a newcomer would get wrong: the
decimal is a convenience, half-even rounded where 15 decimals do not do; sums and proofs use the text.

The conversion here takes texts that were checked (`numbers.why_not_a_number`). It is exact by construction: plain
digits are cast by Arrow, everything else goes through `numbers.for_lake`. Arrow's own parser must never see an
exponent: `1E-999999999` crashes the whole process (pyarrow 26.0.1).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil import numbers
from counterfoil.columns import EXTRA, Type, table_of
from counterfoil.model import Kind

TEXT_SUFFIX: Final = "Text"
DECIMAL: Final = pa.decimal128(numbers.LAKE_PRECISION, numbers.LAKE_SCALE)

# 13 digits before the point and 25 after fill 128 bits: room to round in, enough for every source we know of. Only
# 12 may be used: rounding may carry into the 13th, and Arrow's round overflows in silence.
_ROOMY: Final = pa.decimal128(38, 25)
_PLAIN: Final = r"^-?[0-9]{1,13}(\.[0-9]{1,15})?$"
_PLAIN_LONG: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,25})?$"
_LARGEST: Final = Decimal("9" * (numbers.LAKE_PRECISION - numbers.LAKE_SCALE) + "." + "9" * numbers.LAKE_SCALE)


def lake_schema(kind: Kind) -> pa.Schema:
    """Return the columns of a lake file: as in the table of columns, then `Extra`; every one may be null."""
    fields: list[pa.Field] = []
    for column in table_of(kind).columns:
        if column.type is Type.NUMBER:
            fields.append(pa.field(column.name, DECIMAL))
            fields.append(pa.field(column.name + TEXT_SUFFIX, pa.string()))
        else:
            fields.append(pa.field(column.name, pa.string()))
    fields.append(pa.field(EXTRA, pa.string()))
    return pa.schema(fields)


def text_schema(kind: Kind) -> pa.Schema:
    """Return the columns that `batch_to_lake` takes: one of text for each attribute, then `Extra`."""
    names = [column.name for column in table_of(kind).columns]
    return pa.schema([pa.field(name, pa.string()) for name in (*names, EXTRA)])


def batch_to_lake(kind: Kind, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[str, int]]:
    """Return the lake's form of a batch of text columns, and how many decimals of each number had to be rounded.

    The columns are found by name; one that is missing is null throughout, and one that the lake does not know is
    an error. Dictionaries of text are welcome. Only numbers with a rounded value are in the counts.
    """
    given = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
    unknown = set(given) - set(text_schema(kind).names)
    assert not unknown, f"not columns of {kind}: {sorted(unknown)}"
    absent = pa.nulls(batch.num_rows, pa.string())
    arrays: list[pa.Array] = []
    inexact: dict[str, int] = {}
    for column in table_of(kind).columns:
        texts = given.get(column.name, absent)
        if column.type is Type.NUMBER:
            decimals, rounded = decimals_of(texts)
            arrays.append(decimals)
            if rounded:
                inexact[column.name] = rounded
        arrays.append(_plain_text(texts))
    arrays.append(_plain_text(given.get(EXTRA, absent)))
    return pa.RecordBatch.from_arrays(arrays, schema=lake_schema(kind)), inexact


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
    if _all(pc.match_substring_regex(texts, _PLAIN)):
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
