"""The kernel that copies values out of lines, column by column, into the buffers of Arrow's text arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import (
    BYTES,
    INTEGERS,
    LONGS,
    TABLE,
    WORDS,
    copy_words,
    inner_part,
    kernel,
    part,
)
from counterfoil.datasets.kernels.grammar import BACKSLASH, hex_unit
from counterfoil.datasets.kernels.lines import ESCAPED, LENGTH


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


@inner_part
def put_text(text: Any, words: Any, start: Any, length: Any, out: Any, out_words: Any, at: Any) -> Any:
    """Copy a value, whose length may bear flags; returns where the copy ends. May write fifteen bytes too many."""
    if length & ESCAPED:
        at = _unescape(text, start, length & LENGTH, out, at)
    else:
        at = copy_words(words, start, length & LENGTH, out_words, at)
    return at


@kernel(types.none, TABLE, TABLE, INTEGERS, LONGS)
def add_sizes(starts: Any, lengths: Any, columns: Any, sizes: Any) -> None:
    """Add up the most that the values of some columns may take."""
    for row in range(len(starts)):
        for number in range(len(columns)):
            if starts[row, columns[number]] >= 0:
                sizes[number] += lengths[row, columns[number]] & LENGTH


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
    """Copy the values of some columns into `out`.

    `offsets` and `valid` (bits, all ones before) become Arrow's, one row for each column. `found` tells of each
    column where it begins in `out` and where it ends, which is given as well, and how many nulls it has.
    """
    # Row by row, though every column has its own place to be written to: values of a row lie close together.
    for row in range(len(starts)):
        for number in range(len(columns)):
            at = np.int64(found[number, 1])
            offsets[number, row] = at - found[number, 0]
            start = np.int64(starts[row, columns[number]])
            if start < 0:
                found[number, 2] += 1
                valid[number, row >> 3] ^= np.uint8(1 << (row & 7))
            else:
                length = np.int64(lengths[row, columns[number]])
                found[number, 1] = put_text(text, words, start, length, out, out_words, at)
    for number in range(len(columns)):
        offsets[number, len(starts)] = found[number, 1] - found[number, 0]
