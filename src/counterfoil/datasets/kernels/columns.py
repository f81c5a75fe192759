"""The kernel that copies values out of lines, column by column, into the buffers of Arrow's text arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import BYTES, TABLE, WORDS, kernel, part
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


@kernel(types.none, BYTES, WORDS, types.int64, TABLE, TABLE, BYTES, WORDS, TABLE, types.uint8[:, ::1], TABLE)
def gather_columns(
    text: Any,
    words: Any,
    rows: Any,
    starts: Any,
    lengths: Any,
    out: Any,
    out_words: Any,
    offsets: Any,
    valid: Any,
    found: Any,
) -> None:
    """Copy the values of the first `rows` rows into `out`.

    `offsets` and `valid` (bits, all zero before) become Arrow's, one row for each column. `found` tells of each
    column where it begins in `out`, where it ends, how many nulls it has, and all flags of its lengths together.
    """
    at = np.int64(0)
    for column in range(len(offsets)):
        begin, nulls, flags = at, np.int64(0), np.int32(0)
        for row in range(rows):
            offsets[column, row] = at - begin
            start, length = np.int64(starts[row, column]), lengths[row, column]
            if start < 0:
                nulls += 1
                continue
            valid[column, row >> 3] |= np.uint8(1 << (row & 7))
            flags |= length
            if length & ESCAPED:
                at = _unescape(text, start, length & LENGTH, out, at)
                continue
            length &= LENGTH
            for place in range(0, length, 8):  # up to seven bytes too many, which the next value overwrites
                out_words[at + place] = words[start + place]
            at += length
        offsets[column, rows] = at - begin
        found[column, 0], found[column, 1], found[column, 2], found[column, 3] = begin, at, nulls, flags
        at = (at + _SLOT_SIZE_BYTES - 1) // _SLOT_SIZE_BYTES * _SLOT_SIZE_BYTES
