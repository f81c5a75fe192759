"""Exact totals of columns of number texts, quickly for plain digits and by `numbers.total` for the rest."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa

from counterfoil import numbers
from counterfoil.datasets import kernels
from counterfoil.datasets.located import offsets_of

_LIMBS = 6  # 45 decimals; nobody is known to write more


def total(texts: pa.Array) -> Decimal:
    """Add checked number texts without losing a digit, as `numbers.total` does."""
    if not len(texts):
        return Decimal(0)
    adding = kernels.totals
    data = np.frombuffer(texts.buffers()[2] or b"\0", dtype=np.uint8)
    sums = np.zeros(_LIMBS, dtype=np.int64)
    places = adding.add_plain(data, offsets_of(texts), sums)
    if places < 0:
        return numbers.total(texts.drop_null().to_pylist())
    value = 0
    for limb in sums.tolist():
        value = value * 10**adding.DIGITS + limb
    scaled = value // 10 ** (adding.DIGITS * (_LIMBS - 1) - places)  # without a rest: all those digits are zeros
    return numbers.exact(f"{scaled}E-{places}" if places else str(scaled))
