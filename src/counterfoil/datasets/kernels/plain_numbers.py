"""The kernels that read numbers in plain digits: to add them up exactly, and to make decimals of them.

Both give up on a number written otherwise (with an exponent, mostly); the slow way then takes the whole column.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import FIXED_BYTES, FIXED_INTEGERS, LONG, LONGS, WORD_TABLE, kernel, part

DIGITS: Final = 9  # of a limb; sums of 2**32 limbs fit 64 bits
TEXTS_MAX: Final = 500_000  # so many whole parts certainly fit
SCALE: Final = 15  # of the lake's decimals
_WHOLE_DIGITS_MAX: Final = 13
_LARGEST_WHOLE: Final = 10**_WHOLE_DIGITS_MAX - 1
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_UNIT_LOW: Final = np.uint64(10**SCALE & 0xFFFFFFFF)
_UNIT_HIGH: Final = np.uint64(10**SCALE >> 32)


@part
def _whole(text: Any, at: Any, end: Any) -> Any:
    """Read the digits before the point; returns them, where they end, or -1 if there are too many."""
    value, begin = np.int64(0), at
    while at < end and 48 <= text[at] <= 57:
        value = value * 10 + text[at] - 48
        at += 1
    return value, (at if at - begin <= _WHOLE_DIGITS_MAX and (at == end or text[at] == 0x2E) else np.int64(-1))


@part
def _some_decimals(text: Any, at: Any, end: Any, count: Any) -> Any:
    """Read some decimals as an integer, zeros for those that are not there; -1 for anything but a digit."""
    value = np.int64(0)
    for place in range(at, at + count):
        digit = np.int64(text[place]) - 48 if place < end else np.int64(0)
        if not 0 <= digit <= 9:
            return np.int64(-1)
        value = value * 10 + digit
    return value


@kernel(LONG, FIXED_BYTES, FIXED_INTEGERS, LONGS)
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
        sign = np.int64(-1 if text[at] == 0x2D else 1)
        whole, at = _whole(text, at + (sign < 0), end)
        places = end - at - 1
        if at < 0 or places > DIGITS * (len(sums) - 1):
            return np.int64(-1)
        sums[0] += sign * whole
        for limb in range(1, 1 + (places + DIGITS - 1) // DIGITS):
            value = _some_decimals(text, at + 1 + DIGITS * (limb - 1), end, DIGITS)
            if value < 0:
                return np.int64(-1)
            sums[limb] += sign * value
        places_max = max(places, places_max)
    return places_max


@part
def _times_unit(whole: Any, decimals: Any) -> Any:
    """Return whole * 10**15 + decimals as the low and high half of 128 bits."""
    low, high = np.uint64(whole) & _LOW, np.uint64(whole) >> _HALF
    lowest = low * _UNIT_LOW
    middle = (lowest >> _HALF) + low * _UNIT_HIGH + high * _UNIT_LOW
    total = (middle << _HALF) | (lowest & _LOW)
    carried = total + np.uint64(decimals)
    return carried, high * _UNIT_HIGH + (middle >> _HALF) + (_ONE if carried < total else np.uint64(0))


@kernel(LONG, FIXED_BYTES, FIXED_INTEGERS, WORD_TABLE)
def plain_decimals(text: Any, offsets: Any, out: Any) -> Any:
    """Write texts of numbers as 128-bit decimals, half-even; returns how many were rounded, or -1 to give up."""
    rounded = np.int64(0)
    for number in range(len(offsets) - 1):
        at, end = np.int64(offsets[number]), np.int64(offsets[number + 1])
        if at == end:
            out[number, 0] = out[number, 1] = 0
            continue
        negative = text[at] == 0x2D
        whole, at = _whole(text, at + negative, end)
        decimals = _some_decimals(text, at + 1, end, SCALE)
        if at < 0 or decimals < 0:
            return np.int64(-1)
        if end - at - 1 > SCALE:
            at += 1 + SCALE
            first = np.int64(text[at]) - 48
            rest = False
            for place in range(at, end):
                if not 48 <= text[place] <= 57:
                    return np.int64(-1)
                rest |= place > at and text[place] != 48
            rounded += first > 0 or rest
            decimals += first > 5 or (first == 5 and (rest or decimals & 1 == 1))
            if whole == _LARGEST_WHOLE:  # might have to be cut to the largest there is
                return np.int64(-1)
        low, high = _times_unit(whole, decimals)
        if negative:
            low, high = ~low + _ONE, ~high + (_ONE if low == 0 else np.uint64(0))
        out[number, 0], out[number, 1] = low, high
    return rounded
