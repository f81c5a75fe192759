"""The order of line items: by customer, subscription, date and digest, byte for byte, and then by what is stored.

Line items with one digest are copies, or differ in what a digest takes for alike: absent or empty, and how the JSON of
Extra is written. Those differences put them in order, so that no order depends on the input's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import LineItemTable
from counterfoil.datasets.coded import Coded, Coder
from counterfoil.datasets.digest import are_tied

_DIFFERENCES_SIZE_BYTES_MAX: Final = 256  # of a key: there may be many keys
_RANK_BITS_MAX: Final = 48  # of a number to sort by; the others are the digest's


@dataclass(frozen=True, slots=True)
class Ordered:
    """Line items in order: those of a coder at some places."""

    coder: Coder
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, begin: int, end: int) -> Self:
        """Return some of the line items."""
        return replace(self, rows=self.rows[begin:end])

    def sizes(self, begin: int, end: int) -> np.ndarray:
        """Return how many bytes the texts of some line items take."""
        return self.coder.sizes(self.rows[begin:end])

    def coded(self, begin: int, end: int) -> Coded:
        """Copy some line items."""
        return self.coder.take(self.rows[begin:end])


def in_order(table: LineItemTable, coder: Coder) -> Ordered:
    """Return all line items of a coder in order."""
    return Ordered(coder, SortKeys(table, coder).sorted())


class SortKeys:
    """The sort keys of some line items. Line items of one key are copies."""

    def __init__(self, table: LineItemTable, items: Coder | Coded) -> None:
        self._items, self._entries = items, items.entries
        places = {column: (group, column - span[0]) for group, span in _spans(items) for column in span}
        names = [column.name for column in table.columns]
        self._places = [places[names.index(name)] for name in ("CustomerId", "SubscriptionId", table.date)]

    def of(self, row: int) -> bytes:
        """Return the key of one line item."""
        texts = [self._entries[group].texts(self._code(group, row))[column] for group, column in self._places]
        return b"\0".join([*texts, self._items.digests[row].tobytes() + self._differences(row)])

    def sorted(self) -> np.ndarray:
        """Return the places of the line items in order."""
        words = np.ascontiguousarray(self._items.digests).view(">u8").astype(np.uint64)
        ranks, bits = self._ranks()
        keys = (ranks << np.uint64(64 - bits)) | (words[:, 0] >> np.uint64(bits))
        rows = np.argsort(keys)
        tied = np.flatnonzero(are_tied(keys[rows]))
        if len(tied):
            its = rows[tied]
            rows[tied] = its[np.lexsort((*words[its].T[::-1], keys[its]))]
            self._settle(rows, tied, words)
        return rows

    def _ranks(self) -> tuple[np.ndarray, int]:
        """Return numbers in the order of customer, subscription and date, and how many bits they have."""
        ranks, bits = np.zeros(len(self._items), dtype=np.uint64), 0
        for group, column in self._places:
            entries = self._entries[group]
            of_entry = _ranks(entries.spans(len(self._items.groups[group].columns)).columns([column])[0])
            more = int(of_entry.max(initial=1)).bit_length()
            if bits + more > _RANK_BITS_MAX:
                ranks = np.unique(ranks, return_inverse=True)[1].astype(np.uint64)
                bits = int(ranks.max(initial=1)).bit_length()
            ranks = (ranks << np.uint64(more)) | of_entry[self._items.codes[group]]
            bits += more
        return ranks, bits

    def _settle(self, rows: np.ndarray, tied: np.ndarray, words: np.ndarray) -> None:
        """Put line items of one digest in order where they are no copies; `tied` are their places in `rows`."""
        its = rows[tied]
        nulls = [entries.nulls[codes[its]] for entries, codes in zip(self._entries, self._items.codes, strict=True)]
        new = np.concatenate([[True], (words[its[1:]] != words[its[:-1]]).any(axis=1)])
        other = np.zeros(len(its), dtype=bool)
        for values in (*nulls, self._items.codes[-1][its]):
            other[1:] |= values[1:] != values[:-1]
        begins = [*np.flatnonzero(new).tolist(), len(its)]
        classes = np.cumsum(new) - 1
        for number in np.unique(classes[other & ~new]).tolist():
            places = tied[begins[number] : begins[number + 1]]
            rows[places] = sorted(rows[places].tolist(), key=self._differences)

    def _differences(self, row: int) -> bytes:
        """Return what tells a line item from others of its digest: Extra, then the numbers of the columns it lacks."""
        marks = bytearray()
        for group, span in _spans(self._items):
            nulls = int(self._entries[group].nulls[self._code(group, row)])
            marks += bytes(number + 1 for place, number in enumerate(span) if nulls >> place & 1)
        [extra, _] = self._entries[-1].texts(self._code(-1, row))
        differences = extra + b"\0" + marks
        if len(differences) > _DIFFERENCES_SIZE_BYTES_MAX:
            return differences[:_DIFFERENCES_SIZE_BYTES_MAX] + hashlib.sha256(differences).digest()
        return differences

    def _code(self, group: int, row: int) -> int:
        return int(self._items.codes[group, row])


def _spans(items: Coder | Coded) -> list[tuple[int, range]]:
    return [(number, group.columns) for number, group in enumerate(items.groups)]


def _ranks(texts: pa.StringArray) -> np.ndarray:
    """Return for each text its place among all of them in order; null is as empty."""
    encoded = pc.dictionary_encode(texts.fill_null(""))
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), dtype=np.uint64)
    ranks[order] = np.arange(len(order), dtype=np.uint64)
    found: np.ndarray = ranks[encoded.indices.to_numpy()]
    return found
