"""The kernel that writes line items as JSON, following a plan: see `counterfoil.datasets.render`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import (
    BYTES,
    LONG,
    LONGS,
    TABLE,
    WORDS,
    copy_words,
    inner_part,
    kernel,
    part,
    several,
)
from counterfoil.datasets.kernels.grammar import BACKSLASH, HIGHS, QUOTE, first_of, special_bits

# A step of a plan: which column; how to write it; then where in the literals, and how long, are what comes before it
# and what is written when it is null, and when it is empty. A length of NOT: then nothing at all is written.
COLUMN, STYLE, PREFIX, PREFIX_LENGTH, NULL, NULL_LENGTH, EMPTY, EMPTY_LENGTH = range(8)
BARE, QUOTED, LITERAL = range(3)  # unchanged; as a JSON text; only what comes before
NOT: Final = -1
AS_OTHERS: Final = -2  # an empty value is written like any other

_ESCAPE_SIZE_BYTES_MAX: Final = 6  # \u001F


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
def _line_break_size(text: Any, at: Any) -> Any:
    """Return how many bytes U+0085, U+2028 or U+2029 take here; 0 for any other character.

    JSON allows them, but Python's `splitlines` and some clients' line readers break lines there.
    """
    if text[at] == 0xC2 and text[at + 1] == 0x85:
        return np.int64(2)
    if text[at] == 0xE2 and text[at + 1] == 0x80 and text[at + 2] in (0xA8, 0xA9):
        return np.int64(3)
    return np.int64(0)


@part
def _put_line_break(last: Any, out: Any, at: Any) -> Any:
    r"""Write \u0085, \u2028 or \u2029; the last byte says which."""
    out[at] = BACKSLASH
    out[at + 1] = 0x75
    out[at + 2] = 0x30 if last == 0x85 else 0x32
    out[at + 3] = 0x30
    out[at + 4] = 0x38 if last == 0x85 else 0x32
    out[at + 5] = 0x35 if last == 0x85 else 0x38 + (last & 1)
    return at + _ESCAPE_SIZE_BYTES_MAX


@inner_part
def _put_quoted(text: Any, words: Any, start: Any, length: Any, out: Any, out_words: Any, at: Any) -> Any:
    out[at] = QUOTE
    at += 1
    while length > 0:
        word = words[np.uint64(start)]
        out_words[np.uint64(at)] = word
        bits = special_bits(word) | (word & HIGHS)
        plain = first_of(bits) if bits else np.int64(8)
        if plain >= min(length, 8):
            plain = min(length, np.int64(8))
            start, length, at = start + plain, length - plain, at + plain
        elif text[start + plain] >= 0x80:
            size = _line_break_size(text, start + plain)
            if size:
                at = _put_line_break(text[start + plain + size - 1], out, at + plain)
                start, length = start + plain + size, length - plain - size
            else:
                start, length, at = start + plain + 1, length - plain - 1, at + plain + 1
        else:
            at = _put_escape(text[start + plain], out, at + plain)
            start, length = start + plain + 1, length - plain - 1
    out[at] = QUOTE
    return at + 1


@inner_part
def _most(lengths: Any, row: Any) -> Any:
    """Return more than the values of a row can take."""
    total = np.int64(0)
    for column in range(lengths.shape[1]):
        total += lengths[row, column]
    return _ESCAPE_SIZE_BYTES_MAX * total


@kernel(
    several(LONG, LONG),
    BYTES,
    WORDS,
    TABLE,
    TABLE,
    LONG,
    TABLE,
    WORDS,
    LONG,
    BYTES,
    WORDS,
    LONGS,
)
def render_rows(
    text: Any,
    words: Any,
    starts: Any,
    lengths: Any,
    row: Any,
    plan: Any,
    literals: Any,
    fixed: Any,
    out: Any,
    out_words: Any,
    ends: Any,
) -> Any:
    """Write line items from `row` on, as many as `out` has room for; `ends` says where each one ends.

    Returns the row to go on with and how much was written. `fixed` is more than a plan's literals can take. The
    values hold no escapes of their own, and have a length of 0 where there are none.
    """
    at = np.int64(0)
    while row < len(starts) and at + fixed + _most(lengths, row) < len(out_words):
        for number in range(len(plan)):
            style = plan[number, STYLE]
            start, length = np.int64(starts[row, plan[number, COLUMN]]), np.int64(lengths[row, plan[number, COLUMN]])
            if style != LITERAL and start < 0 and plan[number, NULL_LENGTH] == NOT:
                continue
            at = copy_words(literals, plan[number, PREFIX], np.int64(plan[number, PREFIX_LENGTH]), out_words, at)
            if style == LITERAL:
                continue
            if start < 0:
                at = copy_words(literals, plan[number, NULL], np.int64(plan[number, NULL_LENGTH]), out_words, at)
            elif length == 0 and plan[number, EMPTY_LENGTH] != AS_OTHERS:
                at = copy_words(literals, plan[number, EMPTY], np.int64(plan[number, EMPTY_LENGTH]), out_words, at)
            elif style == QUOTED:
                at = _put_quoted(text, words, start, length, out, out_words, at)
            else:
                at = copy_words(words, start, length, out_words, at)
        ends[row] = at
        row += 1
    return row, at
