"""Values as spans: a run of bytes, and for each line item and column a start and a length in it.

All kernels work on spans: lines just scanned, entries of a dictionary and Arrow columns can all be seen this way. A
value that must change (a v1 rate, say) is not changed in place: the new text is appended once for each distinct text,
and its spans point there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.datasets import kernels

PADDING = 64  # so many bytes behind a text may be read by a kernel
_ROOM = 1 << 12
_NONE = -1


class Text:
    """Bytes that are only ever added to, with room behind them so that kernels may look ahead."""

    __slots__ = ("array", "size_bytes")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.size_bytes = array, 0

    @classmethod
    def joined(cls, pieces: Sequence[memoryview]) -> Text:
        """Copy some pieces, one behind the other, and leave room for more."""
        size_bytes = sum(map(len, pieces))
        text = cls(np.empty(size_bytes + size_bytes // 16 + _ROOM, dtype=np.uint8))
        for piece in pieces:
            text.add(piece)
        return text

    def clear(self) -> None:
        """Forget the bytes, but keep the memory."""
        self.size_bytes = 0

    def add(self, piece: memoryview | bytes | bytearray) -> None:
        """Copy a piece to behind the others."""
        begin, end = self.size_bytes, self.size_bytes + len(piece)
        if end + PADDING > len(self.array):
            larger = np.empty(end + end // 4 + _ROOM, dtype=np.uint8)
            larger[:begin] = self.array[:begin]
            self.array = larger
        if len(piece):
            self.array[begin:end] = np.frombuffer(piece, dtype=np.uint8)
        self.array[end : end + PADDING] = 0
        self.size_bytes = end

    @property
    def words(self) -> np.ndarray:
        """The eight bytes that begin at each place, as integers."""
        words: np.ndarray = kernels.compiled.words_of(self.array)
        return words


class Passages(NamedTuple):
    """What is known of line items to have equal values.

    For each group of columns, by the first: a number for each line item, or one below zero. Where the numbers are the
    same, so are the values, also in other line items of the same numbering.
    """

    numbering: object
    numbers: Mapping[int, np.ndarray]


class ValueSpans:
    """Some line items. A start below zero means that there is no value."""

    __slots__ = ("lengths", "passages", "starts", "text")

    def __init__(self, text: Text, starts: np.ndarray, lengths: np.ndarray) -> None:
        self.text, self.starts, self.lengths = text, starts, lengths
        self.passages = Passages(None, {})

    @classmethod
    def of_columns(cls, columns: Sequence[pa.Array]) -> ValueSpans:
        """Look at arrays of text, or of dictionaries of text, which are copied."""
        shape = (len(columns), len(columns[0]))
        starts, lengths = np.full(shape, _NONE, dtype=np.int32), np.zeros(shape, dtype=np.int32)
        pieces: list[memoryview] = []
        at = 0
        for number, column in enumerate(columns):
            if column.null_count == len(column):
                continue
            coded = pa.types.is_dictionary(column.type)
            texts = column.dictionary if coded else column
            offsets = offsets_of(texts)
            pieces.append(memoryview(texts.buffers()[2] or b"")[offsets[0] : offsets[-1]])
            begins, sizes = offsets[:-1] + (at - offsets[0]), np.diff(offsets)
            if coded:
                codes = column.indices.fill_null(0).to_numpy()
                begins.take(codes, out=starts[number], mode="clip")  # which needs no copy, as "raise" does
                sizes.take(codes, out=lengths[number], mode="clip")
            else:
                starts[number], lengths[number] = begins, sizes
            if column.null_count:
                starts[number, ~column.is_valid().to_numpy(zero_copy_only=False)] = _NONE
            at += len(pieces[-1])
        return cls(Text.joined(pieces), np.ascontiguousarray(starts.T), np.ascontiguousarray(lengths.T))

    def columns(self, numbers: Sequence[int]) -> list[pa.Array]:
        """Copy some columns into arrays of text."""
        rows, wanted = len(self.starts), np.array(numbers, dtype=np.int32)
        sizes = self.sizes(wanted) + PADDING
        places = np.cumsum(sizes) - sizes
        out = np.empty(int(sizes.sum()) + PADDING, dtype=np.uint8)  # a kernel wants some, even of no columns
        offsets = np.empty((len(wanted), rows + 1), dtype=np.int32)
        valid = np.full((len(wanted), (rows + 7) // 8), 0xFF, dtype=np.uint8)
        found = np.stack([places, places, np.zeros_like(places)], axis=1).astype(np.int32)
        words, out_words = self.text.words, kernels.compiled.words_of(out)
        kernels.column_texts.gather_columns(words, self.starts, self.lengths, wanted, out_words, offsets, valid, found)
        arrays = []
        for number, (begin, end, nulls) in enumerate(found.tolist()):
            validity = pa.py_buffer(valid[number]) if nulls else None
            data = pa.py_buffer(out[begin:end])
            arrays.append(pa.StringArray.from_buffers(rows, pa.py_buffer(offsets[number]), data, validity, nulls))
        return arrays

    def replaced(self, changes: Mapping[int, Callable[[str], str]], rows: np.ndarray | None = None) -> ValueSpans:
        """Return the same line items with other values in some columns (and, if given, only in the rows marked)."""
        starts, lengths = self.starts.copy(), self.lengths.copy()
        for (column, change), texts in zip(changes.items(), self.columns(list(changes)), strict=True):
            codes = pc.dictionary_encode(texts)
            changed = [change(text).encode() for text in codes.dictionary.to_pylist()]
            sizes = np.array([len(text) for text in changed], dtype=np.int32)
            places = self.text.size_bytes + np.cumsum(sizes, dtype=np.int32) - sizes
            self.text.add(b"".join(changed))
            chosen = np.ones(len(texts), dtype=bool) if rows is None else rows
            if texts.null_count:
                chosen = chosen & texts.is_valid().to_numpy(zero_copy_only=False)
            indices = codes.indices.fill_null(0).to_numpy()[chosen]
            if len(indices):
                starts[chosen, column], lengths[chosen, column] = places[indices], sizes[indices]
        return ValueSpans(self.text, starts, lengths)

    def sizes(self, columns: np.ndarray) -> np.ndarray:
        """Return how many bytes the values of each of some columns take."""
        sizes = np.zeros(len(columns), dtype=np.int64)
        kernels.column_texts.add_sizes(self.starts, self.lengths, columns, sizes)
        return sizes


def offsets_of(array: pa.Array) -> np.ndarray:
    """Return the offsets of an array of texts or bytes; one more than it has values."""
    return np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
