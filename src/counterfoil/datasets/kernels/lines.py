"""The kernel that walks JSON lines once: checks each, and notes where its values are. Escapes are decoded in place.

It accepts only what the reference in `values` accepts, and leaves every other line in doubt; it never refuses. Most
of its speed comes from guessing: the key that followed this one in the line before mostly follows it again, and then
comparing a few words replaces finding the end of the key and looking it up.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import (
    BYTE,
    BYTES,
    INTEGERS,
    LONG,
    LONGS,
    TABLE,
    WORD_TABLE,
    WORDS,
    kernel,
    part,
    several,
)
from counterfoil.datasets.kernels.grammar import (
    COLON,
    COMMA,
    FOUR_BYTES,
    NULL_WORD,
    QUOTE,
    WHOLE_DIGITS_MAX,
    is_date,
    past_digits,
    past_escapes,
    past_list,
    past_number,
    past_object,
    past_space,
    past_text,
    sign_at,
    unescape,
    word,
)

from counterfoil.datasets.kernels.passages import (
    NOT_MET,
    PASSAGES,
    UNKNOWN,
    find_passage,
    hash_of_first,
    learn_passage,
    take_passage,
)

# The keys' spellings, their lengths, slots and kinds, the table to look them up in, and which followed which.
KEYS = several(WORD_TABLE, INTEGERS, INTEGERS, INTEGERS, INTEGERS, INTEGERS)

# What a key says of its value.
TEXT, NUMBER, DATE, FLAG, RATE, DIGITS, RESELLER, LIST, CONSTANT = range(9)

ABSENT: Final = -1  # starts[row, slot] of an attribute that has no value
NULL: Final = -2  # ... and of one that is null, or an empty number, date or flag
FROM_RATE: Final = 1 << 30  # in lengths[row, slot]: the number is a v1 rate, to be stored as a percentage
_RATE_DIGITS_MAX: Final = WHOLE_DIGITS_MAX - 2  # its percentage has two more: numbers.why_not_a_rate


@part
def _bare(text: Any, words: Any, at: Any, kind: Any, separator: Any) -> Any:
    """Read a value that is neither a text nor null: where it ends (-1 for doubt), starts, and its length."""
    doubt = np.int64(-1)
    if kind == RATE:
        end = past_number(text, at, _RATE_DIGITS_MAX)
        return end, at, (end - at) | FROM_RATE
    if kind == NUMBER:
        end = past_number(text, at, WHOLE_DIGITS_MAX)
        return end, at, end - at
    if kind in (DIGITS, RESELLER):
        end = past_digits(text, at)
        if end == at or (sign_at(text, at) == 48 and end - at > 1):
            return doubt, at, at
        return end, at, (0 if kind == RESELLER and sign_at(text, at) == 48 else end - at)
    if kind == FLAG:
        length = word(words, at)
        return (at + length if length else doubt), at, np.int64(length)
    if kind == LIST and sign_at(text, at) == 0x5B:
        end = past_list(words, text, at)
        return end, at, (0 if end - at == 2 else end - at)
    if kind == CONSTANT:
        if sign_at(text, at) == 0x7B:
            return past_object(words, text, at, separator), at, at
        length = word(words, at)
        return (at + length if length else past_number(text, at, WHOLE_DIGITS_MAX)), at, at
    return doubt, at, at


@part
def _quoted(text: Any, words: Any, at: Any, kind: Any) -> Any:
    """Read a value in quotes: where it ends (-1 for doubt), where it starts (or NULL), and its length."""
    doubt = np.int64(-1)
    start = at + 1
    end = past_text(words, start)
    if sign_at(text, end) != QUOTE:
        end = past_escapes(text, words, end)
        if end < 0 or kind in (NUMBER, RATE, DATE, FLAG, RESELLER):
            return doubt, at, at
        return end + 1, start, unescape(text, start, end) - start
    length = end - start
    if kind in (TEXT, DIGITS, LIST, CONSTANT):
        return end + 1, start, length
    if kind == RESELLER:
        return end + 1, start, (0 if length == 1 and sign_at(text, start) == 48 else length)
    if length == 0:
        return end + 1, np.int64(NULL), length
    if kind == DATE:
        good = is_date(text, start, end)
    elif kind == FLAG:
        good = word(words, start) == length and sign_at(text, start) != 0x6E
    else:
        good = past_number(text, start, _RATE_DIGITS_MAX if kind == RATE else WHOLE_DIGITS_MAX) == end
        length |= FROM_RATE if kind == RATE else 0
    return (end + 1 if good else doubt), start, length


@kernel(LONG, BYTES, LONG, LONG)
def hash_of(text: Any, at: Any, end: Any) -> Any:
    """Hash some bytes, for the table of keys."""
    value = np.uint64(0xCBF29CE484222325)
    for place in range(at, end):
        value = (value ^ np.uint64(text[place])) * np.uint64(0x100000001B3)
    return np.int64((value ^ (value >> np.uint64(29))) & np.uint64(0x7FFFFFFF))


@part
def _is_key(words: Any, at: Any, spelled: Any, key: Any, length: Any) -> Any:
    place = np.int64(0)
    while place + 8 <= length:
        if words[np.uint64(at + place)] != spelled[np.uint64(key), np.uint64(place >> 3)]:
            return False
        place += 8
    if place == length:
        return True
    unused = np.uint64(8 * (8 - (length - place)))
    return (words[np.uint64(at + place)] ^ spelled[np.uint64(key), np.uint64(place >> 3)]) << unused == 0


@part
def _find_key(text: Any, words: Any, at: Any, separator: Any, spelled: Any, key_lengths: Any, table: Any) -> Any:
    """Look up the key at this place; returns it and where its value begins, or -1 for one not known so spelled."""
    if text[at] != QUOTE:
        return np.int64(-1), at
    end = past_text(words, at + 1)
    if text[end] != QUOTE:
        return np.int64(-1), at
    end += 1
    place = hash_of(text, at, end) & (len(table) - 1)
    while table[place] >= 0:
        key = np.int64(table[place])
        if key_lengths[key] - 1 == end - at and _is_key(words, at, spelled, key, end - at):
            end = past_space(text, end, separator)
            if text[end] == COLON:
                return key, end + 1
            break
        place = (place + 1) & (len(table) - 1)
    return np.int64(-1), at


@part
def _past_item(
    text: Any,
    words: Any,
    at: Any,
    size: Any,
    separator: Any,
    keys: Any,
    passages: Any,
    row: Any,
    starts: Any,
    lengths: Any,
    numbers: Any,
) -> Any:
    """Read one line item; returns where it ends, or -1 minus the place where doubt arose."""
    spelled, key_lengths, slots, kinds, table, following = keys
    groups, firsts, hashed, places, memory, _ = passages
    starts[row, :] = ABSENT
    numbers[:, row] = NOT_MET
    key = np.int64(len(key_lengths))  # means "before the first"
    sign = 0x7B
    # The passage that is being read: its group (-1: none), where it begins, and whether it can be remembered.
    reading, begin, plain = np.int64(-1), at, False
    while sign_at(text, at) == sign:
        at += 1
        sign = COMMA
        before, key = key, np.int64(following[np.uint64(key)])
        group = np.int64(groups[np.uint64(slots[np.uint64(key)])]) if key >= 0 else np.int64(-1)
        if group >= 0 and group != reading and numbers[np.uint64(group), np.uint64(row)] == NOT_MET:
            first = np.int64(hashed[np.uint64(group)])
            if first > 0 and at + first < size:
                columns = firsts[np.uint64(group + 1)] - firsts[np.uint64(group)]
                value = hash_of_first(words, at, first, group)
                place = find_passage(words, at, value, columns, places, memory)
                if place > 0:
                    if plain:
                        numbers[reading, row] = learn_passage(
                            words, begin, at, reading, before, row, starts, lengths, passages
                        )
                    length, key = take_passage(
                        place, at, np.uint64(group), np.uint64(row), starts, lengths, numbers, passages
                    )
                    reading, plain, at = np.int64(-1), False, at + length - 1
                    continue
        member, at = at, past_space(text, at, separator)
        if key >= 0 and _is_key(words, at, spelled, key, np.int64(key_lengths[np.uint64(key)])):
            at += key_lengths[np.uint64(key)]
        else:
            key, at = _find_key(text, words, at, separator, spelled, key_lengths, table)
            if key < 0:
                return -1 - at
            following[np.uint64(before)] = key
        slot, kind = np.uint64(slots[np.uint64(key)]), kinds[np.uint64(key)]
        if starts[np.uint64(row), slot] != ABSENT:  # given twice
            return -1 - at
        group = np.int64(groups[slot])
        if group != reading:
            if plain:
                numbers[reading, row] = learn_passage(
                    words, begin, member, reading, before, row, starts, lengths, passages
                )
            reading, begin, plain = group, member, False
            if group >= 0:
                plain = numbers[np.uint64(group), np.uint64(row)] == NOT_MET
                numbers[np.uint64(group), np.uint64(row)] = UNKNOWN
        value_at = at = past_space(text, at, separator)
        if sign_at(text, at) == QUOTE:
            at, start, length = _quoted(text, words, at, kind)
            plain = plain and (at - 1 - start <= length or kind == RESELLER)  # an escape was replaced
        elif words[np.uint64(at)] & FOUR_BYTES == NULL_WORD:
            at, start, length = at + 4, np.int64(NULL), np.int64(0)
        else:
            at, start, length = _bare(text, words, at, kind, separator)
        if at < 0:
            return -1 - value_at
        starts[np.uint64(row), slot], lengths[np.uint64(row), slot] = start, length
        at = past_space(text, at, separator)
    if sign_at(text, at) != 0x7D or sign != COMMA:
        return -1 - at
    if plain:
        numbers[reading, row] = learn_passage(words, begin, at + 1, reading, key, row, starts, lengths, passages)
    return at + 1


@kernel(
    several(*[LONG] * 4),
    BYTES,
    WORDS,
    LONG,
    LONG,
    BYTE,
    KEYS,
    PASSAGES,
    TABLE,
    TABLE,
    TABLE,
    LONGS,
    TABLE,
)
def scan_lines(
    text: Any,
    words: Any,
    at: Any,
    size: Any,
    separator: Any,
    keys: Any,
    passages: Any,
    starts: Any,
    lengths: Any,
    numbers: Any,
    lines: Any,
    doubtful: Any,
) -> Any:
    """Walk lines from `at` to `size`, or until the room for line items or doubtful lines is used up.

    Notes each line item's values in `starts` and `lengths`, for each group the number of the passage that has them all
    in `numbers` (below zero: none), and its line in `lines`; of a doubtful line its number,
    start and end (the text between may have lost escapes). Returns how many of both, how many lines were seen, and
    where it stopped.
    """
    count = doubts = line = np.int64(0)
    while at < size and count < len(starts) and doubts < len(doubtful):
        begin, at = at, past_space(text, at, separator)
        if text[at] != separator:
            at = _past_item(text, words, at, size, separator, keys, passages, count, starts, lengths, numbers)
            sure = at >= 0
            at = past_space(text, at if sure else -1 - at, separator)
            if sure and text[at] == separator:
                lines[count] = line
                count += 1
            else:  # look for the end from here on: an escape replaced before may have become a separator
                while text[at] != separator:
                    at += 1
                doubtful[doubts, 0], doubtful[doubts, 1], doubtful[doubts, 2] = line, begin, at
                doubts += 1
        at += 1
        line += 1
    return count, doubts, line, at
