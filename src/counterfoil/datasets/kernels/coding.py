"""The kernels that turn values into codes of a dictionary and back: see `counterfoil.datasets.dictionary`.

An entry holds the texts of a group of columns, each followed by U+0000, which no text holds. A table of *slots* finds
an entry by its hash. The hash begins with a secret number, so that nobody can write a file whose entries all fall into
one slot.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from counterfoil.datasets.kernels.compiled import (
    BYTES,
    INTEGERS,
    LONG,
    LONGS,
    NOTHING,
    TABLE,
    WORD,
    WORDS,
    copy_words,
    inner_part,
    kernel,
    part,
    several,
)
from counterfoil.datasets.kernels.grammar import end_mask, first_of, nul_bits
from counterfoil.datasets.kernels.signatures import Elements

HASHES = Elements(WORD)
# Words, and where in them each row's value of each column starts, and its length.
VALUES = several(WORDS, TABLE, TABLE)
# The texts of all entries, the same as words, where each ends (the first number is 0), a bit for each null, the hashes,
# the slots, and how many entries there are.
DICTIONARY = several(BYTES, WORDS, INTEGERS, LONGS, HASHES, INTEGERS, LONGS)
MARGIN: Final = 32  # so much room behind the last text a copy may use
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_EIGHT: Final = np.uint64(8)
_SEVEN: Final = np.uint64(7)
_ONE: Final = np.uint64(1)
_FOLD: Final = np.uint64(31)
_HALF: Final = np.uint64(32)
_LAST_BYTE: Final = np.uint64(0xFF)


@inner_part
def _hash(words: Any, starts: Any, lengths: Any, row: Any, first: Any, last: Any, seed: Any) -> Any:
    """Hash one row's values in the columns from `first` to before `last`, their lengths and which are null."""
    total, factor = seed, seed | _ONE
    column = first
    while column < last:
        start, length = np.int64(starts[row, column]), np.uint64(lengths[row, column])
        column += _ONE
        factor += _STEP
        if start < 0:
            total += factor
            continue
        total += (length + _EIGHT) * factor
        place, full = np.uint64(start), np.uint64(start) + (length & ~_SEVEN)
        while place < full:
            word = words[place]
            factor += _STEP
            total += (word ^ (word >> _FOLD)) * factor
            place += _EIGHT
        word = words[place] & end_mask(length)
        factor += _STEP
        total += (word ^ (word >> _FOLD)) * factor
    total = (total ^ (total >> _HALF)) * _STEP
    return total ^ (total >> _HALF)


@inner_part
def _is_entry(words: Any, starts: Any, lengths: Any, row: Any, first: Any, last: Any, entries: Any, at: Any) -> Any:
    """Tell whether the entry at this place holds a row's values; its size and nulls are known to be right."""
    place, column, alike = np.uint64(at), first, True
    while alike and column < last:
        start = np.int64(starts[row, column])
        length = np.uint64(lengths[row, column]) if start >= 0 else np.uint64(0)
        source = np.uint64(start) if start >= 0 else np.uint64(0)
        column += _ONE
        end = place + (length & ~_SEVEN)
        while place < end and words[source] == entries[place]:
            source += _EIGHT
            place += _EIGHT
        # The U+0000 behind the text is compared too.
        mask = end_mask(length)
        alike = place == end and (words[source] & mask) == (entries[place] & ((mask << _EIGHT) | _LAST_BYTE))
        place += (length & _SEVEN) + _ONE
    return alike


@inner_part
def _measure(starts: Any, lengths: Any, row: Any, first: Any, last: Any) -> Any:
    """Return what one row's values take as an entry, and a bit for each that is null."""
    size, nulls, bit, column = np.int64(last - first), np.uint64(0), _ONE, first
    while column < last:
        if starts[row, column] < 0:
            nulls |= bit
        else:
            size += lengths[row, column]
        bit <<= _ONE
        column += _ONE
    return size, nulls


@inner_part
def _put(
    words: Any, starts: Any, lengths: Any, row: Any, first: Any, last: Any, text: Any, entries: Any, at: Any
) -> Any:
    """Write one row's values as an entry; returns where it ends."""
    column = first
    while column < last:
        if starts[row, column] >= 0:
            at = copy_words(words, np.int64(starts[row, column]), np.int64(lengths[row, column]), entries, at)
        text[np.uint64(at)] = 0
        at += 1
        column += _ONE
    return at


@kernel(LONG, VALUES, LONG, WORD, WORD, WORD, DICTIONARY, INTEGERS, INTEGERS, INTEGERS, LONGS)
def code_rows(
    values: Any,
    row: Any,
    first: Any,
    last: Any,
    seed: Any,
    dictionary: Any,
    passages: Any,
    known_codes: Any,
    codes: Any,
    sizes: Any,
) -> Any:
    """Write the code of each row's values in some columns, from `row` on, adding entries that are new.

    What the values take is added to `sizes`. Returns the row at which there was no more room for an entry. Without
    slots every row gets an entry of its own.
    """
    words, starts, lengths = values
    text, entries, ends, nulls, hashes, slots, counts = dictionary
    count, at = np.uint64(counts[0]), np.int64(ends[counts[0]])
    looks_up, mask = len(slots) > 0, np.uint64(len(slots) - 1)
    while row < len(codes):
        here = np.uint64(row)
        passage = np.int64(passages[here]) if len(passages) > 0 else np.int64(-1)
        if passage >= 0 and known_codes[np.uint64(passage)] >= 0:
            code = np.uint64(known_codes[np.uint64(passage)])
            codes[here] = code
            sizes[here] += ends[code + _ONE] - ends[code]
            row += 1
            continue
        size, null = _measure(starts, lengths, here, first, last)
        if at + size + MARGIN > len(text) or count >= len(nulls) or (looks_up and 2 * count >= len(slots)):
            break
        code = np.uint64(0)  # of an entry, and one more: none yet
        if looks_up:
            value = _hash(words, starts, lengths, here, first, last, seed)
            slot = value & mask
            code = np.uint64(slots[slot])
            while code > 0:
                known = code - _ONE
                alike = hashes[known] == value and np.uint64(nulls[known]) == null and ends[code] - ends[known] == size
                if alike and _is_entry(words, starts, lengths, here, first, last, entries, ends[known]):
                    break
                slot = (slot + _ONE) & mask
                code = np.uint64(slots[slot])
            if code == 0:
                hashes[count], slots[slot] = value, count + _ONE
        if code == 0:
            at = _put(words, starts, lengths, here, first, last, text, entries, at)
            nulls[count] = null
            count += _ONE
            ends[count] = at
            code = count
        codes[here] = code - _ONE
        if passage >= 0:
            known_codes[np.uint64(passage)] = code - _ONE
        sizes[here] += size
        row += 1
    counts[0] = count
    return row


@kernel(NOTHING, HASHES, INTEGERS)
def fill_slots(hashes: Any, slots: Any) -> None:
    """Put entries into empty slots by their hashes."""
    mask = np.uint64(len(slots) - 1)
    for code in range(len(hashes)):
        slot = hashes[code] & mask
        while slots[slot] > 0:
            slot = (slot + _ONE) & mask
        slots[slot] = code + 1


@kernel(LONG, INTEGERS, INTEGERS, INTEGERS, INTEGERS)
def renumber(codes: Any, seen: Any, renumbered: Any, distinct: Any) -> Any:
    """Number codes by their first appearance; `distinct` gets the old codes in that order. Returns how many.

    `seen` has room for every code and holds -1 throughout, before and after.
    """
    count = np.int64(0)
    for row in range(len(codes)):
        code = np.uint64(codes[row])
        number = seen[code]
        if number < 0:
            number = count
            seen[code] = number
            distinct[count] = codes[row]
            count += 1
        renumbered[row] = number
    for number in range(count):
        seen[np.uint64(distinct[number])] = -1
    return count


@kernel(NOTHING, WORDS, INTEGERS, INTEGERS, WORDS, INTEGERS)
def copy_entries(entries: Any, ends: Any, chosen: Any, out: Any, out_ends: Any) -> None:
    """Copy the texts of some entries."""
    at = np.int64(0)
    for number in range(len(chosen)):
        code = np.uint64(chosen[number])
        begin = np.int64(ends[code])
        at = copy_words(entries, begin, np.int64(ends[code + _ONE]) - begin, out, at)
        out_ends[number + 1] = at


@part
def _past_nul(words: Any, at: Any) -> Any:
    while True:
        bits = nul_bits(words[np.uint64(at)])
        if bits:
            return at + first_of(bits)
        at += 8


@kernel(NOTHING, WORDS, INTEGERS, LONGS, TABLE, TABLE)
def locate_values(entries: Any, ends: Any, nulls: Any, starts: Any, lengths: Any) -> None:
    """Note where each column's value is in the entries of a group; a null starts below zero."""
    for row in range(len(starts)):
        at = np.int64(ends[row])
        for column in range(starts.shape[1]):
            end = _past_nul(entries, at)
            starts[row, column], lengths[row, column] = at, end - at
            if nulls[row] >> column & 1:
                starts[row, column] = -2
            at = end + 1


@kernel(LONG, WORDS, LONGS, LONGS, TABLE, LONG, WORDS, LONGS)
def join_pieces(pieces: Any, places: Any, bases: Any, codes: Any, row: Any, out: Any, ends: Any) -> Any:
    """Write for each row from `row` on the pieces of its codes, one of each group; returns where room ran out.

    Piece `bases[group] + code` lies in `pieces` from the place of that number to the next.
    """
    at = np.int64(0)
    while row < codes.shape[1]:
        size = np.int64(0)
        for group in range(len(codes)):
            piece = np.uint64(bases[group] + codes[group, row])
            size += places[piece + _ONE] - places[piece]
        if at + size + MARGIN > len(out):
            break
        for group in range(len(codes)):
            piece = np.uint64(bases[group] + codes[group, row])
            at = copy_words(pieces, places[piece], places[piece + _ONE] - places[piece], out, at)
        ends[row] = at
        row += 1
    return row
