"""Line items, one by one, for a writer of v1 blocks."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from counterfoil.storage.v1_blocks import BlockWriter


def add_items(writer: BlockWriter, items: Sequence[bytes], credit: Sequence[bool]) -> None:
    """Write line items, and whether partner earned credit applies to each."""
    joined = bytearray(b",".join([*items, b""]))
    writer.add(memoryview(joined), array("I", map(len, items)), bytes(credit))
    joined[:] = bytes(len(joined))  # nothing of it is referred to after the call
