"""The grammar of values, as parts of kernels: where a text, a number or a list ends, and whether a date is one.

Each is narrower than the rules in `values`, or as wide, and returns -1 where it is not certain.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import inner_part, part

QUOTE, BACKSLASH, COLON, COMMA = 0x22, 0x5C, 0x3A, 0x2C
_ONES: Final = np.uint64(0x0101010101010101)
HIGHS: Final = np.uint64(0x8080808080808080)
_QUOTES: Final = np.uint64(0x2222222222222222)
_BACKSLASHES: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES: Final = np.uint64(0x2020202020202020)
_TOP_BYTE: Final = np.uint64(56)
_ONE: Final = np.uint64(1)
_THREE: Final = np.uint64(3)
_SEVEN: Final = np.uint64(7)
FOUR_BYTES: Final = np.uint64(0xFFFFFFFF)
NULL_WORD, _TRUE, _ALSE = (np.uint64(int.from_bytes(word, "little")) for word in (b"null", b"true", b"alse"))
WHOLE_DIGITS_MAX: Final = 13  # below 1e13; with the limits below, at most 60 characters: numbers.why_not_a_number
_DECIMALS_MAX: Final = 40


@part
def sign_at(text: Any, at: Any) -> Any:
    """Return one byte. An unsigned index lets numba skip the check for a negative index."""
    return text[np.uint64(at)]


@inner_part
def end_mask(length: Any) -> Any:
    """Return what keeps those bytes of a text's last word that belong to it; none where its words are full."""
    return (_ONE << ((length & _SEVEN) << _THREE)) - _ONE


@part
def special_bits(word: Any) -> Any:
    """Return eight bytes' top bits, set (up to the first one that is) at a quote, backslash or control character."""
    quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
    found = (quote - _ONES) & ~quote | (backslash - _ONES) & ~backslash | (word - _SPACES) & ~word
    return found & HIGHS


@part
def nul_bits(word: Any) -> Any:
    """The same for U+0000."""
    return (word - _ONES) & ~word & HIGHS


@part
def first_of(bits: Any) -> Any:
    """Return the place of the first top bit set; there must be one."""
    # Below the top of byte n there are n ones at multiples of eight and one more; a product adds them up.
    below = (bits - _ONE) & ~bits & _ONES
    return np.int64((below * _ONES) >> _TOP_BYTE) - 1


@part
def past_text(words: Any, at: Any) -> Any:
    """Find the next quote, backslash or control character."""
    while True:
        bits = special_bits(words[np.uint64(at)])
        if bits:
            return at + first_of(bits)
        at += 8


@part
def hex_unit(text: Any, at: Any) -> Any:
    """Return the number that four hexadecimal digits make, or -1."""
    value = np.int64(0)
    for place in range(at, at + 4):
        digit = np.int64(text[place])
        if 48 <= digit <= 57:
            value = value * 16 + digit - 48
        elif 65 <= digit <= 70 or 97 <= digit <= 102:
            value = value * 16 + (digit & 7) + 9
        else:
            return np.int64(-1)
    return value


@part
def past_escapes(text: Any, words: Any, at: Any) -> Any:
    """From a text's first escape, find its closing quote; -1 if it holds what no store keeps."""
    while text[at] == BACKSLASH:
        sign = text[at + 1]
        if sign == 0x75:
            unit = hex_unit(text, at + 2)
            if unit <= 0 or 0xDC00 <= unit <= 0xDFFF:
                return np.int64(-1)
            at += 6
            if 0xD800 <= unit < 0xDC00:
                if text[at] != BACKSLASH or text[at + 1] != 0x75 or not 0xDC00 <= hex_unit(text, at + 2) <= 0xDFFF:
                    return np.int64(-1)
                at += 6
        elif sign in (0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74):
            at += 2
        else:
            return np.int64(-1)
        at = past_text(words, at)
    return at if text[at] == QUOTE else np.int64(-1)


@part
def _put(text: Any, at: Any, point: Any) -> Any:
    """Write one character as UTF-8."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | point >> 6
        text[at + 1] = 0x80 | point & 0x3F
        return at + 2
    if point < 0x10000:
        text[at] = 0xE0 | point >> 12
        text[at + 1] = 0x80 | point >> 6 & 0x3F
        text[at + 2] = 0x80 | point & 0x3F
        return at + 3
    text[at] = 0xF0 | point >> 18
    text[at + 1] = 0x80 | point >> 12 & 0x3F
    text[at + 2] = 0x80 | point >> 6 & 0x3F
    text[at + 3] = 0x80 | point & 0x3F
    return at + 4


@part
def unescape(text: Any, start: Any, end: Any) -> Any:
    """Replace the escapes of a text, which were found to be good, in its place; returns where it ends now."""
    at = start
    while start < end:
        sign = text[start]
        if sign != BACKSLASH:
            text[at] = sign
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
            at = _put(text, at, point)
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
        text[at] = sign
        at += 1
    return at


@part
def past_space(text: Any, at: Any, separator: Any) -> Any:
    """Find the next character that is not white space; the separator of lines does not count as white space."""
    while sign_at(text, at) <= 0x20:
        sign = sign_at(text, at)
        if sign == separator or sign not in (0x20, 0x09, 0x0D, 0x0A):
            break
        at += 1
    return at


@part
def past_digits(text: Any, at: Any) -> Any:
    """Find the next character that is not a digit."""
    while 48 <= sign_at(text, at) <= 57:
        at += 1
    return at


@part
def past_number(text: Any, at: Any, whole_digits_max: Any) -> Any:
    """Find the end of a number in plain digits, or with a small negative exponent; -1 for any other."""
    whole = at + (sign_at(text, at) == 0x2D)
    end = past_digits(text, whole)
    if end == whole or end - whole > whole_digits_max or (sign_at(text, whole) == 48 and end - whole > 1):
        return np.int64(-1)
    if sign_at(text, end) == 0x2E:
        decimals = end + 1
        end = past_digits(text, decimals)
        if not 1 <= end - decimals <= _DECIMALS_MAX:
            return np.int64(-1)
    if sign_at(text, end) | 0x20 == 0x65:
        exponent = end + 2
        end = past_digits(text, exponent)
        # E-39 at most: the value gets smaller, and has at most 79 decimals.
        if sign_at(text, exponent - 1) != 0x2D or not (
            end - exponent == 1 or (end - exponent == 2 and sign_at(text, exponent) <= 51)
        ):
            return np.int64(-1)
    return end


@part
def _two(text: Any, at: Any) -> Any:
    """Return the number that two digits make, or one too large for any part of a date."""
    tens, ones = np.int64(text[at]) - 48, np.int64(text[at + 1]) - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else np.int64(1_000_000)


@part
def is_date(text: Any, at: Any, end: Any) -> Any:
    """Whether this certainly is an ISO 8601 date of the calendar: dates.why_not_a_date."""
    length = end - at
    if length < 10 or text[at + 4] != 0x2D or text[at + 7] != 0x2D:
        return False
    year, month, day = _two(text, at) * 100 + _two(text, at + 2), _two(text, at + 5), _two(text, at + 8)
    last = 30 if month in (4, 6, 9, 11) else 31
    if month == 2:
        last = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= last):
        return False
    if length == 10:
        return True
    if length < 19 or text[at + 10] not in (0x54, 0x74, 0x20) or text[at + 13] != COLON or text[at + 16] != COLON:
        return False
    if _two(text, at + 11) > 23 or _two(text, at + 14) > 59 or _two(text, at + 17) > 59:
        return False
    at += 19
    if text[at] == 0x2E:
        decimals = past_digits(text, at + 1) - at - 1
        if not 1 <= decimals <= 9:
            return False
        at += 1 + decimals
    if at == end or (at + 1 == end and text[at] | 0x20 == 0x7A):
        return True
    offset = at + 6 == end and text[at] in (0x2B, 0x2D) and text[at + 3] == COLON
    return offset and _two(text, at + 1) <= 23 and _two(text, at + 4) <= 59


@part
def past_list(words: Any, text: Any, at: Any) -> Any:
    """Find the end of an array of texts without escapes or white space, because it is stored unchanged; else -1."""
    at += 1
    if text[at] == 0x5D:
        return at + 1
    while text[at] == QUOTE:
        at = past_text(words, at + 1)
        if text[at] != QUOTE:
            break
        at += 2
        if text[at - 1] == 0x5D:
            return at
        if text[at - 1] != COMMA:
            break
    return np.int64(-1)


@part
def past_object(words: Any, text: Any, at: Any, separator: Any) -> Any:
    """Find the end of an object of one text (v1's `attributes`) without escapes; -1 for any other."""
    for sign in (0x7B, COLON):
        at = past_space(text, at, separator)
        if text[at] != sign:
            return np.int64(-1)
        at = past_space(text, at + 1, separator)
        if text[at] != QUOTE:
            return np.int64(-1)
        at = past_text(words, at + 1)
        if text[at] != QUOTE:
            return np.int64(-1)
        at += 1
    at = past_space(text, at, separator)
    return at + 1 if text[at] == 0x7D else np.int64(-1)


@part
def word(words: Any, at: Any) -> Any:
    """Return the length of null, true or false, whichever is here, or 0."""
    letters = words[at] & FOUR_BYTES
    if letters in (NULL_WORD, _TRUE):
        return 4
    return 5 if words[at] & np.uint64(0xFF) == np.uint64(0x66) and words[at + 1] & FOUR_BYTES == _ALSE else 0
