"""The compiled scanner: it never says anything that the reference would not say, and never looks where it must not."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from counterfoil.columns import table_of
from counterfoil.datasets import scan
from counterfoil.datasets.coded import Coder
from counterfoil.datasets.dictionary import groups_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.datasets.kernels import passages
from counterfoil.datasets.value_spans import ValueSpans
from counterfoil.line_items.blocks import Block
from counterfoil.line_items.line_reader import LineReader
from counterfoil.model import Kind
from tests.datasets.line_items import batch_rows
from tests.datasets.mutations import files, line_items
from tests.datasets.test_json_reading import by_reader, by_reference

ROOT = Path(__file__).parent.parent.parent
LINES = int(os.environ.get("EXPLORE", "2000"))


@pytest.mark.parametrize("count", [LINES, pytest.param(4_000, marks=pytest.mark.soak)])
def test_lines_changed_by_chance_are_read_as_the_reference_reads_them(count: int) -> None:
    accepted = refused = 0
    for kind, lines in files(seed=count, lines=count):
        expected = by_reference(kind, lines)
        assert by_reader(kind, lines) == expected
        accepted += len(expected[0])
        refused += len(expected[1])
    assert min(accepted, refused) > count // 10  # or the test would see one side only


@pytest.mark.parametrize("kind", Kind)
def test_only_lines_with_an_exponent_need_the_line_reader(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    def seldom(reader: LineReader, lines: list[bytes], *args: Any, **options: Any) -> pa.RecordBatch:
        assert all(re.search(rb":-?[0-9.]+E", line) for line in lines)
        return read(reader, lines, *args, **options)

    read = LineReader.read
    lines = line_items(kind, 200)
    expected = by_reference(kind, lines)
    monkeypatch.setattr(LineReader, "read", seldom)
    assert by_reader(kind, lines) == expected


@pytest.mark.parametrize("kind", Kind)
def test_a_document_may_break_its_line_items_anywhere_between_values(kind: Kind) -> None:
    lines = line_items(kind, 60)
    broken = [line.replace(b',"', b'\n, \n"') for line in lines] + [b"", b"\n", b'{"a":"\n"}']
    refused = list[int]()
    reader = JsonLinesReader(table_of(kind), lambda number, _: refused.append(number))
    found = {
        number: row
        for batch in reader.read_lines(broken, range(1, len(broken) + 1))
        for number, row in zip(batch.lines.tolist(), batch_rows(batch), strict=True)
    }
    assert found == by_reference(kind, lines)[0]
    assert refused == [63]


def test_the_scanner_learns_the_letter_case_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.replace(b'"PartnerId"', b'"PARTNERID"') for line in line_items(Kind.USAGE, 50)[::2]]
    reads = list[bytes]()

    def noted(reader: LineReader, lines: list[bytes], *args: Any, **options: Any) -> pa.RecordBatch:
        reads.extend(lines)
        return read(reader, lines, *args, **options)

    read = LineReader.read
    monkeypatch.setattr(LineReader, "read", noted)
    reader = JsonLinesReader(table_of(Kind.USAGE), lambda *_: None)
    for line in lines:
        assert sum(len(batch) for batch in reader.read(Block(line, 1))) == 1
    assert reads == lines[:1]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("memory", [None, 2 * passages.ENTRY_SIZE_BYTES_MAX])
def test_what_is_nearly_as_it_was_read_before_is_not_taken_for_it(
    kind: Kind, memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sign more, less or other, at the places that count, in lines that were all read before as they should be."""
    if memory is not None:  # and is full after every step
        monkeypatch.setattr(scan, "_PASSAGES_SIZE_BYTES", memory)
    good = line_items(kind, 24)
    chance, lines = random.Random(11), 3 * good
    for line in good:
        places = [place for place, sign in enumerate(line) if sign in b'{}",:\\']
        for place in chance.sample(places, 20):
            at = place + chance.choice((0, 0, 1))
            put = chance.choice((b"", b",", b'"', b"}", b" ", b"0", b"\\n", b"null", line[at - 9 : at]))
            lines.append(line[:at] + put + line[at + chance.choice((0, 1)) :])
        lines.append(line)
    assert by_reader(kind, lines) == by_reference(kind, lines)


@pytest.mark.parametrize("kind", Kind)
def test_line_items_get_the_codes_that_they_would_get_without_passages(kind: Kind) -> None:
    table, lines = table_of(kind), 2 * line_items(kind, 300)
    known, unknown = Coder(groups_of(table.columns)), Coder(groups_of(table.columns))
    found = 0
    for batch in JsonLinesReader(table, lambda *_: None).read(Block(b"\n".join(lines), 1)):
        bare = ValueSpans(batch.items.text, batch.items.starts, batch.items.lengths)
        assert known.code(batch.items)[0].tolist() == unknown.code(bare)[0].tolist()
        found += sum(int((numbers >= 0).sum()) for numbers in batch.items.passages.numbers.values())
    assert found > 10 * len(lines)


@pytest.mark.parametrize("count", [1_500, pytest.param(3_000, marks=pytest.mark.soak)])
def test_no_kernel_looks_beyond_what_it_was_given(count: int) -> None:
    """The same by kernels that check every index, kept apart because numba would not tell the two kinds of code."""
    environment = os.environ | {
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_OPT": "0",  # compiling takes longer than reading does
        "NUMBA_CACHE_DIR": str(ROOT / ".cache" / "numba-boundscheck"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    command = [sys.executable, "-m", "tests.datasets.bounds", str(count)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["checked"] is True
