"""What a line item *is*: its canonical form, its SHA-256, and the key it sorts by.

The canonical form is the stored text of every column in the order of the table of columns, then Extra, joined by
U+0000 (which no text may hold); absent and empty are alike. So it does not depend on the spelling a line came in, on
the order of its keys, or on the engine that stored it. The v1-only columns are part of it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.columns import LineItemTable
from counterfoil.model import DIGEST_MODULUS

_DIGEST_SIZE_BYTES = 32
_NUL = pa.scalar(b"\0", pa.binary())


def canonical_forms(items: pa.Table) -> pa.Array:
    """Return the canonical form of each row of a batch (text columns, in the table's order)."""
    columns = [column.combine_chunks() for column in items.columns]
    return pc.binary_join_element_wise(*columns, "\0", null_handling="replace", null_replacement="")


def digests(texts: pa.Array, sizes: np.ndarray | None = None) -> np.ndarray:
    """Return the SHA-256 of each canonical form, as rows of 32 bytes.

    If `sizes` are given, the forms are the first bytes of records.
    """
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    ends = offsets[1:] if sizes is None else offsets[:-1] + sizes
    data = memoryview(texts.buffers()[2] or b"")
    sha256 = hashlib.sha256
    joined = b"".join([sha256(data[a:z]).digest() for a, z in zip(offsets[:-1].tolist(), ends.tolist(), strict=True)])
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, _DIGEST_SIZE_BYTES)


def digest_sum(rows: np.ndarray) -> int:
    """Add digests as integers (big end first) modulo 2**256."""
    words = rows.reshape(-1).view(">u4").reshape(-1, 8)  # 2**32 rows fit a sum of 64 bits
    sums = words.astype(np.uint64).sum(axis=0)
    total = 0
    for word in sums.tolist():
        total = (total << 32) + word
    return total % DIGEST_MODULUS


def sort_keys(table: LineItemTable, columns: pa.Table, rows: np.ndarray) -> pa.Array:
    """Return CustomerId, SubscriptionId, the kind's date and the digest, joined so that bytes compare as the tuple."""
    names = ("CustomerId", "SubscriptionId", table.date)
    texts = [columns.column(name).combine_chunks().cast(pa.binary()) for name in names]
    buffer = pa.py_buffer(rows.tobytes())
    digest = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_DIGEST_SIZE_BYTES), len(rows), [None, buffer])
    return pc.binary_join_element_wise(
        *texts, digest.cast(pa.binary()), _NUL, null_handling="replace", null_replacement=b""
    )
