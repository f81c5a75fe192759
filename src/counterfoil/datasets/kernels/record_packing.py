"""The kernels that turn line items into records and back (see `records`), and into what is hashed (see `digest`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterfoil.datasets.kernels.compiled import (
    BYTES,
    INTEGERS,
    LONG,
    NOTHING,
    TABLE,
    WORD_TABLE,
    WORDS,
    copy_words,
    kernel,
    part,
)
from counterfoil.datasets.kernels.grammar import first_of, nul_bits
from counterfoil.datasets.kernels.lines import NULL


@kernel(NOTHING, WORDS, TABLE, TABLE, LONG, BYTES, WORDS, INTEGERS, INTEGERS)
def pack_records(
    words: Any, starts: Any, lengths: Any, columns: Any, out: Any, out_words: Any, offsets: Any, sizes: Any
) -> None:
    """Write one record for each line item; `sizes` says how much of each are its texts."""
    at = np.int64(0)
    for row in range(len(starts)):
        offsets[row] = at
        nulls = False
        for column in range(columns):
            start = np.int64(starts[row, column])
            if start < 0:
                nulls = True
            else:
                at = copy_words(words, start, np.int64(lengths[row, column]), out_words, at)
            out[at] = 0
            at += 1
        sizes[row] = at - 1 - offsets[row]
        if nulls:
            for column in range(columns):
                if starts[row, column] < 0:
                    out[at] = column + 1
                    at += 1
    offsets[len(starts)] = at


@part
def _past_nul(words: Any, at: Any) -> Any:
    while True:
        bits = nul_bits(words[np.uint64(at)])
        if bits:
            return at + first_of(bits)
        at += 8


@kernel(NOTHING, BYTES, WORDS, INTEGERS, LONG, TABLE, TABLE)
def locate_values(text: Any, words: Any, offsets: Any, columns: Any, starts: Any, lengths: Any) -> None:
    """Note where the values are in records."""
    for row in range(len(offsets) - 1):
        at = np.int64(offsets[row])
        for column in range(columns):
            end = _past_nul(words, at)
            starts[row, column], lengths[row, column] = at, end - at
            at = end + 1
        for place in range(at, offsets[row + 1]):
            starts[row, text[place] - 1] = NULL  # its length is 0 already


@kernel(NOTHING, TABLE, TABLE, INTEGERS, WORD_TABLE)
def mark_present(starts: Any, lengths: Any, order: Any, present: Any) -> None:
    """Set one bit for each attribute that has a value, in the order of `order`; `present` holds zeros before."""
    for row in range(len(starts)):
        for number in range(len(order)):
            column = np.uint64(order[number])
            if starts[np.uint64(row), column] >= 0 and lengths[np.uint64(row), column] > 0:
                present[row, number >> 6] |= np.uint64(1) << np.uint64(number & 63)


@kernel(NOTHING, WORDS, TABLE, TABLE, INTEGERS, INTEGERS, WORD_TABLE, BYTES, WORDS, INTEGERS)
def write_canonical_forms(
    words: Any,
    starts: Any,
    lengths: Any,
    order: Any,
    names: Any,
    names_digests: Any,
    out: Any,
    out_words: Any,
    offsets: Any,
) -> None:
    """Write the canonical form of each line item: a digest of its names (`names[row]` says which), then its texts."""
    at = np.int64(0)
    for row in range(len(starts)):
        offsets[row] = at
        for word in range(4):
            out_words[np.uint64(at)] = names_digests[names[row], word]
            at += 8
        first = True
        for number in range(len(order)):
            column = np.uint64(order[number])
            start, length = np.int64(starts[np.uint64(row), column]), np.int64(lengths[np.uint64(row), column])
            if start >= 0 and length > 0:
                if not first:
                    out[at] = 0
                    at += 1
                first = False
                at = copy_words(words, start, length, out_words, at)
    offsets[len(starts)] = at
