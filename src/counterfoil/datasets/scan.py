"""The quick reader of `publish`: compiled kernels find, check and copy the values, without an object for each.

It *accepts* lines of the common forms, and leaves all others to the reference, whose verdict counts. So it may be
narrower than the reference, and never wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from counterfoil import numbers
from counterfoil.columns import EXTRA, Codec, LineItemTable, Spelling, Type
from counterfoil.datasets import kernels
from counterfoil.datasets.dictionary import groups_of
from counterfoil.datasets.kernels import lines as kinds
from counterfoil.datasets.kernels import passages
from counterfoil.datasets.kernels.compiled import is_ready
from counterfoil.datasets.kernels.lines import FROM_RATE, hash_of, scan_lines
from counterfoil.datasets.value_spans import PADDING, Passages, Text, ValueSpans
from counterfoil.line_items.blocks import is_utf8

ROWS_MAX = 8192
KEYS_MAX = 512
_KEY_SIZE_BYTES_MAX = 64
_TABLE_SIZE = 2048
_PASSAGES_MAX = 1 << 16
_PASSAGES_SIZE_BYTES = 16 << 20
_JUDGED_ROWS = 1 << 15  # after so many it is known whether passages repeat
_KINDS = {Type.TEXT: kinds.TEXT, Type.NUMBER: kinds.NUMBER, Type.DATE: kinds.DATE, Type.FLAG: kinds.FLAG}


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one step over some lines found; lines count from 0. Good until the next step."""

    items: ValueSpans  # in the table's columns, then Extra (and what is of no account)
    lines: np.ndarray  # the line of each line item
    doubtful: np.ndarray  # number, start and end of each line that the reference must read


class Scanner:
    """Scans lines of one kind. Knows every usual spelling, and `learn`s others."""

    def __init__(self, table: LineItemTable) -> None:
        self._table = table
        self._slots = _slots_of(table)
        self._rates = [slot for slot, column in enumerate(table.columns) if column.codec is Codec.RATE]
        self._text = Text(np.empty(PADDING, dtype=np.uint8))
        self._keys = _usual_keys(table).copy()
        width = len(self._slots)
        self._starts = np.empty((ROWS_MAX, width), dtype=np.int32)
        self._lengths = np.empty((ROWS_MAX, width), dtype=np.int32)
        self._passages = _Passages(table, width)
        self._lines = np.empty(ROWS_MAX, dtype=np.int64)
        self._doubtful = np.empty((ROWS_MAX, 3), dtype=np.int32)

    @staticmethod
    def is_ready() -> bool:
        """Whether lines can be scanned at once; if not, what scans them is being compiled."""
        return is_ready(hash_of, scan_lines)

    def learn(self, name: str) -> None:
        """Know a key so spelled from now on. A name that means nothing stays unknown."""
        self._keys.learn(self._table, self._slots, name)

    def scan(self, data: bytes | memoryview, separator: bytes) -> Iterator[Scanned]:
        """Scan lines which `separator` parts; they stay as they are. Yields some thousand line items a time."""
        text = self._text
        text.clear()
        text.add(data)
        text.add(separator)
        size = text.size_bytes - 1
        if not is_utf8(text.array[:size]):
            _spoil(text.array[:size], separator)
        at = line = 0
        while at < size:
            rows, doubts, seen, at = scan_lines(
                text.array,
                text.words,
                at,
                size,
                separator[0],
                self._keys.arrays,
                self._passages.arrays,
                self._starts,
                self._lengths,
                self._passages.numbers,
                self._lines,
                self._doubtful,
            )
            items = self._in_percent(ValueSpans(text, self._starts[:rows], self._lengths[:rows]))
            items.passages = self._passages.of(rows)
            yield Scanned(items, self._lines[:rows] + line, self._doubtful[:doubts] + np.array([line, 0, 0]))
            line += seen

    def _in_percent(self, items: ValueSpans) -> ValueSpans:
        """Turn v1's rates into percentages."""
        for column in self._rates:
            lengths = items.lengths[:, column]
            from_rate = (lengths & FROM_RATE != 0) & (items.starts[:, column] >= 0)
            if from_rate.any():
                lengths[from_rate] &= ~FROM_RATE
                items = items.replaced({column: numbers.rate_to_percent}, from_rate)
        return items


class _Passages:
    """The passages that the kernel has met, as it wants them."""

    def __init__(self, table: LineItemTable, width: int) -> None:
        self._groups = groups_of(table.columns)
        groups = np.full(width, -1, dtype=np.int32)
        for number, group in enumerate(self._groups):
            if group.repeats:
                groups[group.columns.start : group.columns.stop] = number
        self._facts = np.zeros((len(self._groups), passages.LAST_KEY + 1), dtype=np.int32)
        self._facts[:, passages.FIRST] = [group.columns.start for group in self._groups]
        self._facts[:, passages.LAST] = [group.columns.stop for group in self._groups]
        self._places = np.zeros(_PASSAGES_MAX * 2, dtype=np.int32)
        self._memory = np.empty(_PASSAGES_SIZE_BYTES, dtype=np.uint8)
        self._counts = np.zeros(1 + len(self._groups), dtype=np.int64)
        words = kernels.compiled.words_of(self._memory)
        self.arrays = (groups, self._facts, self._places, words, self._counts)
        self.numbers = np.empty((len(self._groups), ROWS_MAX), dtype=np.int32)
        self._judged, self._rows = self._counts[1:].copy(), 0  # how many there were, and line items since then
        self._forget()

    def _forget(self) -> None:
        self._places[:] = 0
        self._counts[0], self._counts[1:] = passages.FIRST_PLACE, 0
        self._numbering = object()

    def of(self, rows: int) -> Passages:
        """Return which passages so many line items have, and make room for more."""
        its = dict(zip((group.columns.start for group in self._groups), self.numbers[:, :rows], strict=True))
        found, its_counts = Passages(self._numbering, its), self._counts[1:]
        self._rows += rows
        full = self._counts[0] + passages.ENTRY_SIZE_BYTES_MAX > len(self._memory) or its_counts.sum() >= _PASSAGES_MAX
        if full or self._rows > _JUDGED_ROWS:
            self._facts[2 * (its_counts - self._judged) > self._rows, passages.LONGEST] = passages.UNKNOWN
            if full:
                self._forget()
            self._judged[:], self._rows = its_counts, 0
        return found


class _Keys:
    """The exact spellings of keys as the kernel wants them."""

    def __init__(self) -> None:
        spelled = np.zeros((KEYS_MAX, _KEY_SIZE_BYTES_MAX // 8 + 1), dtype=np.uint64)
        lengths, slots, its_kinds = (np.zeros(KEYS_MAX, dtype=np.int32) for _ in range(3))
        table = np.full(_TABLE_SIZE, -1, dtype=np.int32)
        following = np.full(KEYS_MAX + 1, -1, dtype=np.int32)
        self.arrays: tuple[np.ndarray, ...] = (spelled, lengths, slots, its_kinds, table, following)
        self._names: set[str] = set()

    def copy(self) -> _Keys:
        """Return the same keys, to which others are added."""
        keys = _Keys()
        keys.arrays, keys._names = tuple(array.copy() for array in self.arrays), set(self._names)
        return keys

    def learn(self, table: LineItemTable, its_slots: Mapping[str, int], name: str) -> None:
        """Add a spelling of a key, unless it means nothing."""
        spelling = table.spelling_of(name)
        if spelling is not None:
            self._add(name, its_slots[spelling.column.name], _kind(spelling))
        elif name.lower() in table.constants:
            self._add(name, its_slots[name.lower()], kinds.CONSTANT)

    def _add(self, name: str, slot: int, kind: int) -> None:
        spelled, lengths, slots, its_kinds, table, _ = self.arrays
        text = f'"{name}"'.encode()
        key = len(self._names)
        if name in self._names or key == KEYS_MAX or len(text) >= _KEY_SIZE_BYTES_MAX or not _is_simple(name):
            return
        self._names.add(name)
        signs = np.frombuffer(text + b":", dtype=np.uint8)
        spelled[key].view(np.uint8)[: len(signs)] = signs
        lengths[key], slots[key], its_kinds[key] = len(signs), slot, kind
        place = hash_of(signs.copy(), 0, len(text)) % _TABLE_SIZE
        while table[place] >= 0:
            place = (place + 1) % _TABLE_SIZE
        table[place] = key


def _slots_of(table: LineItemTable) -> dict[str, int]:
    names = [*(column.name for column in table.columns), EXTRA, *sorted(table.constants)]
    return {name: slot for slot, name in enumerate(names)}


@lru_cache(maxsize=4)  # a hundred names, each hashed by a kernel
def _usual_keys(table: LineItemTable) -> _Keys:
    keys, slots = _Keys(), _slots_of(table)
    for name in _usual_names(table):
        keys.learn(table, slots, name)
    return keys


def _spoil(text: np.ndarray, separator: bytes) -> None:
    """Make every line that is not UTF-8 look doubtful to the kernel."""
    start = 0
    for line in text.tobytes().split(separator):
        if line and not is_utf8(line):
            text[start] = 0x01
        start += len(line) + 1


def _is_simple(name: str) -> bool:
    return name.isascii() and name.isprintable() and '"' not in name and "\\" not in name


def _usual_names(table: LineItemTable) -> Iterator[str]:
    for column in table.columns:
        yield column.name
        if column.v1 is not None:
            yield column.v1
    yield from ("invoiceLineItemType", "billingProvider", "attributes", "attributes/objectType")


def _kind(spelling: Spelling) -> int:
    column = spelling.column
    if spelling.from_v1 and column.codec is Codec.RATE:
        return kinds.RATE
    if spelling.from_v1 and column.codec is Codec.RESELLER:
        return kinds.RESELLER
    if column.codec is Codec.LIST:
        return kinds.LIST
    return kinds.DIGITS if column.digits else _KINDS[column.type]
