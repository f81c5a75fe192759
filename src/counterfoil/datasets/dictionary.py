"""Dictionaries: of a group of columns that change together, each combination of values once, by number.

A million line items have some ten thousand combinations, so a line item is a number for each group in place of a
kilobyte of text. Where nothing repeats a dictionary stops looking: then each line item gets an entry of its own, and
the dictionary is no more than the place where its texts are.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

import numpy as np

from counterfoil.columns import Column
from counterfoil.datasets import kernels
from counterfoil.datasets.value_spans import PADDING, Text, ValueSpans

_COLUMNS_MAX: Final = 60  # of a group: whether each is null is one bit of 64
_ENTRIES: Final = 1 << 10  # there is room for so many at first
_TEXT_SIZE_BYTES: Final = 1 << 14
_LOOKED_UP_ROWS: Final = 1 << 14  # after so many it is known whether values repeat
_NO_PASSAGES: Final = np.zeros(0, dtype=np.int32)
_ENTRY_SIZE_BYTES: Final = 24  # what an entry takes beside its text


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that change together, as numbers; `repeats` is false for one whose values hardly do."""

    columns: range
    repeats: bool = True


def groups_of(columns: Sequence[Column], *, together: bool = False) -> tuple[Group, ...]:
    """Return the groups that some columns and, behind them, `Extra` fall into.

    `together`: as few groups as there can be, for line items so few that looking for what repeats takes longer.
    """
    begins = [
        number
        for number, column in enumerate(columns)
        if number == 0 or (not together and (column.group or column.alone or columns[number - 1].alone))
    ]
    begins = [place for begin, end in pairwise([*begins, len(columns)]) for place in range(begin, end, _COLUMNS_MAX)]
    spans = [range(begin, end) for begin, end in pairwise([*begins, len(columns), len(columns) + 1])]
    return tuple(Group(span, span[0] == len(columns) or not (together or columns[span[0]].alone)) for span in spans)


@dataclass(frozen=True, slots=True)
class Entries:
    """Some entries of one group: their texts, where each ends (the first number is 0), and a bit for each null."""

    text: np.ndarray  # with PADDING behind the last
    ends: np.ndarray
    nulls: np.ndarray
    _found: ValueSpans | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.nulls)

    @property
    def size_bytes(self) -> int:
        """How much memory they take."""
        return int(self.ends[-1]) + _ENTRY_SIZE_BYTES * len(self.nulls)

    def texts(self, code: int) -> list[bytes]:
        """Return the texts of one entry, and an empty one behind them."""
        return self.text[self.ends[code] : self.ends[code + 1]].tobytes().split(b"\0")

    def spans(self, columns: int) -> ValueSpans:
        """Look at the values in each of the group's columns; what is found once is not looked for again."""
        if self._found is None:
            object.__setattr__(self, "_found", self._spans(columns))
        assert self._found is not None
        return self._found

    def _spans(self, columns: int) -> ValueSpans:
        shape = (len(self), columns)
        starts, lengths = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int32)
        text = Text(self.text)
        text.size_bytes = int(self.ends[-1])
        kernels.coding.locate_values(text.words, self.ends, self.nulls, starts, lengths)
        return ValueSpans(text, starts, lengths)

    def chosen(self, codes: np.ndarray) -> Self:
        """Copy some entries, in this order."""
        size_bytes = int((self.ends[codes + 1] - self.ends[codes]).sum(dtype=np.int64))
        text = np.empty(size_bytes + PADDING, dtype=np.uint8)
        ends = np.zeros(len(codes) + 1, dtype=np.int32)
        words_of = kernels.compiled.words_of
        kernels.coding.copy_entries(words_of(self.text), self.ends, codes, words_of(text), ends)
        text[ends[-1] :] = 0
        return type(self)(text, ends, self.nulls[codes])


class Dictionary:
    """A dictionary of one group, which is only added to. `entries` are good until the next are."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._seed = secrets.randbits(64)
        self._text = np.empty(_TEXT_SIZE_BYTES, dtype=np.uint8)
        self._ends = np.zeros(_ENTRIES + 1, dtype=np.int32)
        self._nulls = np.empty(_ENTRIES, dtype=np.int64)
        self._hashes = np.empty(_ENTRIES, dtype=np.uint64)
        self._slots = np.zeros(2 * _ENTRIES if group.repeats else 0, dtype=np.int32)
        self._counts = np.zeros(1, dtype=np.int64)
        self._seen = np.full(_ENTRIES, -1, dtype=np.int32)
        self._known = np.zeros(0, dtype=np.int32)
        self._numbering: object = None
        self._rows = 0
        self._moved()
        self._update()

    def _moved(self) -> None:
        """Tell kernels where everything is."""
        words = kernels.compiled.words_of(self._text)
        mine = self._text, words, self._ends, self._nulls, self._hashes, self._slots, self._counts
        self._mine = kernels.coding.DICTIONARY.packed(mine)

    def _update(self) -> None:
        count = int(self._counts[0])
        self.entries = Entries(self._text, self._ends[: count + 1], self._nulls[:count])

    def __len__(self) -> int:
        return len(self.entries)

    def renumbered(self, codes: np.ndarray) -> tuple[np.ndarray, Entries]:
        """Return codes by first appearance, and copies of the entries that they are of."""
        if not self.group.repeats:  # each has an entry of its own
            return np.arange(len(codes), dtype=np.int32), self.entries.chosen(codes)
        if len(self._seen) < len(self):
            self._seen = np.full(2 * len(self), -1, dtype=np.int32)
        renumbered, distinct = np.empty_like(codes), np.empty_like(codes)
        count = kernels.coding.renumber(codes, self._seen, renumbered, distinct)
        return renumbered, self.entries.chosen(distinct[:count])

    def code(self, items: ValueSpans, first: int, codes: np.ndarray, sizes: np.ndarray) -> None:
        """Write each row's code into `codes`, and add to `sizes` what its values take; the group begins at `first`."""
        before, row = len(self), 0
        last = first + len(self.group.columns)
        passages = items.passages.numbers.get(first, _NO_PASSAGES) if len(self._slots) else _NO_PASSAGES
        self._know(items.passages.numbering, int(passages.max(initial=-1)))
        while True:
            values = items.text.words, items.starts, items.lengths
            row = kernels.coding.code_rows(
                values, row, first, last, self._seed, self._mine, passages, self._known, codes, sizes
            )
            if row == len(codes):
                break
            has_value = items.starts[row, first:last] >= 0
            self._grow(int(items.lengths[row, first:last][has_value].sum()))
        self._rows += len(codes)
        self._update()
        if len(self._slots) and self._rows > _LOOKED_UP_ROWS and len(self) - before > len(codes) // 8 * 7:
            self._slots = np.zeros(0, dtype=np.int32)
            self._moved()

    def _know(self, numbering: object, number: int) -> None:
        """Make room for the code of the passage of that number."""
        if numbering is not self._numbering:
            self._numbering = numbering
            self._known[:] = -1
        if number >= len(self._known):
            known = np.full(2 * number + _ENTRIES, -1, dtype=np.int32)
            known[: len(self._known)] = self._known
            self._known = known

    def clear(self) -> None:
        """Forget all entries, but keep the memory."""
        self._counts[0], self._rows, self._numbering = 0, 0, None
        self._update()
        if self.group.repeats:
            self._slots = np.zeros(max(2 * _ENTRIES, len(self._slots)), dtype=np.int32)
            self._moved()

    def _grow(self, wanted_bytes: int) -> None:
        """Make room for an entry of so many bytes and many more."""
        count = int(self._counts[0])
        used = int(self._ends[count])
        wanted = used + wanted_bytes + len(self.group.columns) + PADDING
        if wanted > len(self._text):
            self._text = _larger(self._text, used, max(2 * len(self._text), wanted))
        if count == len(self._nulls):
            self._ends = _larger(self._ends, count + 1, 2 * count + 1)
            self._nulls = _larger(self._nulls, count, 2 * count)
            self._hashes = _larger(self._hashes, count, 2 * count)
        if 2 * count >= len(self._slots) > 0:
            self._slots = np.zeros(4 * len(self._slots), dtype=np.int32)
            kernels.coding.fill_slots(self._hashes[:count], self._slots)
        self._moved()


def _larger(array: np.ndarray, used: int, size: int) -> np.ndarray:
    larger = np.empty(size, dtype=array.dtype)
    larger[:used] = array[:used]
    return larger
