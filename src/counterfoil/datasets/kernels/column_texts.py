"""The kernel that copies values out of lines, column by column, into the buffers of Arrow's text arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterfoil.datasets.kernels.compiled import BYTE_TABLE, INTEGERS, LONGS, NOTHING, TABLE, WORDS, copy_words, kernel


@kernel(NOTHING, TABLE, TABLE, INTEGERS, LONGS)
def add_sizes(starts: Any, lengths: Any, columns: Any, sizes: Any) -> None:
    """Add up what the values of some columns take."""
    for row in range(len(starts)):
        for number in range(len(columns)):
            if starts[row, columns[number]] >= 0:
                sizes[number] += lengths[row, columns[number]]


@kernel(NOTHING, WORDS, TABLE, TABLE, INTEGERS, WORDS, TABLE, BYTE_TABLE, TABLE)
def gather_columns(
    words: Any, starts: Any, lengths: Any, columns: Any, out: Any, offsets: Any, valid: Any, found: Any
) -> None:
    """Copy the values of some columns into `out`.

    `offsets` and `valid` (bits, all ones before) become Arrow's, one row for each column. `found` gives for each
    column where it begins in `out` and where it ends, which is given as well, and how many nulls it has.
    """
    # Row by row, though every column has its own place to be written to: values of a row are close together.
    for row in range(len(starts)):
        for number in range(len(columns)):
            at = np.int64(found[number, 1])
            offsets[number, row] = at - found[number, 0]
            start = np.int64(starts[row, columns[number]])
            if start < 0:
                found[number, 2] += 1
                valid[number, row >> 3] ^= np.uint8(1 << (row & 7))
            else:
                found[number, 1] = copy_words(words, start, np.int64(lengths[row, columns[number]]), out, at)
    for number in range(len(columns)):
        offsets[number, len(starts)] = found[number, 1] - found[number, 0]
