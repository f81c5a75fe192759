"""Texts of amounts as Arrow decimals, in which nothing is rounded: what a type cannot hold becomes null.

The trap: Arrow's parser crashes the process on `1E-999999999`, so a text with an exponent never reaches it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def decimals_of(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return texts, plain or in a dictionary, as decimals of a type; null for an exponent, or more than it can hold."""
    if pa.types.is_dictionary(texts.type):
        return decimals_of(texts.dictionary.cast(pa.string()), wanted).take(texts.indices)
    decimals = _cast(texts, wanted)
    if decimals is None:
        plain = rf"^-?[0-9]{{1,{wanted.precision - wanted.scale}}}(\.[0-9]{{1,{wanted.scale}}})?$"
        decimals = _only(pc.match_substring_regex(texts, plain), texts).cast(wanted)
    return decimals


def _cast(texts: pa.StringArray, wanted: pa.DataType) -> pa.Array | None:
    """Return the texts as decimals, None where one has an exponent, too many whole digits, or is no number."""
    data = texts.buffers()[2]
    held = b"" if data is None else data.to_pybytes()
    if held.find(b"e") >= 0 or held.find(b"E") >= 0:
        return None
    try:
        return _short(texts, wanted).cast(wanted)
    except pa.ArrowInvalid:
        return None


def _short(texts: pa.StringArray, wanted: pa.DataType) -> pa.StringArray:
    """Return null in place of the texts with more decimals than the type has."""
    point = pc.find_substring(texts, ".")
    decimals = pc.subtract(pc.binary_length(texts), pc.add(point, 1))
    is_long = pc.and_(pc.greater(decimals, wanted.scale), pc.greater_equal(point, 0))
    return _only(pc.invert(is_long), texts) if pc.any(is_long).as_py() else texts


def _only(kept: pa.BooleanArray, texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(kept, texts, pa.scalar(None, pa.string()))
