"""The parts of kernels that recognise passages. A *passage* is all that a line holds of one group of columns.

Columns of a group change together and mostly stand together, so most passages occur in many lines. One that was read
before is only compared, byte for byte: where its values are, and that they are good, is known. It goes from its first
key to the key that follows it, or to the end of the line, so where it ends is found without reading it.

All passages are in one memory of words. Of each it holds its hash; its facts (size, whether it has escapes, whether a
line ends with it, last key, number); for each column of the group where its value starts in the passage, and its
length; its bytes; and, where it has escapes, its bytes with those replaced.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import INTEGERS, LONGS, TABLE, WORDS, copy_words, inner_part, part, several
from counterfoil.datasets.kernels.grammar import QUOTE, end_mask, first_of, unescape

# The group of each column, or -1; what is known of the passages of each group (see SHORTEST); the table to look places
# in the memory up in; the memory; and how much of it is used, and how many passages of each group there are.
PASSAGES = several(INTEGERS, TABLE, INTEGERS, WORDS, LONGS)

# The first column of the group and the one behind it, the sizes of the shortest and the longest passage (0: none yet;
# UNKNOWN: they are not worth remembering), and the last key of the last one.
FIRST, LAST, SHORTEST, LONGEST, LAST_KEY = range(5)

NOT_MET: Final = -1  # numbers[group, row] of a group that the line has not named yet
UNKNOWN: Final = -2  # ... whose values are in no passage that has a number
WITH_ESCAPES: Final = 1 << 29  # in lengths[row, column]: the escapes of the text are not replaced yet
FIRST_PLACE: Final = 8  # 0 means that there is none
ENTRY_SIZE_BYTES_MAX: Final = 1 << 14
_SIZE_BYTES_MAX: Final = 1 << 12  # of a passage
_PROBES: Final = np.uint64(8)
_ONE: Final = np.uint64(1)
_SEVEN: Final = np.uint64(7)
_EIGHT: Final = np.uint64(8)
_SIXTEEN: Final = np.uint64(16)
_FOLD: Final = np.uint64(31)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_SIZE: Final = np.uint64(0x1FFF)
_ENDS_LINE: Final = np.uint64(0x4000)
_ESCAPED: Final = np.uint64(0x8000)
_SIZE_AND_KEY: Final = np.uint64(0xFFFF1FFF)
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


@inner_part
def _padded(size: Any) -> Any:
    return (size + _SEVEN) & ~_SEVEN


@inner_part
def _hash(words: Any, at: Any, size: Any, group: Any) -> Any:
    total = factor = _STEP + (group << _SIXTEEN) + size
    place, end = at, at + (size & ~_SEVEN)
    while place < end:
        word = words[place]
        total += (word ^ (word >> _FOLD)) * factor
        factor += _STEP
        place += _EIGHT
    word = words[place] & end_mask(size)
    total += (word ^ (word >> _FOLD)) * factor
    total = (total ^ (total >> _HALF)) * _STEP
    return total ^ (total >> _HALF)


@inner_part
def _find(words: Any, at: Any, size: Any, key: Any, value: Any, columns: Any, table: Any, memory: Any) -> Any:
    """Return where some bytes of a line are in the memory, with that last key; 0 if they are not there."""
    found, probe, mask = np.uint64(0), np.uint64(0), np.uint64(len(table) - 1)
    while found == 0 and probe < _PROBES:
        place = np.uint64(table[(value + probe) & mask])
        probe += _ONE
        if place == 0:
            break
        if memory[place] == value and memory[place + _EIGHT] & _SIZE_AND_KEY == size | key << _SIXTEEN:
            mine, done, full = place + _SIXTEEN + _EIGHT * columns, np.uint64(0), size & ~_SEVEN
            while done < full and words[at + done] == memory[mine + done]:
                done += _EIGHT
            if done == full and ((words[at + done] ^ memory[mine + done]) & end_mask(size)) == 0:
                found = place
    return found


@inner_part
def _matches(words: Any, at: Any, word: Any, mask: Any) -> Any:
    """Return eight bytes' top bits, set for each place from which on a word is met."""
    bits, top, place = np.uint64(0), np.uint64(0x80), at
    for _ in range(8):
        bits |= top if words[place] & mask == word else np.uint64(0)
        top <<= _EIGHT
        place += _ONE
    return bits


@inner_part
def find_passage(words: Any, at: Any, size: Any, group: Any, next_word: Any, next_mask: Any, passages: Any) -> Any:
    """Return where the passage that begins at this place of a line is in the memory (0: nowhere), and its size.

    The word and the mask are of what follows it.
    """
    _, groups, table, memory, _ = passages
    place = np.uint64(at) + np.uint64(groups[group, SHORTEST])
    end = min(np.uint64(at) + np.uint64(groups[group, LONGEST]), np.uint64(size))
    bits = _matches(words, place, next_word, next_mask)
    while bits == 0 and place < end:
        place += _EIGHT
        bits = _matches(words, place, next_word, next_mask)
    if bits:
        place += np.uint64(first_of(bits))
    found = np.uint64(0)
    if words[place] & next_mask == next_word:
        begin, columns = np.uint64(at), np.uint64(groups[group, LAST] - groups[group, FIRST])
        value = _hash(words, begin, place - begin, group)
        key = np.uint64(groups[group, LAST_KEY])
        found = _find(words, begin, place - begin, key, value, columns, table, memory)
    # The size is not taken from the memory: where the line goes on need not wait for it.
    return found, np.int64(place) - at


@inner_part
def take_passage(
    words: Any, place: Any, at: Any, group: Any, row: Any, starts: Any, lengths: Any, numbers: Any, passages: Any
) -> Any:
    """Note the values of a passage of the memory for a line that has it at this place; returns whether the line ends.

    Escapes in it are replaced.
    """
    _, groups, _, memory, _ = passages
    column, last = np.uint64(groups[group, FIRST]), np.uint64(groups[group, LAST])
    facts, span = memory[place + _EIGHT], place + _SIXTEEN
    numbers[group, row] = facts >> _HALF
    while column < last:
        start = np.int64(memory[span] & _LOW) - 2
        starts[row, column] = start + at if start >= 0 else start
        lengths[row, column] = memory[span] >> _HALF
        span += _EIGHT
        column += _ONE
    if facts & _ESCAPED:
        line, done, mask = np.uint64(at), np.uint64(0), end_mask(facts)
        replaced = span + _padded(facts & _SIZE)
        while done + _EIGHT <= facts & _SIZE:
            words[line + done] = memory[replaced + done]
            done += _EIGHT
        words[line + done] = (words[line + done] & ~mask) | (memory[replaced + done] & mask)
    return facts & _ENDS_LINE != 0


@part
def _place_of(words: Any, begin: Any, size: Any, group: Any, key: Any, passages: Any) -> Any:
    """Return where in the memory a passage is, and whether it is new there; place 0 if it is not to be remembered."""
    _, groups, table, memory, counts = passages
    longest, none = np.int64(groups[group, LONGEST]), np.uint64(0)
    if longest == UNKNOWN or size >= _SIZE_BYTES_MAX or counts[0] + ENTRY_SIZE_BYTES_MAX > len(memory):
        return none, False
    groups[group, SHORTEST] = min(size, np.int64(groups[group, SHORTEST])) if longest > 0 else size
    groups[group, LONGEST], groups[group, LAST_KEY] = max(size, longest), key
    value = _hash(words, np.uint64(begin), np.uint64(size), np.uint64(group))
    columns = np.uint64(groups[group, LAST] - groups[group, FIRST])
    known = _find(words, np.uint64(begin), np.uint64(size), np.uint64(key), value, columns, table, memory)
    if known > 0:
        return known, False
    mask, slot, last = np.uint64(len(table) - 1), value, value + _PROBES
    while slot < last and table[slot & mask] > 0:
        slot += _ONE
    if slot == last:
        return none, False
    place = np.uint64(counts[0])
    table[slot & mask] = counts[0]
    memory[place] = value
    return place, True


@part
def _end(
    text: Any,
    words: Any,
    begin: Any,
    end: Any,
    group: Any,
    key: Any,
    row: Any,
    starts: Any,
    lengths: Any,
    numbers: Any,
    whole: Any,
    passages: Any,
) -> Any:
    """Replace the escapes of a passage that was read, and remember it if it is `whole`: of a group not met before.

    It ends before a quote, or else with its line.
    """
    _, groups, _, memory, counts = passages
    size, first, last = np.uint64(end - begin), np.int64(groups[group, FIRST]), np.int64(groups[group, LAST])
    place, is_new = _place_of(words, begin, end - begin, group, key, passages) if whole else (np.uint64(0), False)
    span, bytes_at = place + _SIXTEEN, place + _SIXTEEN + _EIGHT * np.uint64(last - first)
    if is_new:
        copy_words(words, begin, end - begin, memory, bytes_at)
    kind = np.uint64(0) if text[end] == QUOTE else _ENDS_LINE
    for column in range(first, last):
        start, length = np.int64(starts[row, column]), np.int64(lengths[row, column])
        if start >= 0 and length & WITH_ESCAPES:
            length = unescape(text, start, start + (length & ~WITH_ESCAPES)) - start
            lengths[row, column] = length
            kind |= _ESCAPED
        if is_new:
            memory[span] = np.uint64((start - begin if start >= 0 else start) + 2) | np.uint64(length) << _HALF
            span += _EIGHT
    if is_new:
        bytes_at += _padded(size)
        if kind & _ESCAPED:
            copy_words(words, begin, end - begin, memory, bytes_at)
            bytes_at += _padded(size)
        memory[place + _EIGHT] = size | kind | np.uint64(key) << _SIXTEEN | np.uint64(counts[1 + group]) << _HALF
        counts[0] = bytes_at
        counts[1 + group] += 1
    if place > 0:
        numbers[group, row] = memory[place + _EIGHT] >> _HALF


@inner_part
def end_passage(
    text: Any,
    words: Any,
    begin: Any,
    end: Any,
    group: Any,
    key: Any,
    row: Any,
    starts: Any,
    lengths: Any,
    numbers: Any,
    whole: Any,
    passages: Any,
) -> Any:
    """End the passage that was read, if it was one: its group is not below zero. See `_end`."""
    if group >= 0:
        _end(text, words, begin, end, group, key, row, starts, lengths, numbers, whole, passages)
