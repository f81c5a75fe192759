"""The kernel that adds up numbers exactly, as long as they are in plain digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from counterfoil.datasets.kernels.compiled import BYTES, INTEGERS, LONGS, kernel

DIGITS = 9  # of a limb; sums of 2**32 limbs fit 64 bits
WHOLE_DIGITS_MAX = 18


@kernel(types.int64, BYTES, INTEGERS, LONGS)
def add_plain(text: Any, offsets: Any, sums: Any) -> Any:
    """Add texts of numbers; returns the most decimals that one of them has, or -1 where one is not in plain digits.

    The first sum is of whole parts, the second of the first nine decimals, and so on. An empty text counts for
    nothing.
    """
    places_max = np.int64(0)
    for number in range(len(offsets) - 1):
        at, end = np.int64(offsets[number]), np.int64(offsets[number + 1])
        if at == end:
            continue
        sign = np.int64(1)
        if text[at] == 0x2D:
            sign = np.int64(-1)
            at += 1
        whole, begin = np.int64(0), at
        while at < end and 48 <= text[at] <= 57:
            whole = whole * 10 + text[at] - 48
            at += 1
        if at - begin > WHOLE_DIGITS_MAX:
            return np.int64(-1)
        sums[0] += sign * whole
        if at == end:
            continue
        places = end - at - 1
        if text[at] != 0x2E or places > DIGITS * (len(sums) - 1):
            return np.int64(-1)
        places_max = max(places, places_max)
        for limb in range(1, (places + DIGITS - 1) // DIGITS + 1):
            value = np.int64(0)
            for _ in range(DIGITS):
                at += 1
                digit = np.int64(text[at]) - 48 if at < end else np.int64(0)
                if not 0 <= digit <= 9:
                    return np.int64(-1)
                value = value * 10 + digit
            sums[limb] += sign * value
    return places_max
