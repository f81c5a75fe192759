"""Reading files in blocks of whole lines, wherever the blocks happen to end."""

import gzip
import io
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from counterfoil.datasets import source
from counterfoil.datasets.source import STANDARD_INPUT, Source
from counterfoil.line_items import blocks

BLOCK_SIZE_BYTES, LINE_SIZE_BYTES_MAX, HEAD_SIZE_BYTES = 32, 64, 80


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_SIZE_BYTES", BLOCK_SIZE_BYTES)
    monkeypatch.setattr(blocks, "LINE_SIZE_BYTES_MAX", LINE_SIZE_BYTES_MAX)
    monkeypatch.setattr(source, "HEAD_SIZE_BYTES", HEAD_SIZE_BYTES)


def numbered_lines(name: str) -> list[tuple[int, bytes]]:
    """All lines that are not blank, with the number each has by the block it came in."""
    with Source(name) as opened:
        return [
            (number, line)
            for block in opened.blocks()
            for number, line in enumerate(block.lines(), block.first_line)
            if line.strip()
        ]


@pytest.mark.parametrize("seed", range(60))
def test_every_line_comes_once_whole_and_with_its_number(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    texts = [
        b"x" * chance.choice([0, 0, 1, 5, 30, 31, 32, 33, LINE_SIZE_BYTES_MAX])
        for _ in range(chance.choice([2, 9, 60]))
    ]
    data = b"{}\n" + b"\n".join(texts) + chance.choice([b"", b"\n", b"\n\n", b"\r\n"])
    expected = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
    for name in (str(plain), str(packed), STANDARD_INPUT):
        assert numbered_lines(name) == expected
