"""The kernel that writes line items as JSON, following a plan: see `counterfoil.datasets.render`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import BYTES, LONGS, TABLE, WORDS, kernel, part, several
from counterfoil.datasets.kernels.grammar import BACKSLASH, QUOTE, first_of, special_bits

# A step of a plan: which column; how to write it; then where in the literals, and how long, are what comes before it
# and what stands for it when it is null, and when it is empty. A length of NOT: then nothing at all is written.
COLUMN, STYLE, PREFIX, PREFIX_LENGTH, NULL, NULL_LENGTH, EMPTY, EMPTY_LENGTH = range(8)
BARE, QUOTED, LITERAL = range(3)  # as it stands; as a JSON text; only what comes before
NOT: Final = -1
AS_OTHERS: Final = -2  # an empty value is written like any other

_ESCAPE_SIZE_BYTES_MAX: Final = 6  # \u001F
_SLACK: Final = 32


@part
def _put_literal(literals: Any, start: Any, length: Any, out: Any, at: Any) -> Any:
    for place in range(0, length, 8):
        out[at + place] = literals[start + place]
    return at + length


@part
def _put_escape(sign: Any, out: Any, at: Any) -> Any:
    out[at] = BACKSLASH
    if sign in (QUOTE, BACKSLASH):
        out[at + 1] = sign
    elif sign == 0x08:
        out[at + 1] = 0x62
    elif sign == 0x09:
        out[at + 1] = 0x74
    elif sign == 0x0A:
        out[at + 1] = 0x6E
    elif sign == 0x0C:
        out[at + 1] = 0x66
    elif sign == 0x0D:
        out[at + 1] = 0x72
    else:
        out[at + 1] = 0x75
        out[at + 2] = 0x30
        out[at + 3] = 0x30
        out[at + 4] = 0x30 + (sign >> 4)
        low = sign & 15
        out[at + 5] = low + (0x30 if low < 10 else 0x37)
        return at + _ESCAPE_SIZE_BYTES_MAX
    return at + 2


@part
def _put_quoted(text: Any, words: Any, start: Any, length: Any, out: Any, out_words: Any, at: Any) -> Any:
    out[at] = QUOTE
    at += 1
    while length > 0:
        word = words[start]
        out_words[at] = word
        bits = special_bits(word)
        plain = first_of(bits) if bits else np.int64(8)
        if plain >= min(length, 8):
            plain = min(length, np.int64(8))
            start, length, at = start + plain, length - plain, at + plain
        else:
            at = _put_escape(text[start + plain], out, at + plain)
            start, length = start + plain + 1, length - plain - 1
    out[at] = QUOTE
    return at + 1


@part
def _put_value(
    text: Any, words: Any, start: Any, length: Any, step: Any, literals: Any, out: Any, out_words: Any, at: Any
) -> Any:
    """Write what one step of a plan says of a value that is not left out."""
    at = _put_literal(literals, step[PREFIX], np.int64(step[PREFIX_LENGTH]), out_words, at)
    if step[STYLE] == LITERAL:
        return at
    if start < 0:
        return _put_literal(literals, step[NULL], np.int64(step[NULL_LENGTH]), out_words, at)
    if length == 0 and step[EMPTY_LENGTH] >= 0:
        return _put_literal(literals, step[EMPTY], np.int64(step[EMPTY_LENGTH]), out_words, at)
    if step[STYLE] == QUOTED:
        return _put_quoted(text, words, start, length, out, out_words, at)
    for place in range(0, length, 8):
        out_words[at + place] = words[start + place]
    return at + length


@kernel(several(types.int64, types.int64), BYTES, WORDS, TABLE, TABLE, types.int64, TABLE, WORDS, BYTES, WORDS, LONGS)
def render_rows(
    text: Any,
    words: Any,
    starts: Any,
    lengths: Any,
    row: Any,
    plan: Any,
    literals: Any,
    out: Any,
    out_words: Any,
    ends: Any,
) -> Any:
    """Write line items from `row` on, as many as `out` has room for; `ends` tells where each one ends.

    Returns the row to go on with and how much was written. The values hold no escapes of their own.
    """
    at = np.int64(0)
    while row < len(starts):
        begin = at
        for number in range(len(plan)):
            step = plan[number]
            start = length = np.int64(0)
            if step[STYLE] != LITERAL:
                start, length = np.int64(starts[row, step[COLUMN]]), np.int64(lengths[row, step[COLUMN]])
            if start < 0 and step[NULL_LENGTH] == NOT:
                continue
            worst = step[PREFIX_LENGTH] + _ESCAPE_SIZE_BYTES_MAX * length + _SLACK
            if at + worst > len(out_words):
                return row, begin
            at = _put_value(text, words, start, length, step, literals, out, out_words, at)
        ends[row] = at
        row += 1
    return row, at
