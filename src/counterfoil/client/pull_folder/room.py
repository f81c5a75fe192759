"""Whether the disk has room for what a pull brings: before it begins, and while it goes on.

A source need not say how much it has, and a few megabytes of gzip can become gigabytes. So some room is left to others
whatever comes: a disk that is full to its last byte stops more than this pull.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from counterfoil.client.output_files.output_formats import Format
from counterfoil.client.protocol.graph_answers import SourceBlob
from counterfoil.client.pull_folder.unfinished import part_size
from counterfoil.errors import FullDiskError

SPARE_BYTES: Final = 16 << 20
_MAKE_ROOM: Final = "Trying again is safe: make room, or name another folder."
# What is written beside the blobs, measured against their gzip: Parquet is about as large and replaces them one by
# one; a CSV file is inflated text, a workbook is not much smaller than Parquet.
_BESIDE: Final = {Format.BLOBS: 0.0, Format.PARQUET: 0.25, Format.CSV: 12.0, Format.XLSX: 2.0}


def check_space(folder: Path, blobs: Sequence[SourceBlob], formats: Sequence[Format]) -> None:
    """Raise FullDiskError if the blobs that are still to come will not fit; unknown sizes count as nothing."""
    size = sum(max(0, (blob.size_bytes or 0) - part_size(folder / f"{blob.name}.part")) for blob in blobs)
    check_room(folder, int(size * (1 + sum(_BESIDE[each] for each in formats))))


def check_room(folder: Path, needed: int) -> None:
    """Raise FullDiskError if so many bytes will not fit."""
    free = shutil.disk_usage(folder).free
    if needed and needed + SPARE_BYTES > free:
        raise FullDiskError(
            f"About {needed / 1e6:,.0f} MB are to come, and {folder.parent} has room for {free / 1e6:,.0f} MB.",
            remedy=_MAKE_ROOM,
            parameter="to",
        )


def check_spare(folder: Path) -> None:
    """Raise FullDiskError if the room that is left to others is all that is left."""
    free = shutil.disk_usage(folder).free
    if free < SPARE_BYTES:
        raise FullDiskError(
            f"More is to come, and {folder.parent} has room for {free / 1e6:,.0f} MB, which is left to others.",
            remedy=_MAKE_ROOM,
            parameter="to",
        )


def within_room(folder: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches that are written to a folder, as long as it has room; raises as `check_spare` does."""
    for batch in batches:
        check_spare(folder)
        yield batch
