"""How much is in one piece: of what is stored, and of what is in memory at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from counterfoil.lifetimes_and_sizes import PART_LINE_ITEMS


@dataclass(frozen=True, slots=True)
class Sizes:
    """The first two decide what is stored; the others change speed and memory alone."""

    part_line_items: int = PART_LINE_ITEMS
    row_group_line_items: int = 25_000
    run_bytes: int = 64 << 20  # of line items as codes, and of a part while it is put in order
    piece_bytes: int = 2 << 20  # of a run
    split_bytes: int = 256 << 20  # of an input
    divided_bytes: int = 128 << 20  # smaller inputs are read by one process


STANDARD_SIZES: Final = Sizes()
