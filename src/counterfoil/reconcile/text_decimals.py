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
        held = pc.if_else(pc.match_substring_regex(texts, plain), texts, pa.scalar(None, pa.string()))
        decimals = held.cast(wanted)
    return decimals


def _cast(texts: pa.StringArray, wanted: pa.DataType) -> pa.Array | None:
    """Return all texts as decimals, None where one cannot be."""
    data = texts.buffers()[2]
    held = b"" if data is None else data.to_pybytes()
    if held.find(b"e") >= 0 or held.find(b"E") >= 0:
        return None
    try:
        return texts.cast(wanted)
    except pa.ArrowInvalid:  # more digits than it holds, or no number
        return None
