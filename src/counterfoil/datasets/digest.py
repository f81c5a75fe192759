"""The canonical forms of many line items and their SHA-256: `line_items.canonical` in bulk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from counterfoil.columns import LineItemTable, identity_of
from counterfoil.datasets import kernels
from counterfoil.datasets.value_spans import PADDING, ValueSpans
from counterfoil.line_items import canonical
from counterfoil.line_items.canonical import DIGEST_SIZE_BYTES
from counterfoil.line_items.lake_files import LakeReader
from counterfoil.line_items.line_digests import DIGEST_TYPE
from counterfoil.model import Kind
from counterfoil.storage.catalog_rows import StoredFile
from counterfoil.storage.files import Files, ReaderStream

_EXTRA_NAMES_MAX = 256  # of a batch; with more, its lines are hashed one by one


def digests_of(table: LineItemTable, items: ValueSpans) -> np.ndarray:
    """Return the SHA-256 of line items located in the table's columns, then Extra, as rows of 32 bytes."""
    names = [identity_of(column.name) for column in table.columns]
    extra = items.starts[:, len(names)] >= 0
    if not extra.any():
        return _digests(names, items)
    found = np.empty((len(items.starts), DIGEST_SIZE_BYTES), dtype=np.uint8)
    plain = ValueSpans(items.text, items.starts[~extra], items.lengths[~extra])
    found[~extra] = _digests(names, plain)
    found[extra] = _with_extra(table, names, ValueSpans(items.text, items.starts[extra], items.lengths[extra]))
    return found


def _with_extra(table: LineItemTable, names: Sequence[str], items: ValueSpans) -> np.ndarray:
    """Give the attributes in Extra a column each, for the moment."""
    members = [canonical.extra_texts(text) for text in items.columns([len(names)])[0].to_pylist()]
    unknown = sorted({name for item in members for name in item})
    if len(unknown) > _EXTRA_NAMES_MAX:
        return _one_by_one(table, items)
    places = {name: len(names) + place for place, name in enumerate(unknown)}
    shape = (len(members), len(names) + len(unknown))
    starts, lengths = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    starts[:, : len(names)], lengths[:, : len(names)] = items.starts[:, : len(names)], items.lengths[:, : len(names)]
    for row, item in enumerate(members):
        for name, text in item.items():
            encoded = text.encode()
            starts[row, places[name]], lengths[row, places[name]] = items.text.size_bytes, len(encoded)
            items.text.add(encoded)
    return _digests([*names, *unknown], ValueSpans(items.text, starts, lengths))


def _one_by_one(table: LineItemTable, items: ValueSpans) -> np.ndarray:
    columns = [column.name for column in table.columns] + ["Extra"]
    arrays = [array.to_pylist() for array in items.columns(range(len(columns)))]
    each = [canonical.digest(dict(zip(columns, texts, strict=True))) for texts in zip(*arrays, strict=True)]
    return np.frombuffer(b"".join(each), dtype=np.uint8).reshape(-1, DIGEST_SIZE_BYTES)


def _digests(names: Sequence[str], items: ValueSpans) -> np.ndarray:
    """Return the SHA-256 of line items that have a column for each name."""
    rows = len(items.starts)
    if not rows:
        return np.empty((0, DIGEST_SIZE_BYTES), dtype=np.uint8)
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int32)
    present = np.zeros((rows, -(-len(names) // 64)), dtype=np.uint64)
    kernels.canonical_forms.mark_present(items.starts, items.lengths, order, present)
    sets, which = np.unique(present, axis=0, return_inverse=True) if present.shape[1] > 1 else _unique(present)
    in_order = [names[number] for number in order.tolist()]
    named = b"".join(_names_digest(in_order, words) for words in sets.tolist())
    forms, blocks = _forms(items, order, which.reshape(-1).astype(np.int32), np.frombuffer(named, dtype=np.uint64))
    found = np.empty((rows, DIGEST_SIZE_BYTES), dtype=np.uint8)
    if kernels.sha256.hash_blocks is not None:
        kernels.sha256.hash_blocks(forms, blocks, found)
    else:
        for number, (begin, end) in enumerate(pairwise(64 * blocks.astype(np.int64))):
            size = int.from_bytes(forms[end - 8 : end].tobytes(), "big") // 8
            found[number] = np.frombuffer(hashlib.sha256(forms.data[begin : begin + size]).digest(), dtype=np.uint8)
    return found


def _unique(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sets, which = np.unique(present[:, 0], return_inverse=True)  # several times as quick as with an axis
    return sets.reshape(-1, 1), which


def _names_digest(in_order: Sequence[str], words: Sequence[int]) -> bytes:
    marks = sum(word << 64 * place for place, word in enumerate(words))
    return canonical.names_digest(name for number, name in enumerate(in_order) if marks >> number & 1)


def _forms(items: ValueSpans, order: np.ndarray, which: np.ndarray, named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the canonical forms one behind the other, padded for SHA-256, and at which block each begins and ends."""
    rows = len(items.starts)
    size = rows * (DIGEST_SIZE_BYTES + len(order) + 72) + int(items.sizes(order).sum())
    out, blocks = np.empty(size + PADDING, dtype=np.uint8), np.empty(rows + 1, dtype=np.int32)
    kernels.canonical_forms.write_canonical_forms(
        items.text.words,
        items.starts,
        items.lengths,
        order,
        which,
        named.reshape(-1, DIGEST_SIZE_BYTES // 8).copy(),
        out,
        kernels.compiled.words_of(out),
        blocks,
    )
    return out, blocks


def digest_array(rows: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Return digests, given as rows of 32 bytes, as an Arrow array."""
    return pa.FixedSizeBinaryArray.from_buffers(DIGEST_TYPE, len(rows), [None, pa.py_buffer(rows)])


def digest_rows(array: pa.FixedSizeBinaryArray) -> np.ndarray:
    """Return an Arrow array of digests as rows of 32 bytes."""
    rows = np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8).reshape(-1, DIGEST_SIZE_BYTES)
    return rows[array.offset : array.offset + len(array)]


def stored_digests(files: Files, lake_files: Iterable[StoredFile], kind: Kind) -> Iterator[pa.FixedSizeBinaryArray]:
    """Yield the digests that are in some lake files."""
    for file in lake_files:
        with LakeReader(ReaderStream(files.open(file.path)), kind) as lake:
            yield from lake.digests()


def in_order(digests: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
    """Return digests in ascending order of their bytes: `line_digests.in_order`, several times as quick."""
    rows = digest_rows(digests)
    words = np.ascontiguousarray(rows).view(">u8")
    first = words[:, 0].astype(np.uint64)
    order = np.argsort(first)
    # Sixty-four bits settle nearly everything; copies and chosen lines take the whole digest.
    tied = are_tied(first[order])
    if tied.any():
        places = order[tied]
        order[tied] = places[np.lexsort(words[places].astype(np.uint64).T[::-1])]
    return digest_array(rows[order])


def are_tied(keys: np.ndarray) -> np.ndarray:
    """Tell which of some keys in order are like a neighbour."""
    alike = np.zeros(len(keys) + 1, dtype=bool)
    alike[1:-1] = keys[1:] == keys[:-1]
    return alike[1:] | alike[:-1]
