"""Whether there is room for what is to come, before it comes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from counterfoil.client.graph import SourceBlob
from counterfoil.client.outcomes import Form
from counterfoil.errors import FullDiskError

# What is written beside the blobs, measured against their gzip: Parquet is about as large and replaces them one by
# one; a CSV file is inflated text, a workbook is not much smaller than Parquet.
_BESIDE: Final = {Form.BLOBS: 0.0, Form.PARQUET: 0.25, Form.CSV: 12.0, Form.XLSX: 2.0}
_SPARE_BYTES: Final = 16 << 20


def check_space(folder: Path, blobs: Sequence[SourceBlob], form: Form) -> None:
    """Raise FullDiskError if the blobs that are still to come will not fit; unknown sizes count as nothing."""
    size = sum(max(0, (blob.size_bytes or 0) - _there(folder, blob)) for blob in blobs)
    check_room(folder, int(size * (1 + _BESIDE[form])))


def check_room(folder: Path, needed: int) -> None:
    """Raise FullDiskError if so many bytes will not fit."""
    free = shutil.disk_usage(folder).free
    if needed and needed + _SPARE_BYTES > free:
        raise FullDiskError(
            f"About {needed / 1e6:,.0f} MB are to come, and {folder.parent} has room for {free / 1e6:,.0f} MB.",
            remedy="Make room, or name another folder with --to. Trying again is safe.",
        )


def _there(folder: Path, blob: SourceBlob) -> int:
    part = folder / f"{blob.name}.part"
    return part.stat().st_size if part.exists() else 0
