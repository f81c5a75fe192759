"""Changed lines get one verdict and one set of texts, whoever reads them; CSV dates are never guessed.

`make test` reads 3,000 of them, `make soak` 30,000; EXPLORE sets another number for `make test`, and SEED other lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pytest

from counterfoil.columns import table_of
from counterfoil.datasets.json_lines import JsonLinesReader
from counterfoil.line_items import fast_reader
from counterfoil.line_items.blocks import Block
from counterfoil.line_items.fast_reader import FastReader
from counterfoil.line_items.lake import lake_arrays
from counterfoil.line_items.line_reader import LineReader
from counterfoil.line_items.line_shapes import CutLines
from counterfoil.line_items.reference import OnRefused, read_lines
from counterfoil.line_items.values import Refused
from counterfoil.model import Kind
from tests.datasets.line_items import batch_rows, rows
from tests.line_items.mutator import Mutator

LINES = int(os.environ.get("EXPLORE", "3000"))
SEED = int(os.environ.get("SEED", "9"))
IN_A_FILE = 500
IN_A_BLOCK = 150

Verdicts = dict[int, dict[str, str] | tuple[str, str, str | None, str]]
Read = Callable[[Kind, list[bytes], OnRefused], list[tuple[int, dict[str, str]]]]


def by_reference(kind: Kind, lines: list[bytes], on_refused: OnRefused) -> list[tuple[int, dict[str, str]]]:
    return list(read_lines(table_of(kind), enumerate(lines, 1), on_refused))


def by_fast_reader(kind: Kind, lines: list[bytes], on_refused: OnRefused) -> list[tuple[int, dict[str, str]]]:
    return numbered(lines, on_refused, lambda note: [LineReader(kind).read(lines, note)])


def by_blocks(kind: Kind, lines: list[bytes], on_refused: OnRefused) -> list[tuple[int, dict[str, str]]]:
    """Read as a pull reads a blob: several blocks together, into dictionaries."""
    blocks = [Block(b"\n".join(lines[at : at + IN_A_BLOCK]), at + 1) for at in range(0, len(lines), IN_A_BLOCK)]

    def read(note: OnRefused) -> Iterator[pa.RecordBatch]:
        for batch in LineReader(kind).read_blocks(blocks, note, coded=True):
            lake_arrays(kind, batch.columns)  # a dictionary has nothing that no line has: not each text is a number
            yield batch

    return numbered(lines, on_refused, read)


def numbered(
    lines: list[bytes], on_refused: OnRefused, read: Callable[[OnRefused], Iterable[pa.RecordBatch]]
) -> list[tuple[int, dict[str, str]]]:
    refused = set[int]()

    def note(line: int, why: Refused) -> None:
        refused.add(line)
        on_refused(line, why)

    found = [row for batch in read(note) for row in rows(batch)]
    good = [number for number, line in enumerate(lines, 1) if line.strip() and number not in refused]
    return list(zip(good, found, strict=True))


def by_scanner(kind: Kind, lines: list[bytes], on_refused: OnRefused) -> list[tuple[int, dict[str, str]]]:
    batches = JsonLinesReader(table_of(kind), on_refused).read(Block(b"\n".join(lines), 1))
    return [pair for batch in batches for pair in zip(batch.lines.tolist(), batch_rows(batch), strict=True)]


def verdicts(read: Read, kind: Kind, lines: list[bytes]) -> Verdicts:
    found: Verdicts = {}

    def refuse(line: int, why: Refused) -> None:
        assert line not in found
        found[line] = why.reason, why.attribute, why.value, why.remedy

    for number, values in read(kind, lines, refuse):
        assert number not in found
        found[number] = values
    return found


@pytest.mark.parametrize("count", [LINES, pytest.param(30_000, marks=pytest.mark.soak)])
def test_every_reader_gives_every_line_the_same_verdict_and_the_same_texts(
    count: int, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = list[int]()
    take = FastReader.take

    def counted(reader: FastReader) -> tuple[list[CutLines], dict[int, bytes]]:
        cuts, others = take(reader)
        cut.extend(number for each in cuts for number in each.numbers)
        return cuts, others

    monkeypatch.setattr(FastReader, "take", counted)
    monkeypatch.setattr(fast_reader, "CUT_SIZE_BYTES_MIN", 20_000)
    monkeypatch.setattr(fast_reader, "LINES_HELD_MAX", 2 * IN_A_BLOCK)
    accepted = refused = 0
    for kind in Kind:
        mutator = Mutator(kind, SEED)
        for _ in range(max(1, count // (2 * IN_A_FILE))):
            lines = list(mutator.lines(IN_A_FILE))
            expected = verdicts(by_reference, kind, lines)
            for read in (by_fast_reader, by_blocks, by_scanner):
                assert verdicts(read, kind, lines) == expected
            accepted += sum(isinstance(each, dict) for each in expected.values())
            refused += sum(isinstance(each, tuple) for each in expected.values())
    told = f"{accepted + refused:,} changed lines (seed {SEED}): {accepted:,} accepted, {refused:,} refused"
    record_property("told", f"{told}, each with one verdict of three readers")
    # Or the test would see one side, or one reader, only.
    assert min(accepted, refused) > count // 5
    assert len(cut) > count // 2
    assert accepted + refused > 0.99 * count


@pytest.mark.parametrize("v1", [False, True])
def test_a_line_that_is_alone_gets_the_same_verdict_as_among_others(v1: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_reader, "CUT_SIZE_BYTES_MIN", 1)
    kind = Kind.RECONCILIATION if v1 else Kind.USAGE
    for line in Mutator(kind, SEED + 1).lines(150):
        expected = verdicts(by_reference, kind, [line])
        assert verdicts(by_fast_reader, kind, [line]) == expected
