"""Kernels: compiled once, kept as machine code, called without numba, and never with what they do not expect."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from counterfoil.columns import USAGE
from counterfoil.datasets import digest
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.kernels import column_texts, compilation, compiled, machine_code, sha256
from counterfoil.datasets.kernels.lines import hash_of
from counterfoil.datasets.scan import Scanner
from counterfoil.errors import CounterfoilError
from counterfoil.line_items.blocks import Block
from counterfoil.model import Kind
from tests.datasets.mutations import line_items
from tests.datasets.test_json_reading import by_reader

SUMS = """
import json, sys
import numpy as np
from counterfoil.datasets.kernels.column_texts import add_sizes
starts, lengths = np.zeros((3, 2), dtype=np.int32), np.full((3, 2), 7, dtype=np.int32)
starts[1, 0] = -1
sums = np.zeros(2, dtype=np.int64)
add_sizes(starts, lengths, np.arange(2, dtype=np.int32), sums)
print(json.dumps([sums.tolist(), "numba" in sys.modules]))
"""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A place where nothing is kept, for a process that has compiled nothing. Few kernels are compiled there."""
    monkeypatch.setattr(compilation, "SHARES", (("column_texts",),))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    compilation.compilation.cache_clear()
    yield tmp_path / "kept"
    compilation.compilation().finish()
    compilation.compilation.cache_clear()


def again(kernel: object) -> compiled.Kernel:
    """The same kernel, not loaded yet."""
    assert isinstance(kernel, compiled.Kernel)
    return compiled.Kernel(kernel.function, compiled.NOTHING, kernel.arguments.parts)


def call(kernel: compiled.Kernel) -> list[int]:
    sums = np.zeros(1, dtype=np.int64)
    table = np.full((3, 1), 7, dtype=np.int32)
    kernel(table, table, np.zeros(1, dtype=np.int32), sums)
    return [int(each) for each in sums]


def kept(folder: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in folder.iterdir())


def test_a_kernel_that_is_kept_is_called_without_numba() -> None:
    done = subprocess.run([sys.executable, "-c", SUMS], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[14, 21], False]


def test_a_kernel_is_compiled_at_its_first_call_which_is_told_once(
    fresh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = again(column_texts.add_sizes)
    assert not kernel.is_ready()
    assert call(kernel) == [21]
    assert call(again(column_texts.add_sizes)) == [21]
    compilation.compilation().finish()
    assert kept(fresh) == ["column_texts.add_sizes", "column_texts.gather_columns"]
    assert [message.partition(":")[0] for message in caplog.messages] == ["Compiling Counterfoil's inner loops"]


@pytest.mark.parametrize("damage", [b"", b"x" * 3000, None])
def test_what_is_kept_and_damaged_is_compiled_again(fresh: Path, damage: bytes | None) -> None:
    call(again(column_texts.add_sizes))
    path = fresh / machine_code.file_name("column_texts.add_sizes")
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    compilation.compilation().finish()
    compilation.compilation.cache_clear()
    assert call(again(column_texts.add_sizes)) == [21]
    assert machine_code.find("column_texts.add_sizes") is not None


def test_kernels_are_compiled_where_nothing_can_be_kept(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh.touch()  # a file, where a folder should be
    assert call(again(column_texts.add_sizes)) == [21]
    assert ["at every start" in message for message in caplog.messages] == [True]


def test_a_kernel_that_cannot_be_compiled_says_why(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "SHARES", (("no_such_module",),))
    with pytest.raises(CounterfoilError, match=r"add_sizes could not be compiled .*no_such_module"):
        call(again(column_texts.add_sizes))


def test_a_kernel_refuses_arrays_that_it_was_not_compiled_for() -> None:
    good = np.zeros(16, dtype=np.uint8)
    fixed = np.zeros(16, dtype=np.uint8)
    fixed.flags.writeable = False
    for bad in (good.view(np.int8), good[::2], good.reshape(4, 4), fixed):
        with pytest.raises(TypeError, match="is not Elements"):
            hash_of(bad, 0, 1)
    with pytest.raises(TypeError):
        hash_of(good, 0, 1.0)


@pytest.mark.skipif(sha256.hash_blocks is None, reason="this processor has no instructions for SHA-256")
@pytest.mark.parametrize("count", [0, 1, 2, 301])
def test_texts_are_hashed_two_at_a_time_as_hashlib_hashes_them(count: int) -> None:
    chance = random.Random(count)
    texts = [chance.randbytes(size) for size in range(count)] + [
        chance.randbytes(chance.randrange(5000)) for _ in "abc"
    ]
    padded = [text + b"\x80" + bytes((55 - len(text)) % 64) + (8 * len(text)).to_bytes(8, "big") for text in texts]
    blocks = np.cumsum([0, *(len(text) // 64 for text in padded)], dtype=np.int32)
    found = np.zeros((len(texts), 32), dtype=np.uint8)
    assert sha256.hash_blocks is not None
    sha256.hash_blocks(np.frombuffer(bytearray(b"".join(padded)), dtype=np.uint8), blocks, found)
    assert [row.tobytes() for row in found] == [hashlib.sha256(text).digest() for text in texts]


def test_line_items_are_hashed_the_same_without_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    [batch] = JsonLinesReader(USAGE, lambda *_: None).read(Block(b"\n".join(line_items(Kind.USAGE, 99)), 1))
    found = digest.digests_of(USAGE, batch.items)
    monkeypatch.setattr(sha256, "hash_blocks", None)
    assert digest.digests_of(USAGE, batch.items).tolist() == found.tolist()


def test_every_kernel_is_compiled_by_one_program() -> None:
    folder = Path(machine_code.__file__).parent
    shared = [module for modules in compilation.SHARES for module in modules]
    having = {path.stem for path in folder.glob("*.py") if compiled.kernels_of(path.stem)}
    assert sorted(shared) == sorted(having | {"sha256"})  # which has none where the processor has no instructions


def test_lines_are_read_the_same_before_the_scanner_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, lines = Kind.USAGE, [*line_items(Kind.USAGE, 40), b"", b"{}", b'{"PartnerId": 1}']
    scanned = by_reader(kind, lines)
    monkeypatch.setattr(Scanner, "is_ready", lambda: False)
    assert by_reader(kind, lines) == scanned
    assert len(scanned[0]) == 41
