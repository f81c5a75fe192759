"""The kernels that turn line items into what is hashed: see `counterfoil.datasets.digest`."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterfoil.datasets.kernels.compiled import (
    BYTES,
    INTEGERS,
    NOTHING,
    TABLE,
    WORD_TABLE,
    WORDS,
    copy_words,
    kernel,
)


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
    blocks: Any,
) -> None:
    """Write the canonical form of each line item: a digest of its names (`names[row]` says which), then its texts.

    Each is padded to blocks of 64 bytes as SHA-256 wants it; `blocks` gets the number of the block that each begins at.
    """
    at = np.int64(0)
    for row in range(len(starts)):
        begin = at
        blocks[row] = at >> 6
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
        bits, end = (at - begin) << 3, (at + 9 + 63) & ~63
        out[at] = 0x80
        at += 1
        while at < end:
            out_words[np.uint64(at)] = 0
            at += 8
        at = end
        for place in range(1, 6):
            out[at - place] = bits & 0xFF
            bits >>= 8
    blocks[len(starts)] = at >> 6
