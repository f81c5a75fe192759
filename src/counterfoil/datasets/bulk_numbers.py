"""Numbers in bulk: exact totals, and the lake's decimals. Quick for plain digits, and the slow way for the rest.

Both give what `numbers.total` and `lake.decimals_of` give, digit for digit.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa

from counterfoil import numbers
from counterfoil.datasets import kernels
from counterfoil.datasets.value_spans import offsets_of
from counterfoil.line_items import lake

_LIMBS = 6  # 45 decimals; nobody is known to write more


def total(texts: pa.Array) -> Decimal:
    """Add checked number texts without losing a digit."""
    adding = kernels.plain_numbers
    sums = np.zeros(_LIMBS, dtype=np.int64)
    places = adding.add_plain(_data(texts), offsets_of(texts), sums) if 0 < len(texts) <= adding.TEXTS_MAX else -1
    if places < 0:
        return numbers.total(texts.drop_null().to_pylist())
    value = 0
    for limb in sums.tolist():
        value = value * 10**adding.DIGITS + limb
    scaled = value // 10 ** (adding.DIGITS * (_LIMBS - 1) - places)  # without a rest: all those digits are zeros
    return numbers.exact(f"{scaled}E-{places}" if places else str(scaled))


def decimals(texts: pa.Array) -> tuple[pa.Array, int]:
    """Return checked number texts as the lake's decimals, and how many were rounded. Null stays null."""
    if pa.types.is_dictionary(texts.type):
        distinct, rounded = decimals(texts.dictionary)
        return (distinct.take(texts.indices), 0) if not rounded else lake.decimals_of(texts)
    if not len(texts) or texts.null_count == len(texts):
        return pa.nulls(len(texts), lake.DECIMAL), 0
    values = np.empty((len(texts), 2), dtype=np.uint64)
    rounded = kernels.plain_numbers.plain_decimals(_data(texts), offsets_of(texts), values)
    if rounded < 0:
        return lake.decimals_of(texts)
    validity = texts.buffers()[0] if texts.null_count and not texts.offset else None
    if texts.null_count and validity is None:
        return lake.decimals_of(texts)
    buffers = [validity, pa.py_buffer(values)]
    return pa.Array.from_buffers(lake.DECIMAL, len(texts), buffers, texts.null_count), rounded


def _data(texts: pa.Array) -> np.ndarray:
    return np.frombuffer(texts.buffers()[2] or b"\0", dtype=np.uint8)
