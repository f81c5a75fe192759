"""Parquet pulls as JSON lines: `publish` does not read Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from counterfoil.client import Form, Receipt
from counterfoil.lake_files import LakeReader
from counterfoil.model import Kind

_ROWS_AT_ONCE: Final = 10_000


@contextmanager
def as_lines(receipt: Receipt, folder: Path, kind: Kind) -> Iterator[list[Path]]:
    """Yield the files of a pull as publishing reads them; Parquet is converted into a temporary file in the folder."""
    paths = [folder / file.name for file in receipt.files]
    if receipt.format != Form.PARQUET:
        yield paths
        return
    with tempfile.TemporaryDirectory(prefix="publishing-", dir=folder) as made:
        lines = Path(made) / "line-items.jsonl"
        with lines.open("wb") as file:
            for path in paths:
                for piece in _lines_of(path, kind):
                    file.write(piece)
        yield [lines]


def _lines_of(path: Path, kind: Kind) -> Iterator[bytes]:
    """Yield JSON lines of a lake file. A number in quotes is read as that number, digit for digit."""
    encoder = msgspec.json.Encoder()
    with LakeReader(path, kind) as lake:
        names = [column.name for column in lake.columns]
        for batch in lake.batches(line_items=_ROWS_AT_ONCE):
            *texts, extras = (column.to_pylist() for column in batch.columns)
            items = []
            for values, extra in zip(zip(*texts, strict=True), extras, strict=True):
                item: dict[str, object] = {
                    name: value for name, value in zip(names, values, strict=True) if value is not None
                }
                if extra:
                    item |= msgspec.json.decode(extra, type=dict[str, msgspec.Raw])
                items.append(item)
            yield encoder.encode_lines(items)
