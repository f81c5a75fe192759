"""The kernel that copies values out of lines, column by column, into the buffers of Arrow's text arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import BYTES, INTEGERS, TABLE, WORDS, kernel, part
from counterfoil.datasets.kernels.grammar import BACKSLASH, hex_unit
from counterfoil.datasets.kernels.lines import ESCAPED, LENGTH

_SLOT_SIZE_BYTES = 64  # columns begin at multiples of it, as Arrow likes


@part
def _put(out: Any, at: Any, point: Any) -> Any:
    """Write one character as UTF-8."""
    if point < 0x80:
        out[at] = point
        return at + 1
    if point < 0x800:
        out[at] = 0xC0 | point >> 6
        out[at + 1] = 0x80 | point & 0x3F
        return at + 2
    if point < 0x10000:
        out[at] = 0xE0 | point >> 12
        out[at + 1] = 0x80 | point >> 6 & 0x3F
        out[at + 2] = 0x80 | point & 0x3F
        return at + 3
    out[at] = 0xF0 | point >> 18
    out[at + 1] = 0x80 | point >> 12 & 0x3F
    out[at + 2] = 0x80 | point >> 6 & 0x3F
    out[at + 3] = 0x80 | point & 0x3F
    return at + 4


@part
def _unescape(text: Any, start: Any, length: Any, out: Any, at: Any) -> Any:
    """Copy a text whose escapes were found to be good."""
    end = start + length
    while start < end:
        sign = text[start]
        if sign != BACKSLASH:
            out[at] = sign
            start, at = start + 1, at + 1
            continue
        sign = text[start + 1]
        start += 2
        if sign == 0x75:
            point = hex_unit(text, start)
            start += 4
            if 0xD800 <= point < 0xDC00:
                point = 0x10000 + ((point - 0xD800) << 10) + hex_unit(text, start + 2) - 0xDC00
                start += 6
            at = _put(out, at, point)
            continue
        if sign == 0x6E:
            sign = np.uint8(0x0A)
        elif sign == 0x74:
            sign = np.uint8(0x09)
        elif sign == 0x72:
            sign = np.uint8(0x0D)
        elif sign == 0x62:
            sign = np.uint8(0x08)
        elif sign == 0x66:
            sign = np.uint8(0x0C)
        out[at] = sign
        at += 1
    return at


@part
def put_text(text: Any, words: Any, start: Any, length: Any, out: Any, out_words: Any, at: Any) -> Any:
    """Copy a value, whose length may bear flags; returns where the copy ends. May write seven bytes too many."""
    if length & ESCAPED:
        return _unescape(text, start, length & LENGTH, out, at)
    length &= LENGTH
    for place in range(0, length, 8):
        out_words[at + place] = words[start + place]
    return at + length


@kernel(types.none, BYTES, WORDS, TABLE, TABLE, INTEGERS, BYTES, WORDS, TABLE, types.uint8[:, ::1], TABLE)
def gather_columns(
    text: Any,
    words: Any,
    starts: Any,
    lengths: Any,
    columns: Any,
    out: Any,
    out_words: Any,
    offsets: Any,
    valid: Any,
    found: Any,
) -> None:
    """Copy the values of some columns into `out`, one column behind the other.

    `offsets` and `valid` (bits, all zero before) become Arrow's, one row for each column. `found` tells of each
    column where it begins in `out`, where it ends, and how many nulls it has.
    """
    at = np.int64(0)
    for number in range(len(columns)):
        column = columns[number]
        begin, nulls = at, np.int64(0)
        for row in range(len(starts)):
            offsets[number, row] = at - begin
            start = np.int64(starts[row, column])
            if start < 0:
                nulls += 1
            else:
                valid[number, row >> 3] |= np.uint8(1 << (row & 7))
                at = put_text(text, words, start, np.int64(lengths[row, column]), out, out_words, at)
        offsets[number, len(starts)] = at - begin
        found[number, 0], found[number, 1], found[number, 2] = begin, at, nulls
        at = (at + _SLOT_SIZE_BYTES - 1) // _SLOT_SIZE_BYTES * _SLOT_SIZE_BYTES
