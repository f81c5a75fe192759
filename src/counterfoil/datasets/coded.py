"""Line items as codes: for each group of columns the number of an entry in a dictionary, and the line's digest.

`Coder` takes line items in any order and numbers what is new. `Coded` are line items that no longer change: their
entries are numbered by first appearance, so that equal line items in one order are coded alike, however they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.datasets.dictionary import Dictionary, Entries, Group
from counterfoil.datasets.value_spans import PADDING, ValueSpans
from counterfoil.line_items.canonical import DIGEST_SIZE_BYTES

_ROWS: Final = 1 << 10  # there is room for so many at first
_FEW_ROWS: Final = 1 << 10
_FEW_SIZE_BYTES: Final = 4 << 20  # a long text that they share is kept once for each of them
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class Coded:
    """Line items in a fixed order. `codes` has a row for each group, `digests` one for each line item."""

    groups: tuple[Group, ...]
    entries: tuple[Entries, ...]
    codes: np.ndarray  # int32
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)

    def texts(self) -> Iterator[pa.Array]:
        """Yield each column as an array of text: a dictionary where its values repeat."""
        for group, entries, codes in zip(self.groups, self.entries, self.codes, strict=True):
            indices = pa.array(codes)
            for texts in entries.spans(len(group.columns)).columns(range(len(group.columns))):
                if group.repeats:
                    encoded = pc.dictionary_encode(texts)
                    yield pa.DictionaryArray.from_arrays(encoded.indices.take(indices), encoded.dictionary)
                else:
                    yield texts.take(indices)

    def encoded(self) -> bytes:
        """Return the line items as bytes, for `decoded`. Each array begins where its numbers are aligned."""
        sizes = [len(self)] + [size for each in self.entries for size in (len(each), int(each.ends[-1]))]
        arrays = [np.array(sizes, dtype=np.int64)]
        for entries in self.entries:
            arrays += [entries.nulls, entries.ends, entries.text[: entries.ends[-1] + PADDING]]
        pieces: list[memoryview | bytes] = []
        for array in (*arrays, self.codes, self.digests):
            pieces += [array.data, bytes(-array.nbytes % _ALIGNMENT)]
        return b"".join(pieces)

    @classmethod
    def decoded(cls, data: bytes, groups: tuple[Group, ...]) -> Self:
        """Return line items as they were before `encoded`."""
        memory, at = np.frombuffer(bytearray(data), dtype=np.uint8), 0  # a copy, because kernels want what is writable

        def take(count: int, kind: type) -> np.ndarray:
            nonlocal at
            begin, size_bytes = at, count * np.dtype(kind).itemsize
            at += size_bytes + -size_bytes % _ALIGNMENT
            return memory[begin : begin + size_bytes].view(kind)

        rows, *sizes = take(1 + 2 * len(groups), np.int64).tolist()
        entries = []
        for count, size_bytes in zip(sizes[::2], sizes[1::2], strict=True):
            nulls, ends = take(count, np.int64), take(count + 1, np.int32)
            entries.append(Entries(take(size_bytes + PADDING, np.uint8), ends, nulls))
        codes = take(len(groups) * rows, np.int32).reshape(len(groups), rows)
        digests = take(rows * DIGEST_SIZE_BYTES, np.uint8).reshape(rows, DIGEST_SIZE_BYTES)
        return cls(groups, tuple(entries), codes, digests)

    def between(self, begin: int, end: int) -> Self:
        """Return some of the line items, with all entries."""
        return replace(self, codes=self.codes[:, begin:end], digests=self.digests[begin:end])


class Coder:
    """Line items to which more are added.

    As long as they are few, the groups may be others, `of_few`. Once they are many, those they have are coded anew.
    """

    def __init__(self, groups: tuple[Group, ...], of_few: tuple[Group, ...] | None = None) -> None:
        self._of_many = groups
        self.times_cleared = 0
        self._begin(of_few or groups)

    def _begin(self, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self.dictionaries = [Dictionary(group) for group in groups]
        self._codes, self._digests = _room(groups, _ROWS)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def size_bytes(self) -> int:
        """How much memory the line items take."""
        row = 4 * len(self.groups) + DIGEST_SIZE_BYTES
        return row * self._rows + sum(each.size_bytes for each in self.entries)

    @property
    def entries(self) -> list[Entries]:
        """The entries of each group so far; good until more are added."""
        return [dictionary.entries for dictionary in self.dictionaries]

    @property
    def codes(self) -> np.ndarray:
        """The codes so far, a row for each group; good until more are added."""
        return self._codes[:, : self._rows]

    @property
    def digests(self) -> np.ndarray:
        """The digests so far."""
        return self._digests[: self._rows]

    def code(self, items: ValueSpans) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of line items in the table's columns, then Extra, and their sizes; none is added yet."""
        rows = len(items.starts)
        if self.groups is not self._of_many and (
            self._rows + rows > _FEW_ROWS
            or self.size_bytes + int(items.lengths.sum(where=items.starts >= 0)) > _FEW_SIZE_BYTES
        ):
            self.expect_many()
        codes, sizes = np.empty((len(self.groups), rows), dtype=np.int32), np.zeros(rows, dtype=np.int64)
        for dictionary, into in zip(self.dictionaries, codes, strict=True):
            dictionary.code(items, dictionary.group.columns[0], into, sizes)
        return codes, sizes

    def expect_many(self) -> None:
        """Code the line items in the groups of many."""
        if self.groups is self._of_many:
            return
        items = self.take(np.arange(self._rows))
        self._begin(self._of_many)
        self.times_cleared += 1
        if len(items):
            self.add(self.code(ValueSpans.of_columns(list(items.texts())))[0], items.digests)

    def add(self, codes: np.ndarray, digests: np.ndarray) -> None:
        """Add line items."""
        begin, end = self._rows, self._rows + len(digests)
        if end > len(self._digests):
            larger = _room(self.groups, max(end, 2 * len(self._digests)))
            larger[0][:, :begin], larger[1][:begin] = self.codes, self.digests
            self._codes, self._digests = larger
        self._codes[:, begin:end], self._digests[begin:end] = codes, digests
        self._rows = end

    def add_coded(self, items: Coded) -> None:
        """Add line items that another coder coded."""
        codes = np.empty_like(items.codes)
        for dictionary, entries, theirs, ours in zip(self.dictionaries, items.entries, items.codes, codes, strict=True):
            translated = np.empty(len(entries), dtype=np.int32)
            spans = entries.spans(len(dictionary.group.columns))
            dictionary.code(spans, 0, translated, np.zeros(len(entries), dtype=np.int64))
            np.take(translated, theirs, out=ours, mode="clip")
        self.add(codes, items.digests)

    def take(self, rows: np.ndarray) -> Coded:
        """Copy some line items, in this order."""
        pairs = zip(self.dictionaries, self.codes, strict=True)
        codes, entries = zip(*(dictionary.renumbered(codes.take(rows)) for dictionary, codes in pairs), strict=True)
        return Coded(self.groups, entries, np.stack(codes), self.digests[rows])

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """Return how many bytes the texts of some line items take."""
        sizes = np.zeros(len(rows), dtype=np.int64)
        for dictionary, codes in zip(self.dictionaries, self.codes, strict=True):
            sizes += np.diff(dictionary.entries.ends)[codes[rows]]
        return sizes

    def clear(self, *, keep_memory: bool = True) -> None:
        """Forget all line items."""
        self._rows = 0
        self.times_cleared += 1
        if keep_memory:
            for dictionary in self.dictionaries:
                dictionary.clear()
        else:
            self._begin(self.groups)


def _room(groups: Sequence[Group], rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((len(groups), rows), dtype=np.int32), np.empty((rows, DIGEST_SIZE_BYTES), dtype=np.uint8)


def of_columns(columns: Sequence[pa.Array]) -> Coded:
    """Return line items given as arrays of text, perhaps of dictionaries, each column a group. They have no digests."""
    groups = tuple(Group(range(number, number + 1), repeats=False) for number in range(len(columns)))
    rows, entries = len(columns[0]), []
    codes = np.tile(np.arange(rows, dtype=np.int32), (len(columns), 1))
    for group, texts, into in zip(groups, columns, codes, strict=True):
        distinct = texts
        if pa.types.is_dictionary(texts.type):
            distinct = pa.concat_arrays([texts.dictionary, pa.nulls(1, pa.string())])
            into[:] = texts.indices.fill_null(len(texts.dictionary))
        dictionary, unused = Dictionary(group), np.zeros(len(distinct), dtype=np.int64)
        dictionary.code(ValueSpans.of_columns([distinct]), 0, np.empty(len(distinct), dtype=np.int32), unused)
        entries.append(dictionary.entries)
    return Coded(groups, tuple(entries), codes, np.empty((rows, 0), dtype=np.uint8))


def joined(pieces: Sequence[Coded]) -> Coded:
    """Return line items one behind the other."""
    if len(pieces) == 1:
        return pieces[0]
    coder = Coder(pieces[0].groups)
    for piece in pieces:
        coder.add_coded(piece)
    return coder.take(np.arange(len(coder)))
