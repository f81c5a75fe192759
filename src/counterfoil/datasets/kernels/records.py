"""The kernels that turn line items into records and back: see `counterfoil.datasets.records` for what a record is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import BYTES, INTEGERS, TABLE, WORDS, copy_words, kernel, part
from counterfoil.datasets.kernels.grammar import first_of, nul_bits
from counterfoil.datasets.kernels.lines import NULL


@kernel(types.none, WORDS, TABLE, TABLE, types.int64, BYTES, WORDS, INTEGERS, INTEGERS)
def pack_records(
    words: Any, starts: Any, lengths: Any, columns: Any, out: Any, out_words: Any, offsets: Any, sizes: Any
) -> None:
    """Write one record for each line item; `sizes` tells how much of each is the canonical form."""
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


@kernel(types.none, BYTES, WORDS, INTEGERS, types.int64, TABLE, TABLE)
def locate_values(text: Any, words: Any, offsets: Any, columns: Any, starts: Any, lengths: Any) -> None:
    """Note where the values lie in records."""
    for row in range(len(offsets) - 1):
        at = np.int64(offsets[row])
        for column in range(columns):
            end = _past_nul(words, at)
            starts[row, column], lengths[row, column] = at, end - at
            at = end + 1
        for place in range(at, offsets[row + 1]):
            starts[row, text[place] - 1] = NULL  # its length is 0 already: what is null is empty in the canonical form
