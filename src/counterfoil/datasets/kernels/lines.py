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
    inner_part,
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
    word,
)
from counterfoil.datasets.kernels.passages import (
    LAST_KEY,
    LONGEST,
    NOT_MET,
    PASSAGES,
    UNKNOWN,
    WITH_ESCAPES,
    end_passage,
    find_passage,
    take_passage,
)

# The keys' spellings, their lengths, slots and kinds, the table to look them up in, and which followed which.
KEYS = several(WORD_TABLE, INTEGERS, INTEGERS, INTEGERS, INTEGERS, INTEGERS)

# What a key says of its value.
TEXT, NUMBER, DATE, FLAG, RATE, DIGITS, RESELLER, LIST, CONSTANT = range(9)

ABSENT: Final = -1  # starts[row, slot] of an attribute that has no value
NULL: Final = -2  # ... and of one that is null, or an empty number, date or flag
FROM_RATE: Final = 1 << 30  # in lengths[row, slot]: the number is a v1 rate, to be stored as a percentage
_ALL_BITS: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
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
        return end + 1, start, (end - start) | WITH_ESCAPES
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


@inner_part
def _past_key(text: Any, words: Any, at: Any, separator: Any, keys: Any, before: Any, guess: Any) -> Any:
    """Read the key at this place; returns it and where its value begins, or -1 for one not known so spelled."""
    spelled, key_lengths, _, _, table, following = keys
    key = guess
    if guess >= 0 and _is_key(words, at, spelled, guess, np.int64(key_lengths[np.uint64(guess)])):
        at += key_lengths[np.uint64(guess)]
    else:
        key, at = _find_key(text, words, at, separator, spelled, key_lengths, table)
        if key >= 0:
            following[np.uint64(before)] = key
    return key, at


@inner_part
def _past_value(text: Any, words: Any, at: Any, kind: Any, separator: Any) -> Any:
    """Read a value: where it ends (-1 for doubt), where it starts (or NULL), and its length."""
    if sign_at(text, at) == QUOTE:
        end, start, length = _quoted(text, words, at, kind)
    elif words[np.uint64(at)] & FOUR_BYTES == NULL_WORD:
        end, start, length = at + 4, np.int64(NULL), np.int64(0)
    else:
        end, start, length = _bare(text, words, at, kind, separator)
    return end, start, length


@inner_part
def _expected_after(key: Any, separator: Any, keys: Any) -> Any:
    """Return the word that is expected behind the value of a group's last key, and a mask for it."""
    spelled, key_lengths, _, _, _, following = keys
    after, word, size = np.int64(following[np.uint64(key)]), np.uint64(separator), np.uint64(1)
    if after >= 0:
        word, size = spelled[np.uint64(after), np.uint64(0)], np.uint64(key_lengths[np.uint64(after)])
    return word, _ALL_BITS >> (np.uint64(64) - (min(size, np.uint64(8)) << np.uint64(3)))


@inner_part
def _next_passage(
    words: Any,
    at: Any,
    size: Any,
    separator: Any,
    key: Any,
    reading: Any,
    row: Any,
    numbers: Any,
    keys: Any,
    passages: Any,
) -> Any:
    """Find a passage that probably begins with this key; returns its group, its place (0: not known), and its size."""
    _, _, slots, _, _, _ = keys
    groups, facts, _, _, _ = passages
    group, place, length = np.int64(-1), np.uint64(0), np.int64(0)
    if key >= 0:
        group = np.int64(groups[np.uint64(slots[np.uint64(key)])])
    known = np.uint64(group)
    if group >= 0 and group != reading and numbers[known, row] == NOT_MET and facts[known, LONGEST] > 0:
        word, mask = _expected_after(facts[known, LAST_KEY], separator, keys)
        place, length = find_passage(words, at, size, known, word, mask, passages)
    return known, place, length


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
    _, key_lengths, slots, kinds, _, following = keys
    groups, facts, _, _, _ = passages
    starts[row, :] = ABSENT
    numbers[:, row] = NOT_MET
    key = np.int64(len(key_lengths))  # means "before the first"
    # The passage that is being read: its group, where it begins, and whether it is the group's first in this line.
    reading, begin, whole = np.int64(-1), at, False
    sign = 0x7B
    while sign_at(text, at) == sign:
        at = past_space(text, at + 1, separator)
        before, key, sign = key, np.int64(following[np.uint64(key)]), COMMA
        group, place, length = _next_passage(words, at, size, separator, key, reading, row, numbers, keys, passages)
        while place > 0:
            end_passage(text, words, begin, at, reading, before, row, starts, lengths, numbers, whole, passages)
            ends_line = take_passage(words, place, at, group, row, starts, lengths, numbers, passages)
            reading, at = np.int64(-1), at + length
            if ends_line:
                return at
            before = np.int64(facts[group, LAST_KEY])
            key = np.int64(following[np.uint64(before)])
            group, place, length = _next_passage(words, at, size, separator, key, reading, row, numbers, keys, passages)
        member = at
        key, at = _past_key(text, words, at, separator, keys, before, key)
        slot = np.uint64(slots[np.uint64(max(key, 0))])
        if key < 0 or starts[row, slot] != ABSENT:  # unknown, or given twice
            return -1 - at
        if groups[slot] != reading:
            end_passage(text, words, begin, member, reading, before, row, starts, lengths, numbers, whole, passages)
            reading, begin = np.int64(groups[slot]), member
            if reading >= 0:
                whole = bool(numbers[np.uint64(reading), row] == NOT_MET)
                numbers[np.uint64(reading), row] = UNKNOWN
        at = past_space(text, at, separator)
        end, start, length = _past_value(text, words, at, kinds[np.uint64(key)], separator)
        if end < 0:
            return -1 - at
        starts[row, slot], lengths[row, slot] = start, length
        at = past_space(text, end, separator)
    if sign_at(text, at) != 0x7D or sign != COMMA:
        return -1 - at
    at = past_space(text, at + 1, separator)
    if sign_at(text, at) == separator:
        end_passage(text, words, begin, at, reading, key, row, starts, lengths, numbers, whole, passages)
    return at


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
            at = _past_item(
                text, words, at, size, separator, keys, passages, np.uint64(count), starts, lengths, numbers
            )
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
